package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/layout"
)

// TM-06: the existing product's file sets intervals; malformed parts are skipped.
func TestPluginCheckInterval(t *testing.T) {
	all := map[string]string{"intervals.scan": "15m", "intervals.pull": "5m", "intervals.update": "30m", "intervals.inventory": "24h"}
	for name, test := range map[string]struct {
		text     string
		want     map[string]string // without the defaults
		warnings []string
	}{
		"all four": {
			"pluginHealthScanInterval=60,pluginHealthPullInterval=30,pluginUpdateCheckInterval=120,pluginListReportInterval=3600",
			map[string]string{"intervals.scan": "1m", "intervals.pull": "30s", "intervals.update": "2m", "intervals.inventory": "1h"},
			nil,
		},
		"blanks":     {" pluginHealthScanInterval = 600 ,\r\npluginHealthPullInterval=30\n", map[string]string{"intervals.scan": "10m", "intervals.pull": "30s"}, nil},
		"empty":      {"", nil, nil},
		"commas":     {",,\n,", nil, nil},
		"last wins":  {"pluginHealthScanInterval=600,pluginHealthScanInterval=601", map[string]string{"intervals.scan": "10m1s"}, nil},
		"malformed":  {"pluginHealthScanInterval,pluginHealthPullInterval=30", map[string]string{"intervals.pull": "30s"}, []string{`"pluginHealthScanInterval" skipped: not key=seconds`}},
		"no number":  {"pluginHealthScanInterval=1m", nil, []string{`"pluginHealthScanInterval=1m" skipped: not a whole number of seconds`}},
		"no value":   {"pluginHealthScanInterval=", nil, []string{`"pluginHealthScanInterval=" skipped: not a whole number of seconds`}},
		"negative":   {"pluginHealthScanInterval=-5", nil, []string{`"pluginHealthScanInterval=-5" skipped: not a whole number of seconds`}},
		"zero":       {"pluginHealthScanInterval=0", nil, []string{`"pluginHealthScanInterval=0" skipped: is too short`}},
		"endless":    {"pluginHealthScanInterval=99999999", nil, []string{`"pluginHealthScanInterval=99999999" skipped: is too long`}},
		"overflow":   {"pluginHealthScanInterval=99999999999999999999", nil, []string{`"pluginHealthScanInterval=99999999999999999999" skipped: is not a duration`}},
		"other key":  {"pluginHealthScanIntervall=5,avoidTime=7", nil, []string{`"pluginHealthScanIntervall=5" skipped: no such key`, `"avoidTime=7" skipped: no such key`}},
		"two equals": {"pluginHealthScanInterval=5=6", nil, []string{`"pluginHealthScanInterval=5=6" skipped: not a whole number of seconds`}},
	} {
		t.Run("TM-06 "+name, func(t *testing.T) {
			path := writeFile(t, layout.CheckIntervals(""), test.text)
			root := filepath.Dir(filepath.Dir(path))
			// A window that is shorter than each interval of the table.
			c, warnings, err := Load(Sources{Environ: []string{"SUPERVISOR_ROOT=" + root, "SUPERVISOR_AVOID_WINDOW=1s"}})
			if err != nil {
				t.Fatal(err)
			}
			for key, want := range all {
				if other, ok := test.want[key]; ok {
					want = other
				}
				if k, _ := findKeyNamed(key); k.formatValue(&c) != want {
					t.Errorf("%s: %s, want %s", key, k.formatValue(&c), want)
				}
			}
			var got []string
			for _, w := range warnings {
				got = append(got, strings.TrimPrefix(w.String(), path+": "))
			}
			if diff := cmp.Diff(test.warnings, got); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// TM-06: a folder in place of the file does not prevent the start.
func TestPluginCheckIntervalUnreadable(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(layout.CheckIntervals(root), 0o755); err != nil {
		t.Fatal(err)
	}
	_, warnings, err := Load(Sources{Environ: []string{"SUPERVISOR_ROOT=" + root}})
	if err != nil || len(warnings) != 1 || warnings[0].Text != "ignored: is a directory" {
		t.Errorf("warnings %v, error %v; want one warning that it is a directory", warnings, err)
	}
}

// FuzzPluginCheckInterval checks that each value taken from any text is allowed.
func FuzzPluginCheckInterval(f *testing.F) {
	f.Add("pluginHealthScanInterval=60,pluginHealthPullInterval=30")
	f.Add("pluginHealthScanInterval=60=,=,,\x00pluginListReportInterval=00001")
	f.Fuzz(func(t *testing.T, text string) {
		set, warnings := parseCheckInterval("FILE", text)
		for _, s := range set {
			if err := s.key.setText(new(Config), s.text); err != nil {
				t.Errorf("%s: %q %v", s.key.name, s.text, err)
			}
		}
		for _, w := range warnings {
			if strings.Contains(w.String(), "\n") {
				t.Errorf("warning of two lines: %q", w)
			}
		}
	})
}
