package service

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pluginsupervisor/internal/yamlfile"
)

var values = cmpopts.IgnoreUnexported(Service{})

// example is the service.yaml of SPEC 16.
const example = `command: [bin/node_exporter, --web.listen-address=127.0.0.1:9100]
environment: {LOG_LEVEL: info}
user: nobody
working_dir: .
stop: {signal: TERM, timeout: 10s}
ready: {http: "http://127.0.0.1:9100/metrics", timeout: 30s}
health: {http: "http://127.0.0.1:9100/metrics", interval: 10s, timeout: 2s, failures: 3}
hooks: {install: [bin/setup], uninstall: [], upgrade: []}
limits: {cpu: 0.5, memory: 256MiB, pids: 64}
log: {max_size: 10MiB, keep: 3}
`

func TestParse(t *testing.T) {
	const url = "http://127.0.0.1:9100/metrics"
	full := Default()
	full.Command = []string{"bin/node_exporter", "--web.listen-address=127.0.0.1:9100"}
	full.Environment = map[string]string{"LOG_LEVEL": "info"}
	full.User = "nobody"
	full.Ready.HTTP, full.Health.HTTP = url, url
	full.Hooks.Install = []string{"bin/setup"}
	full.Limits = Limits{CPU: 0.5, Memory: 256 * yamlfile.MiB, PIDs: 64}
	short := Default()
	short.Command = []string{"/usr/bin/sleep", "3", "true"}
	other := short
	other.Stop = Stop{Signal: syscall.SIGQUIT, Timeout: 0}
	other.Ready = Ready{Check: Check{TCP: "[::1]:80"}, After: time.Second, Timeout: time.Minute}
	other.Health.Command = []string{"bin/check", "-q"}
	for text, want := range map[string]Service{
		example:                              full,
		"command: [/usr/bin/sleep, 3, true]": short,
		"command: [/usr/bin/sleep, 3, true]\nstop: {signal: sigquit, timeout: 0s}\nready: {tcp: '[::1]:80', timeout: 1m}\nhealth: {command: [bin/check, -q]}": other,
	} {
		got, err := Parse("service.yaml", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, got, values); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	if got := full.VerbTimeout(); got != time.Minute {
		t.Errorf("deadline %v", got)
	}
	if other.Ready.Timeout = 10 * time.Minute; other.VerbTimeout() != 10*time.Minute+10*time.Second {
		t.Errorf("deadline %v", other.VerbTimeout())
	}
}

// AP-12: a mistake has file, line, key and the allowed values.
func TestParseMistakes(t *testing.T) {
	const sleep = "command: [/bin/sleep, 9]\n"
	for _, tt := range []struct{ text, want string }{
		{"", "service.yaml:1: command: is missing; allowed: a list of words, the first a program"},
		{"# nothing", "service.yaml:1: command: is missing"},
		{"command: sleep 9", `service.yaml:1: command: "sleep 9" where a list belongs; allowed: a list of words`},
		{"command: []", "service.yaml:1: command: has no program"},
		{"command: [a, [b]]", "service.yaml:1: command: a list in a list"},
		{"command: [a, null]", "service.yaml:1: command: nothing in a list"},
		{"command:\n  - ../sh", `service.yaml:2: command: "../sh" leaves the package; allowed: a list of words, the first a program: its path in the package`},
		{sleep + "comand: [x]", "service.yaml:2: comand: unknown key; did you mean command? allowed: command, environment, user, group, working_dir, stop, ready, health, hooks, limits, log"},
		{sleep + "stop: {timout: 3s}", "service.yaml:2: stop.timout: unknown key; did you mean timeout? allowed: signal, timeout"},
		{sleep + "interval: 3s", "service.yaml:2: interval: unknown key; did you mean interval in section health?"},
		{sleep + "health.http: http://x", "service.yaml:2: health.http: unknown key;"},
		{sleep + "stop: 3s", `service.yaml:2: stop: "3s" where a section belongs; allowed keys: signal, timeout`},
		{sleep + "stop: {timeout: 3}", `service.yaml:2: stop.timeout: "3" is not a duration; allowed: a number with unit`},
		{sleep + "stop: {signal: STOP}", `service.yaml:2: stop.signal: "STOP" is none of them; allowed: TERM, INT, QUIT`},
		{sleep + "user: [a]", "service.yaml:2: user: a list where a value belongs"},
		{sleep + "user: a b", `service.yaml:2: user: "a b" is not a name of a user or group`},
		{sleep + "working_dir: /tmp", `service.yaml:2: working_dir: "/tmp" leaves the package; allowed: a path in the package`},
		{sleep + "working_dir: a/../..", `service.yaml:2: working_dir: "a/../.." leaves the package`},
		{sleep + "environment: [a=b]", "service.yaml:2: environment: a list where a section belongs"},
		{sleep + "environment: {PLUGIN_DIR: /x}", "service.yaml:2: environment.PLUGIN_DIR: is set by the supervisor"},
		{sleep + "environment: {A-B: x}", "service.yaml:2: environment.A-B: is not a name of a variable"},
		{sleep + "environment: {A: [x]}", "service.yaml:2: environment.A: a list where a text belongs"},
		{sleep + "ready: {http: 'https://x/'}", `service.yaml:2: ready.http: "https://x/" is https://, which only a command can check; allowed: http:// with a host`},
		{sleep + "ready: {http: 'x:80'}", `is not http://`},
		{sleep + "ready: {http: 'http://u:p@x'}", `holds a user`},
		{sleep + "ready: {http: 'http://x:99999'}", `has an impossible port`},
		{sleep + "ready: {tcp: '6379'}", `service.yaml:2: ready.tcp: "6379" is not host:port; allowed: host:port, such as 127.0.0.1:6379`},
		{sleep + "ready: {tcp: ':6379'}", `has no host`},
		{sleep + "ready:\n  tcp: h:1\n  after: 1s", "service.yaml:4: ready.after: is set beside ready.tcp; allowed: one of http, tcp, command, after"},
		{sleep + "health:\n  tcp: h:1\n  http: http://h", "health.tcp: is set beside health.http; allowed: one of http, tcp, command"},
		{sleep + "health: {interval: 3s}", "service.yaml:2: health.interval: is set without a check; allowed: with health.http"},
		{sleep + "health: {tcp: 'h:1', failures: 0}", "health.failures: \"0\" is too small; allowed: a whole number, at least 1"},
		{sleep + "ready: {after: 2m}", "service.yaml:2: ready.after: 2m0s is longer than ready.timeout, 30s"},
		{sleep + "ready: {timeout: 50m}\nstop: {timeout: 20m}", "service.yaml:3: ready.timeout: 1h10m0s together with stop.timeout; allowed: at most 59m50s"},
		{sleep + "hooks: {install: [../x]}", `service.yaml:2: hooks.install: "../x" leaves the package`},
		{sleep + "limits: {memory: 1}", `service.yaml:2: limits.memory: "1" is too small`},
		{sleep + "log: {keep: -1}", `log.keep: "-1" is too small`},
		{sleep + sleep, "service.yaml:2: command: set again, first in line 1; allowed: once"},
		{sleep + "a: b: c", "service.yaml:2: not YAML"},
	} {
		_, err := Parse("service.yaml", []byte(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q:\n got %v\nwant %s", tt.text, err, tt.want)
		}
	}
}

// AP-12: the error for a missing or not executable program has its key and line.
func TestCheckFiles(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]fs.FileMode{"run": 0o755, "data": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	stat := func(path string) (fs.FileMode, error) {
		info, err := os.Lstat(filepath.Join(dir, path))
		if err != nil {
			return 0, err
		}
		return info.Mode(), nil
	}
	for text, want := range map[string]string{
		"command: [run]":                         "",
		"command: [/usr/bin/not-there]":          "",
		"command: [./run]":                       "",
		"command: [bin/x]":                       "service.yaml:1: command: bin/x is not in the package; allowed: ",
		"command: [data]":                        "service.yaml:1: command: data is not executable (mode 0644); run `chmod +x data` before packing",
		"command: [run]\nhooks: {upgrade: [up]}": "service.yaml:2: hooks.upgrade: up is not in the package",
		"command: [run]\nhealth: {command: [a]}": "service.yaml:2: health.command: a is not in the package",
		"command: [run]\nworking_dir: run":       "service.yaml:2: working_dir: run is not a folder of the package",
	} {
		s, err := Parse("service.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.CheckFiles(stat); want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	if _, err := Read(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	path := filepath.Join(dir, "service.yaml")
	if err := os.WriteFile(path, []byte("x: 1"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(dir); err == nil || !strings.HasPrefix(err.Error(), path+":1: x: unknown key") {
		t.Errorf("bad file: %v", err)
	}
}

// FuzzParse checks that every text is either a service, which survives writing and
// parsing, or a list of mistakes of one line each.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		example, "", "command: [a]", "a: b: c", "&a [*a]", "? {a: b}\n: c", "command: &x [a]\nhooks: {install: *x}",
		"command: [a, !!binary aGk=, 0x10]\nenvironment: {A: 1, B: '', C: \"\\n\"}\nready: {command: [b]}\nhealth: {tcp: 'h:1', failures: 9}",
		"command: [a]\nstop: {signal: KILL, timeout: 0s}\nlog: {max_size: 4KiB, keep: 0}\n---\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse("FILE", text)
		if err != nil {
			for l := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(l, "FILE:") {
					t.Errorf("mistake without a place: %q", l)
				}
			}
			return
		}
		written, err := s.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("AGAIN", written)
		if err != nil {
			t.Fatalf("written, but not read again: %v\n%s", err, written)
		}
		if diff := cmp.Diff(s, again, values); diff != "" {
			t.Errorf("written and read again (-want +got):\n%s\n%s", diff, written)
		}
	})
}
