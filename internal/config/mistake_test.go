package config

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"pluginsupervisor/internal/yamlfile"

	"github.com/google/go-cmp/cmp"
)

// splitMistakes returns the mistakes of an error, without the path of the file.
func splitMistakes(t testing.TB, err error, file string) []string {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	return strings.Split(strings.ReplaceAll(err.Error(), file, "FILE"), "\n")
}

func TestMistakesInFile(t *testing.T) {
	const span = "a number with unit, at least 10ms and at most 8760h, such as 90s, 15m or 24h"
	long := "/" + strings.Repeat("x", 120)
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"not a duration": {"intervals:\n  scan: 15 minutes", []string{
			`FILE:2: intervals.scan: "15 minutes" is not a duration; allowed: ` + span,
		}},
		"no unit":          {"intervals: {scan: 15}", []string{`FILE:1: intervals.scan: "15" is not a duration; allowed: ` + span}},
		"zero":             {"intervals: {scan: 0s}", []string{`FILE:1: intervals.scan: "0s" is too short; allowed: ` + span}},
		"negative":         {"intervals: {pull: -5m}", []string{`FILE:1: intervals.pull: "-5m" is too short; allowed: ` + span}},
		"endless":          {"intervals: {pull: 9000h}", []string{`FILE:1: intervals.pull: "9000h" is too long; allowed: ` + span}},
		"overflow":         {"intervals: {pull: 99999999999h}", []string{`FILE:1: intervals.pull: "99999999999h" is not a duration; allowed: ` + span}},
		"unknown key":      {"intervals:\n  scna: 5m", []string{`FILE:2: intervals.scna: unknown key; did you mean scan? allowed: scan, pull, update, inventory`}},
		"wrong section":    {"healthy_after: 5m", []string{`FILE:1: healthy_after: unknown key; did you mean healthy_after in section restart? allowed: root, instance_id, control_plane, manager, intervals, first_run, avoid_window, probe, restart, upgrade, install, logs, plugins, log, admin, metrics`}},
		"dotted":           {"log.level: debug", []string{`FILE:1: log.level: unknown key; did you mean level in section log? allowed: root, instance_id, control_plane, manager, intervals, first_run, avoid_window, probe, restart, upgrade, install, logs, plugins, log, admin, metrics`}},
		"not in a section": {"log: {avoid_window: 1s}", []string{`FILE:1: log.avoid_window: unknown key; did you mean avoid_window outside of any section? allowed: level, format`}},
		"key of two lines": {"{\"lo\\ng\": 1, \"lo\\ng\": 2}", []string{
			`FILE:1: "lo\ng": unknown key; did you mean log? allowed: root, instance_id, control_plane, manager, intervals, first_run, avoid_window, probe, restart, upgrade, install, logs, plugins, log, admin, metrics`,
			`FILE:1: "lo\ng": set again, first in line 1; allowed: once`,
		}},
		"nothing near":   {"log: {colour: red}", []string{`FILE:1: log.colour: unknown key; allowed: level, format`}},
		"twice":          {"log:\n  level: info\n  level: info", []string{`FILE:3: log.level: set again, first in line 2; allowed: once`}},
		"section twice":  {"log: {}\nadmin: {}\nlog: {level: info}", []string{`FILE:3: log: set again, first in line 1; allowed: once`}},
		"two documents":  {"root: /a\n---\nroot: /b", []string{`FILE:3: a second document begins here; allowed: one`}},
		"no section":     {"intervals: 5m", []string{`FILE:1: intervals: "5m" where a section belongs; allowed keys: scan, pull, update, inventory`}},
		"list at top":    {"- root", []string{`FILE:1: a list where a section belongs; allowed keys: root, instance_id, control_plane, manager, intervals, first_run, avoid_window, probe, restart, upgrade, install, logs, plugins, log, admin, metrics`}},
		"section":        {"root: {a: b}", []string{`FILE:1: root: a section where a value belongs; allowed: an absolute path`}},
		"nothing":        {"root:", []string{`FILE:1: root: nothing where a value belongs; allowed: an absolute path`}},
		"alias":          {"root: &r /a\nmanager: *r", []string{`FILE:2: manager: an alias where a value belongs; allowed: native, or the absolute path of an acs-plugin-manager program`}},
		"key no name":    {"[a]: b", []string{`FILE:1: a list where a key belongs; allowed: a name`}},
		"no list":        {"upgrade: {trusted_keys: abc}", []string{`FILE:1: upgrade.trusted_keys: "abc" where a list belongs; allowed: texts without commas; outside the file with commas between them`}},
		"list in list":   {"upgrade: {trusted_keys: [[a]]}", []string{`FILE:1: upgrade.trusted_keys: a list in a list; allowed: texts without commas; outside the file with commas between them`}},
		"hook":           {"upgrade: {hook: [sh, -c]}", []string{`FILE:1: upgrade.hook: "sh,-c" names a program that is not an absolute path; allowed: an absolute path and arguments, or nothing; texts without commas; outside the file with commas between them`}},
		"number":         {"probe: {parallel: many}", []string{`FILE:1: probe.parallel: "many" is not a whole number; allowed: a whole number, at least 0 and at most 1024`}},
		"negative count": {"probe: {parallel: -1}", []string{`FILE:1: probe.parallel: "-1" is too small; allowed: a whole number, at least 0 and at most 1024`}},
		"large count":    {"probe: {parallel: 1025}", []string{`FILE:1: probe.parallel: "1025" is too large; allowed: a whole number, at least 0 and at most 1024`}},
		"bool":           {"restart: {on_hang: yes}", []string{`FILE:1: restart.on_hang: "yes" is neither true nor false; allowed: true or false`}},
		"level":          {"log: {level: loud}", []string{`FILE:1: log.level: "loud" is none of them; allowed: trace, debug, info, warning, error`}},
		"size":           {"install: {max_size: 5 apples}", []string{`FILE:1: install.max_size: "5 apples" is not a size; allowed: bytes, or a whole number with KiB, MiB, GiB or TiB, at least 1 and at most 1TiB`}},
		"relative root":  {"root: var/lib", []string{`FILE:1: root: "var/lib" is not an absolute path; allowed: an absolute path`}},
		"manager":        {"manager: external", []string{`FILE:1: manager: "external" is not an absolute path; allowed: native, or the absolute path of an acs-plugin-manager program`}},
		"url":            {"control_plane: {url: 'ftp://x'}", []string{`FILE:1: control_plane.url: "ftp://x" is neither http:// nor https://; allowed: http:// or https:// with a host, without user, query or fragment`}},
		"url host":       {"control_plane: {url: 'http:///path'}", []string{`FILE:1: control_plane.url: "http:///path" has no host; allowed: http:// or https:// with a host, without user, query or fragment`}},
		"listen":         {"metrics: {listen: '9108'}", []string{`FILE:1: metrics.listen: "9108" is not host:port; allowed: host:port such as 127.0.0.1:9108, or "" for none`}},
		"port":           {"metrics: {listen: ':99999'}", []string{`FILE:1: metrics.listen: ":99999" has an invalid port; allowed: host:port such as 127.0.0.1:9108, or "" for none`}},
		"instance":       {"instance_id: a b", []string{`FILE:1: instance_id: "a b" holds ' '; allowed: 1 to 255 printable ASCII characters without blanks, or "" for the host's own`}},
		"socket":         {"admin: {socket: " + long + "}", []string{`FILE:1: admin.socket: "` + long + `" socket path too long (121 bytes, at most 107); allowed: an absolute path of at most 107 bytes, or "" for ROOT/supervisor/supervisor.sock`}},
		"root's socket":  {"root: " + long, []string{`FILE:1: root: socket path too long (148 bytes, at most 107); allowed: a shorter root, or admin.socket set to a shorter path`}},
		"backoff":        {"restart:\n  backoff_max: 500ms", []string{`FILE:2: restart.backoff_max: restart.backoff_initial, 1s, is longer than restart.backoff_max, 500ms; allowed: at most as long`}},
		"cert alone":     {"control_plane: {cert_file: /c}", []string{`FILE:1: control_plane.cert_file: is set without control_plane.key_file; allowed: both or neither`}},
		"key alone":      {"control_plane: {key_file: /c}", []string{`FILE:1: control_plane.key_file: is set without control_plane.cert_file; allowed: both or neither`}},
		"plugin's name":  {"plugins: {../x: {}}", []string{`FILE:1: plugins: name "../x" holds '/', which is not allowed; allowed: 1 to 255 bytes of UTF-8 without /, backslash and control characters, no blank at either end`}},
		"plugin's key":   {"plugins: {x: {limit: {}}}", []string{`FILE:1: plugins.x.limit: unknown key; did you mean limits? allowed: limits`}},
		"limit": {"plugins: {x: {limits: {cpu: nan, memory: 1, pid: 3}}}", []string{
			`FILE:1: plugins.x.limits.cpu: "nan" is not a number; allowed: a number, at least 0.01 and at most 4096, such as 0.5`,
			`FILE:1: plugins.x.limits.memory: "1" is too small; allowed: bytes, or a whole number with KiB, MiB, GiB or TiB, at least 1MiB and at most 1024TiB`,
			`FILE:1: plugins.x.limits.pid: unknown key; did you mean pids? allowed: cpu, memory, pids`,
		}},
		"all of them": {"root: x\nlog:\n  level: loud\n  levle: info\nprobe: {parallel: x}", []string{
			`FILE:1: root: "x" is not an absolute path; allowed: an absolute path`,
			`FILE:3: log.level: "loud" is none of them; allowed: trace, debug, info, warning, error`,
			`FILE:4: log.levle: unknown key; did you mean level? allowed: level, format`,
			`FILE:5: probe.parallel: "x" is not a whole number; allowed: a whole number, at least 0 and at most 1024`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			file := writeFile(t, "s.yaml", test.text)
			c, _, err := Load(Sources{File: file})
			if diff := cmp.Diff(test.want, splitMistakes(t, err, file)); diff != "" {
				t.Errorf("mistakes (-want +got):\n%s", diff)
			}
			if c.Root != "" {
				t.Errorf("got a configuration: %+v, want an empty one", c)
			}
		})
	}
}

func TestNotYAML(t *testing.T) {
	for _, text := range []string{"a: b: c", "\t", "root: [", "root: 'x", "{", "\x00", "a: *nowhere", "root: /a\n--- \n{"} {
		file := writeFile(t, "s.yaml", text)
		_, _, err := Load(Sources{File: file})
		got := splitMistakes(t, err, file)
		if last := got[len(got)-1]; !strings.HasPrefix(last, "FILE:") || !strings.Contains(last, ": not YAML: ") {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestMistakesElsewhere(t *testing.T) {
	_, _, err := Load(Sources{
		Environ: []string{"SUPERVISOR_LOG_LEVEL=loud", "SUPERVISOR_ROOT=", "SUPERVISOR_LOG_FORMAT=json"},
		Flags:   parseFlags(t, "--probe-parallel", "x", "--restart-on-hang=maybe", "--socket", "/"+strings.Repeat("s", 107)),
	})
	want := []string{
		`SUPERVISOR_ROOT: "" is not an absolute path; allowed: an absolute path`,
		`SUPERVISOR_LOG_LEVEL: "loud" is none of them; allowed: trace, debug, info, warning, error`,
		`--probe-parallel: "x" is not a whole number; allowed: a whole number, at least 0 and at most 1024`,
		`--restart-on-hang: "maybe" is neither true nor false; allowed: true or false`,
		`--socket: "/` + strings.Repeat("s", 107) + `" socket path too long (108 bytes, at most 107); allowed: an absolute path of at most 107 bytes, or "" for ROOT/supervisor/supervisor.sock`,
	}
	if diff := cmp.Diff(want, splitMistakes(t, err, "FILE")); diff != "" {
		t.Errorf("mistakes (-want +got):\n%s", diff)
	}
	var m *yamlfile.Mistake
	if !errors.As(err, &m) || m.Where != "SUPERVISOR_ROOT" {
		t.Errorf("mistake %+v", m)
	}
}

// F23: the error of an IPv6 address without brackets has the corrected URL.
func TestURLWithIPv6(t *testing.T) {
	for url, want := range map[string]string{
		"http://::1:8700":             "write http://[::1]:8700",
		"https://fe80::1/base":        "write https://[fe80::1]/base",
		"http://2001:db8::5:8700/a/b": "write http://[2001:db8::5]:8700/a/b",
		"http://a:b:c":                "is not a URL",
		"http://[::1]:8700":           "",
		"http://host:8700":            "",
	} {
		_, err := checkURL(url)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}

func TestFileThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	for file, want := range map[string]string{
		filepath.Join(dir, "none.yaml"): "no such file or directory",
		dir:                             "is a directory",
	} {
		_, _, err := Load(Sources{File: file, FileNamed: true})
		if err == nil || err.Error() != file+": cannot read the configuration: "+want {
			t.Errorf("error %v", err)
		}
	}
	huge := writeFile(t, "huge.yaml", strings.Repeat("# long\n", 200_000))
	if _, _, err := Load(Sources{File: huge}); err == nil || err.Error() != huge+":1: the file is larger than 1MiB" {
		t.Errorf("error %v", err)
	}
}

func TestWarnings(t *testing.T) {
	_, warnings, err := Load(Sources{
		Environ: []string{"SUPERVISOR_LOG_LEVLE=info", "SUPERVISOR_ENABLED=1", "SUPERVISOR_PLUGINS=x", "SUPERVISORX=1", "OTHER"},
		Flags:   parseFlags(t, "--intervals-scan=30s"),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range warnings {
		got = append(got, w.String())
	}
	want := []string{
		"SUPERVISOR_LOG_LEVLE: is not a setting; did you mean SUPERVISOR_LOG_LEVEL?",
		"SUPERVISOR_ENABLED: is not a setting",
		"SUPERVISOR_PLUGINS: is not a setting",
		"--intervals-scan: intervals.scan: avoid_window, 1m, is not shorter than intervals.scan, 30s: heartbeats are never pulled",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// FuzzFile checks that any text is either a configuration, which is shown and read
// again as the same one, or a list of mistakes of one line each.
func FuzzFile(f *testing.F) {
	c := Default()
	shown, err := c.YAML()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(shown)
	for _, s := range []string{
		"", "a: b: c", "&a [*a]", "? {a: b}\n: c", "<<: {root: /x}", "root: !!binary aGk=", "plugins: {x: {limits: {cpu: 1e300}}}",
		"upgrade: {trusted_keys: [a, ' b ', '#']}", "instance_id: '~'", "root: \"/a\\nb\"", "root: /a\n---\n---\n", "%YAML 1.1\n---\nroot: /x",
		"plugins:\n  \"1\": {limits: {pids: 3}}\n  a+b: null", "control_plane: {url: 'http://h:0/%zz'}", "log: {level: info # x\n}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if doc := parseFile("FILE", text); len(doc.Mistakes) > 0 {
			for _, l := range strings.Split(yamlfile.Join(doc.Mistakes).Error(), "\n") {
				if !strings.HasPrefix(l, "FILE:") {
					t.Errorf("mistake without a place: %q", l)
				}
			}
			return
		}
		c, _, err := Load(Sources{File: writeFile(t, "fuzz.yaml", string(text)), FileNamed: true})
		if err != nil {
			return // a conflict of keys
		}
		shown, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := Load(Sources{File: writeFile(t, "again.yaml", string(shown)), FileNamed: true})
		if err != nil {
			t.Fatalf("shown, but not read again: %v\n%s", err, shown)
		}
		if diff := cmp.Diff(c, again, ignoreOrigins); diff != "" {
			t.Errorf("shown and read again (-want +got):\n%s", diff)
		}
	})
}
