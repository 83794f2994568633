package vocabulary

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFindPhrases(t *testing.T) {
	for text, want := range map[string][]string{
		// These pass.
		"the control plane assigns a version":          nil,
		"run go mod tidy":                              nil,
		"the drop-in acs-plugin-manager":               nil,
		"packages in staging, reports in the outbox":   nil,
		"the leaf of the plugin's cgroup":              nil,
		"connect: connection refused":                  nil,
		"the lifetime of a lease, a plugin lifecycle":  nil,
		"rounded to seconds, appended, extended":       nil,
		"a round trip takes 2 ms":                      nil,
		"that one plugin hung":                         nil,
		"the address was looked up":                    nil,
		"checksum and sha256sum":                       nil,
		"end of file, the end of the list":             nil,
		"slots, budget, backoff, crash loop, canary":   nil,
		"re-attached to 3 running plugins":             nil,
		"The supervisor reports whether the plugin is": nil,
		// These do not.
		"Told to end":                                        {"told"},
		"its end is noticed by scan only":                    {"its end", "noticed by scan"},
		"owed: 2 statuses":                                   {"owed"},
		"2 plugins' refused versions":                        {"refused versions"},
		"versions are refused for a day":                     {"versions are refused"},
		"weak: a, b":                                         {"weak"},
		"Show the configuration that holds":                  {"configuration that holds"},
		"an operator's word":                                 {"operator's word"},
		"over 2 lives":                                       {"lives"},
		"it brings it back":                                  {"brings it back"},
		"the leaf cannot be removed":                         {"leaf"},
		"nobody listens on x.sock":                           {"nobody", "nobody listens"},
		"it tells whether it runs":                           {"tells"},
		"this is what the files say":                         {"is what"},
		"--start of 1.0: no end in 5s":                       {"no end in"},
		"run.sh may not be executed":                         {"may not be executed"},
		"Does not work, will be tried again":                 {"will be tried again"},
		"versions to be had":                                 {"to be had"},
		"Make the version before the one that runs":          {"the version before the one that runs"},
		"another process takes over, in the life of a host ": {"life", "takes over"},
	} {
		t.Run(text, func(t *testing.T) {
			var got []string
			for _, f := range findPhrases(text, false) {
				if f.plain == "" {
					t.Errorf("%q has no plain word", f.found)
				}
				got = append(got, f.found)
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("private words (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFindPhrasesOfPrograms(t *testing.T) {
	const line = "3 plugins adopted"
	if got := findPhrases(line, false); len(got) != 0 {
		t.Errorf("in a document %q has the private words %v, want none", line, got)
	}
	if got := findPhrases(line, true); len(got) != 1 {
		t.Errorf("in a program %q has the private words %v, want adopted", line, got)
	}
}

func TestFindNameWords(t *testing.T) {
	for _, c := range []struct{ folder, name, want string }{
		{"internal/native", "DropInVersion", ""},
		{"internal/native", "DropLeftovers", "drop"},
		{"internal/heartbeat", "Drop", ""},
		{"internal/install", "Staging", ""},
		{"internal/install", "Stage", ""},
		{"cmd/supervisor/internal/demo", "Stage", "stage"},
		{"internal/outbox", "Outbox", ""},
		{"internal/cgroup", "LeafName", ""},
		{"internal/layout", "LeafName", "leaf"},
		{"internal/layout", "CgroupLeaf", ""},
		{"supervisor", "WithControlPlane", ""},
		{"internal/supply", "Plane", "plane"},
		{"internal/trust", "RoundTrip", ""},
		{"plugin", "Rounds", "rounds"},
		{"plugin", "Lifecycle", ""},
		{"plugin", "LifeID", "life"},
		{"plugin", "IsOwed", "owed"},
		{"plugin", "Allowed", ""},
	} {
		got := ""
		for _, f := range findNameWords(c.folder, c.name) {
			got += f.found
		}
		if got != c.want {
			t.Errorf("%s.%s has the private words %q, want %q", c.folder, c.name, got, c.want)
		}
	}
}

func TestSplitName(t *testing.T) {
	for name, want := range map[string][]string{
		"settle": {"settle"}, "grantSlot": {"grant", "slot"}, "parseURL": {"parse", "url"}, "URLPath": {"url", "path"},
		"Test_name": {"test", "name"}, "LOUD_NAME": {"loud", "name"}, "sha256Sum": {"sha256", "sum"}, "X": {"x"},
	} {
		if diff := cmp.Diff(want, splitName(name)); diff != "" {
			t.Errorf("words of %s (-want +got):\n%s", name, diff)
		}
	}
}
