package native

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

func TestStartAndStop(t *testing.T) {
	b := newFixture(t)
	p := b.install("p", "1.0", okScript, "20")
	if got := b.Check(t.Context(), p); got.Status != plugin.StatusFailed {
		t.Fatalf("before: %v", got.Status)
	}
	if got := b.Start(t.Context(), p); !reflect.DeepEqual(got, (plugin.Outcome{Verb: plugin.VerbStart})) {
		t.Errorf("start: %+v", got)
	}
	if got := b.Check(t.Context(), p); got.Status != plugin.StatusRunning {
		t.Errorf("started: %v, %s", got.Status, got.Cause)
	}
	if got := b.Stop(t.Context(), p); !reflect.DeepEqual(got, (plugin.Outcome{Verb: plugin.VerbStop})) {
		t.Errorf("stop: %+v", got)
	}
	want := []string{
		"--status 1.0 from -", "--start 1.0 from -", "--status 1.0 from -",
		"--stop 1.0 from -", "--status 1.0 from -",
	}
	if diff := cmp.Diff(want, b.readCalls()); diff != "" {
		t.Error(diff)
	}
}

func TestStartFails(t *testing.T) {
	b := newFixture(t)
	tests := map[string]struct {
		script   string
		spoil    bool
		timeout  string
		cause    string
		code     int
		timedOut bool
		output   string
	}{
		"exit code":                {script: `echo cannot open /etc/x.conf >&2; exit 3`, cause: "exit 3", code: 3, output: "cannot open /etc/x.conf\n"},
		"RS-07 executable missing": {spoil: true, cause: "executable missing", code: -1},
		"RS-02 own deadline":       {script: hangingScript, timeout: "1", cause: "did not return within 1s (--start must put the daemon in the background and return)", code: -1, timedOut: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			name := strings.ReplaceAll(name, " ", "_")
			p := b.install(name, "1.0", tt.script, tt.timeout)
			dir := filepath.Join(b.root, "plugin", name, "1.0")
			if tt.spoil {
				os.Remove(filepath.Join(dir, "run"))
			}
			got := b.Start(t.Context(), p)
			want := plugin.Outcome{Verb: plugin.VerbStart, ExitCode: tt.code, TimedOut: tt.timedOut, Output: tt.output, Err: got.Err}
			if !reflect.DeepEqual(got, want) || got.Cause() != tt.cause {
				t.Errorf("got %+v, want %+v with cause %s", got, want, tt.cause)
			}
			for _, who := range []string{"parent", "child"} { // RS-08
				if isAlive(t, filepath.Join(dir, who)) {
					t.Errorf("RS-08: %s is left over", who)
				}
			}
		})
	}
	t.Run("RS-07 recovers by itself", func(t *testing.T) {
		b.unpack("RS-07_executable_missing", "1.0", "exit 0", "")
		if got := b.Start(t.Context(), b.findPlugin("RS-07_executable_missing")); got.Err != nil {
			t.Error(got.Err)
		}
	})
	t.Run("removed", func(t *testing.T) {
		p := b.install("gone", "1.0", okScript, "20")
		if err := b.registry.MarkRemoved(t.Context(), "gone"); err != nil {
			t.Fatal(err)
		}
		before := b.readCalls()
		if got := b.Start(t.Context(), p); !errors.Is(got.Err, plugin.ErrNotInstalled) {
			t.Errorf("got %+v", got)
		}
		if diff := cmp.Diff(before, b.readCalls()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		p := b.install("slow", "1.0", hangingScript, "3600")
		ctx, cancel := context.WithCancel(t.Context())
		child := filepath.Join(b.root, "plugin", "slow", "1.0", "child")
		go func() {
			defer cancel()
			eventually(t, "start runs", func() bool { return isAlive(t, child) })
		}()
		if got := b.Start(ctx, p); !errors.Is(got.Err, context.Canceled) || got.TimedOut {
			t.Errorf("got %+v", got)
		}
		if isAlive(t, child) {
			t.Error("a process is left over")
		}
	})
}

// SPEC 11: a daemon's output goes to its log, also after `--start` has returned. A
// verb that leaves no daemon has no log.
func TestDaemonWritesToItsLog(t *testing.T) {
	b := newFixture(t)
	p := b.install("p", "1.0", `
case "$1" in
--start) (read x < "$PLUGIN_DIR/go"; echo later) & echo started ;;
*) echo unseen ;;
esac`, "20")
	fifo := filepath.Join(b.root, "plugin", "p", "1.0", "go")
	makeFIFO(t, fifo)
	if got := b.Start(t.Context(), p); got.Err != nil || got.Output != "started\n" {
		t.Fatalf("start: %+v", got)
	}
	if got := b.Stop(t.Context(), p); got.Output != "unseen\n" {
		t.Errorf("stop: %+v", got)
	}
	if err := os.WriteFile(fifo, []byte("x\n"), 0); err != nil { // ends the daemon
		t.Fatal(err)
	}
	eventually(t, "the daemon's last line is in its log", func() bool {
		raw, err := os.ReadFile(layout.Log(b.root, "p"))
		return err == nil && string(raw) == "started\nlater\n"
	})
}

func TestRestart(t *testing.T) {
	// It reports not running only at the third --status.
	lingers := `
if test "$1" = --stop; then touch "$PLUGIN_DIR/stopping"; exit 4; fi
if test "$1" = --status && test -e "$PLUGIN_DIR/stopping"; then
	echo x >> "$PLUGIN_DIR/asked"
	test $(wc -l < "$PLUGIN_DIR/asked") -lt 3
	exit
fi` + okScript
	tests := map[string]struct {
		script  string
		timeout string
		cause   string
		verb    plugin.Verb
		code    int
		started bool
	}{
		"PL-17 stopped and started":              {script: okScript, timeout: "60", verb: plugin.VerbStart, started: true},
		"PL-17 waits until it has stopped":       {script: lingers, timeout: "60", verb: plugin.VerbStart, started: true},
		"PL-17 stopped although its stop fails":  {script: `case "$1" in --stop) exit 5 ;; --status) exit 1 ;; esac`, timeout: "60", verb: plugin.VerbStart, started: true},
		"PL-17 start fails":                      {script: `test "$1" = --stop || exit 6`, timeout: "60", verb: plugin.VerbStart, code: 6, cause: "exit 6", started: true},
		"PL-17 never a second copy":              {script: `exit 0`, timeout: "3", verb: plugin.VerbStop, cause: "still running 3s after --stop"},
		"PL-17 its stop fails and it still runs": {script: `test "$1" != --stop || exit 5`, timeout: "3", verb: plugin.VerbStop, code: 5, cause: "exit 5: still running 3s after --stop"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newFixture(t)
			p := b.install("p", "1.0", tt.script, tt.timeout)
			got := b.Restart(t.Context(), p)
			if got.Verb != tt.verb || got.ExitCode != tt.code || got.Cause() != tt.cause {
				t.Errorf("got %+v", got)
			}
			started := slices.Contains(b.readCalls(), "--start 1.0 from -")
			if started != tt.started {
				t.Errorf("started %t: %q", started, b.readCalls())
			}
		})
	}
}
