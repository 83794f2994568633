package external

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/plugin"
)

// fixture is a root with a manager that drives a shell script.
type fixture struct {
	t        *testing.T
	root     string
	registry *registry.Registry
	runner   *process.Runner
	*Manager
}

// newFixture makes a program from the script. The program finds its root in
// SUPERVISOR_ROOT and logs its arguments to the file calls.
func newFixture(t *testing.T, script string) *fixture {
	t.Helper()
	b := &fixture{t: t, root: t.TempDir()}
	path := filepath.Join(b.root, "acs-plugin-manager")
	script = "#!/bin/sh\necho \"$@\" >> \"$SUPERVISOR_ROOT/calls\"\n" + script
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	b.runner = process.NewRunner(process.Options{Grace: 50 * time.Millisecond})
	b.registry = registry.New(registry.Options{Root: b.root})
	b.Manager = New(Options{Path: path, Root: b.root, Runner: b.runner, Registry: b.registry})
	return b
}

func (b *fixture) putRecord(r record.Record) plugin.Plugin {
	b.t.Helper()
	if _, err := b.registry.Put(b.t.Context(), r); err != nil {
		b.t.Fatal(err)
	}
	found, _, err := b.registry.Find(b.t.Context(), r.Name)
	if err != nil {
		b.t.Fatal(err)
	}
	return found.Plugin()
}

func (b *fixture) readCalls() string {
	raw, err := os.ReadFile(filepath.Join(b.root, "calls"))
	if err != nil && !os.IsNotExist(err) {
		b.t.Fatal(err)
	}
	return string(raw)
}

func (b *fixture) probeAll(ps ...plugin.Plugin) (got []string, err error) {
	err = b.Probe(b.t.Context(), ps, func(p plugin.Probe) {
		if p.At.IsZero() {
			b.t.Errorf("no time: %+v", p)
		}
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %v %s", p.Plugin.Name, p.Plugin.Version, p.Status, p.Cause)))
	})
	return got, err
}

var p1 = plugin.Plugin{Name: "p", Version: "1.0", Type: plugin.Persist, Timeout: 20 * time.Second}

func TestProbe(t *testing.T) {
	recorded, err := os.ReadFile("testdata/status.txt")
	if err != nil {
		t.Fatal(err)
	}
	given := []plugin.Plugin{
		{Name: "p_healthy", Version: "1.1"},
		{Name: "p_dead", Version: "2.0"},
		{Name: "p_removed", Version: "5.0"},
		{Name: "p_silent", Version: "1.0"},
		{Name: "p_nofile", Version: "7.0"},
	}
	want := []string{
		"p_healthy 1.1 running",
		"p_dead 2.0 failed plugin manager reports PERSIST_FAIL",
		"p_removed 5.0 removed plugin manager reports REMOVED", // SC-12: the Coordinator skips it
		"p_nofile 7.0 failed plugin manager reports PERSIST_FAIL",
	}
	print := "cat <<'END'\n" + string(recorded) + "END\n"
	tests := map[string]struct {
		script string
		want   []string
		errs   []string
	}{
		"SC-11 mixed output":     {script: print, want: want},
		"SC-11 mixed on stderr":  {script: "echo 'oops [1]' >&2\n" + print, want: want},
		"SC-10 exit 3":           {script: print + "exit 3", want: want},
		"SC-11 no array":         {script: "echo nothing here", errs: []string{"no JSON array", "nothing here"}},
		"SC-11 no array, exit 3": {script: "exit 3", errs: []string{"no JSON array", "exit 3"}},
		"SC-11 exit code named":  {script: "exit 241", errs: []string{"exit 241: plugin database cannot be read"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newFixture(t, tt.script)
			got, err := b.probeAll(given...)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			for _, e := range tt.errs {
				if err == nil || !strings.Contains(err.Error(), e) {
					t.Errorf("error %v, want %q in it", err, e)
				}
			}
			if tt.errs == nil && err != nil {
				t.Error(err)
			}
			if b.readCalls() != "--status\n" { // one run a scan
				t.Errorf("called with %q", b.readCalls())
			}
		})
	}
	t.Run("SC-11 program missing", func(t *testing.T) {
		b := newFixture(t, "")
		os.Remove(b.path)
		if _, err := b.probeAll(given...); err == nil || !strings.Contains(err.Error(), b.path+": executable missing") {
			t.Errorf("error %v, want executable missing", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		b := newFixture(t, print+"exec sleep 1000")
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer cancel()
			for over := time.Now().Add(20 * time.Second); b.readCalls() == "" && time.Now().Before(over); {
				time.Sleep(5 * time.Millisecond)
			}
		}()
		err := b.Probe(ctx, given, func(p plugin.Probe) { t.Errorf("handed over %+v", p) })
		if !errors.Is(err, context.Canceled) || b.runner.Running() != 0 {
			t.Errorf("error %v, %d commands run", err, b.runner.Running())
		}
	})
}

// SC-11: the status of a thousand plugins is longer than the limit for other commands.
func TestProbeOfAThousand(t *testing.T) {
	b := newFixture(t, `cat "$SUPERVISOR_ROOT/status.json"`)
	var ps []plugin.Plugin
	var rows []string
	for i := range 1000 {
		ps = append(ps, plugin.Plugin{Name: fmt.Sprintf("plugin-with-a-name-%04d", i), Version: "1.0"})
		rows = append(rows, fmt.Sprintf("    {\n        \"name\": %q,\n        \"status\": \"PERSIST_RUNNING\",\n        \"version\": \"1.0\"\n    }", ps[i].Name))
	}
	out := "[\n" + strings.Join(rows, ",\n") + "\n]\n"
	if err := os.WriteFile(filepath.Join(b.root, "status.json"), []byte(out), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := b.probeAll(ps...)
	if err != nil || len(got) != len(ps) || len(out) < 64<<10 {
		t.Errorf("%d results of %d bytes, error %v", len(got), len(out), err)
	}
}

func TestVerbs(t *testing.T) {
	tests := map[string]struct {
		do     func(*fixture) plugin.Outcome
		script string
		args   string
		want   plugin.Outcome
		cause  string
	}{
		"start": {
			do:     func(b *fixture) plugin.Outcome { return b.Start(b.t.Context(), p1) },
			script: "echo started", args: "-e --local -P p -p --start\n",
			want: plugin.Outcome{Verb: plugin.VerbStart, Output: "started\n"},
		},
		"stop": {
			do:   func(b *fixture) plugin.Outcome { return b.Stop(b.t.Context(), p1) },
			args: "-e --local -P p -p --stop\n", want: plugin.Outcome{Verb: plugin.VerbStop},
		},
		"PL-17 restart": {
			do:   func(b *fixture) plugin.Outcome { return b.Restart(b.t.Context(), p1) },
			args: "-e --local -P p -p --restart\n", want: plugin.Outcome{Verb: plugin.VerbRestart},
		},
		"the plugin's exit code": {
			do:     func(b *fixture) plugin.Outcome { return b.Start(b.t.Context(), p1) },
			script: "exit 7", args: "-e --local -P p -p --start\n",
			want: plugin.Outcome{Verb: plugin.VerbStart, ExitCode: 7}, cause: "exit 7",
		},
		"RS-07 executable missing": {
			do:     func(b *fixture) plugin.Outcome { return b.Start(b.t.Context(), p1) },
			script: "exit 238", args: "-e --local -P p -p --start\n",
			want:  plugin.Outcome{Verb: plugin.VerbStart, ExitCode: 238},
			cause: "exit 238: package is not acceptable or its executable is missing",
		},
		"RS-08 deadline kept by the program": {
			do:     func(b *fixture) plugin.Outcome { return b.Start(b.t.Context(), p1) },
			script: "exit 247", args: "-e --local -P p -p --start\n",
			want: plugin.Outcome{Verb: plugin.VerbStart, ExitCode: 247, TimedOut: true}, cause: "exit 247: plugin did not exit in time",
		},
		"RS-07 program missing": {
			do: func(b *fixture) plugin.Outcome {
				os.Remove(b.path)
				return b.Start(b.t.Context(), p1)
			},
			want: plugin.Outcome{Verb: plugin.VerbStart, ExitCode: -1}, cause: "executable missing",
		},
		"ST-15 name": {
			do:   func(b *fixture) plugin.Outcome { return b.Start(b.t.Context(), plugin.Plugin{Name: "../p"}) },
			want: plugin.Outcome{Verb: plugin.VerbStart, ExitCode: -1}, cause: "which is not allowed",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newFixture(t, tt.script)
			got := tt.do(b)
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(plugin.Outcome{}, "Err")); diff != "" {
				t.Error(diff)
			}
			if !strings.Contains(got.Cause(), tt.cause) || (got.Err == nil) != (tt.cause == "") {
				t.Errorf("cause %q, want %q", got.Cause(), tt.cause)
			}
			if b.readCalls() != tt.args {
				t.Errorf("called with %q, want %q", b.readCalls(), tt.args)
			}
			_, err := os.Stat(layout.Log(b.root, "p"))
			if tt.args != "" && got.Verb.MayLeaveDaemon() != (err == nil) {
				t.Errorf("log: %v", err)
			}
		})
	}
}

// UP-06, SPEC 11: the deadline of the plugin, or of the offer, and a minute more.
func TestDeadline(t *testing.T) {
	m := New(Options{Path: "/manager", Root: "/base"})
	for given, want := range map[time.Duration]time.Duration{
		0: 2 * time.Minute, 20 * time.Second: 80 * time.Second, time.Hour: time.Hour + time.Minute,
	} {
		if got := m.newCommand(command{name: "p", verb: plugin.VerbUpgrade, timeout: given}).Timeout; got != want {
			t.Errorf("offer of %s: %s, want %s", given, got, want)
		}
		p := plugin.Plugin{Name: "p", Timeout: given}
		if got := m.newCommand(localCommand(p, plugin.VerbStart)).Timeout; got != want {
			t.Errorf("RS-02: plugin of %s: %s, want %s", given, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	for script, want := range map[string]plugin.Probe{
		"exit 0":   {Status: plugin.StatusRunning},
		"exit 3":   {Status: plugin.StatusFailed, Cause: "exit 3"},
		"exit 247": {Status: plugin.StatusFailed, Cause: "no answer in 20s", NoAnswer: true},
		"exit 234": {Status: plugin.StatusFailed, Cause: "exit 234: plugin not found"},
	} {
		t.Run("RS-06 "+script, func(t *testing.T) {
			b := newFixture(t, script)
			got := b.Check(t.Context(), p1)
			want.Plugin, want.At = p1, got.At
			if got != want || b.readCalls() != "-e --local -P p -p --status\n" {
				t.Errorf("got %+v after %q, want %+v", got, b.readCalls(), want)
			}
		})
	}
}
