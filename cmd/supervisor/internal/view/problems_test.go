package view

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/plugin"
)

// CL-09, UP-06, UP-14: status shows unverified packages and blocked versions. A
// package whose verification is unknown is not shown as unverified.
func TestStatusShowsPackages(t *testing.T) {
	var s plugin.Snapshot
	s.At = now
	add := func(name string, by plugin.Verified, quarantined ...plugin.QuarantinedVersion) {
		s.Plugins = append(s.Plugins, plugin.View{
			Name: name, Version: "1.0", Type: plugin.Persist, State: plugin.StateRunning, Since: now, Watch: plugin.WatchCgroup,
			Verified: by, Quarantined: quarantined,
		})
	}
	until := time.Date(2026, 3, 2, 2, 30, 0, 0, time.Local)
	s.At = until.Add(-23 * time.Hour)
	add("one", plugin.ByMD5, plugin.QuarantinedVersion{Name: "one", Version: "2.0", Until: until, Cause: "2.0 exited 2s after\nits start"})
	add("two", plugin.BySHA256)
	add("three", plugin.VerifiedUnknown)
	add("four", plugin.ByNothing)
	for i := range 9 {
		add(fmt.Sprint("p", i), plugin.ByMD5)
	}
	s.Fetches = []plugin.FetchProgress{{Name: "new", Version: "1.1", Done: 5e6, Total: 20e6}, {Name: "other", Version: "2", Done: 1e5, Total: -1}}
	s.Blocked = []plugin.Blocked{
		{Name: "one", Version: "3.0", Cause: "package has MD5 00,\nexpected 11", Tries: 1, Since: s.At.Add(-time.Minute), Next: s.At},
		{Name: "new", Version: "1.0", Cause: "404", Tries: 4, Since: s.At.Add(-4 * time.Hour), Next: until},
	}
	var b bytes.Buffer
	if err := WriteStatus(&b, s, StatusOptions{}); err != nil {
		t.Fatal(err)
	}
	_, below, _ := strings.Cut(b.String(), "fetching:")
	want := `
fetching: new 1.1: 25 %, 5.0 of 20.0 MB
fetching: other 2: 0.1 MB
unverified: one 1.0, p0 1.0, p1 1.0, p2 1.0, p3 1.0, p4 1.0, p5 1.0, p6 1.0 and 2 more: verified by MD5 only
unverified: four 1.0: not verified
blocked: version 2.0 of one until 2026-03-02 02:30 (for 23h): 2.0 exited 2s after its start
blocked: version 3.0 of one cannot be installed: package has MD5 00, expected 11 (1 try for 1m), next try at the next update check
blocked: version 1.0 of new cannot be installed: 404 (4 tries for 4h), next try not before 2026-03-02 02:30 (in 23h)
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), "fetching:"+below); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
