package control

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pluginsupervisor/plugin"
)

func TestReportEntries(t *testing.T) {
	long := strings.Repeat("n", 254)
	for name, test := range map[string]struct{ in, want plugin.ReportEntry }{
		"as it is": {
			plugin.ReportEntry{Name: "a", Version: "1.0", SysTag: plugin.SysTagRemove},
			plugin.ReportEntry{Name: "a", Version: "1.0", SysTag: plugin.SysTagRemove},
		},
		"SC-16 the longest allowed": {
			plugin.ReportEntry{Name: long + "n", Version: strings.Repeat("1", 32)},
			plugin.ReportEntry{Name: long + "n", Version: strings.Repeat("1", 32)},
		},
		"SC-16 cut": {
			plugin.ReportEntry{Name: long + "nn", Version: strings.Repeat("1", 33)},
			plugin.ReportEntry{Name: long + "n", Version: strings.Repeat("1", 32)},
		},
		"SC-16 cut before a character that does not fit": {
			plugin.ReportEntry{Name: long + "插件", Version: strings.Repeat("1", 30) + "版本"},
			plugin.ReportEntry{Name: long, Version: strings.Repeat("1", 30)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.in.Status = plugin.StatusFailed
			want := StatusReport{Plugin: []StatusEntry{{
				Name: test.want.Name, Version: test.want.Version, SysTagType: test.want.SysTag, Status: "PERSIST_FAIL",
			}}}
			if diff := cmp.Diff(want, newReport(plugin.Report{Entries: []plugin.ReportEntry{test.in}})); diff != "" {
				t.Errorf("wanted (-), got (+):\n%s", diff)
			}
		})
	}
}

// SC-16: any name is cut to the limit, at the end of a character.
func TestReportEntriesAreCutBetweenCharacters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := plugin.ReportEntry{
			Name:    rapid.StringN(0, 300, 600).Draw(t, "name"),
			Version: rapid.StringN(0, 60, 120).Draw(t, "version"),
			Status:  plugin.StatusRunning,
		}
		sent := newReport(plugin.Report{Entries: []plugin.ReportEntry{e}}).Plugin[0]
		for _, s := range []struct {
			in, out string
			most    int
		}{{e.Name, sent.Name, MaxReportName}, {e.Version, sent.Version, MaxReportVersion}} {
			switch {
			case !utf8.ValidString(s.out), len(s.out) > s.most, !strings.HasPrefix(s.in, s.out):
				t.Fatalf("%q cut to %q", s.in, s.out)
			case s.in != s.out && len(s.out) <= s.most-utf8.UTFMax:
				t.Fatalf("%q cut to %q, more than needed", s.in, s.out)
			}
		}
	})
}

// PERSIST_UNKNOWN is never sent (SPEC 3). An empty report is an empty list.
func TestReportLeavesOutUnknownStatus(t *testing.T) {
	b, err := json.Marshal(newReport(plugin.Report{Entries: []plugin.ReportEntry{{Name: "a", Version: "1"}}}))
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != `{"plugin":[]}` {
		t.Errorf("sent %s", b)
	}
}
