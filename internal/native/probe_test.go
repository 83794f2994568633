package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/process"
	"pluginsupervisor/plugin"
)

// hangingScript never returns, nor does its child. It writes the pids of both for
// the test.
const hangingScript = `
trap '' TERM
echo $$ > "$PLUGIN_DIR/parent"
sleep 1000 &
echo $! > "$PLUGIN_DIR/child"
wait
`

func TestCheck(t *testing.T) {
	b := newFixture(t)
	tests := map[string]struct {
		script string
		spoil  func(dir string)
		status plugin.Status
		cause  string
	}{
		"running":   {script: "exit 0", status: plugin.StatusRunning},
		"exit code": {script: "exit 3", status: plugin.StatusFailed, cause: "exit 3"},
		"signal":    {script: "kill -9 $$", status: plugin.StatusFailed, cause: "killed by SIGKILL"},
		"RS-07 executable missing": {
			spoil:  func(dir string) { os.Remove(filepath.Join(dir, "run")) },
			status: plugin.StatusFailed, cause: "executable missing",
		},
		"RS-07 folder missing": {
			spoil:  func(dir string) { os.RemoveAll(dir) },
			status: plugin.StatusFailed, cause: "executable missing",
		},
		"RS-07 not executable": {
			spoil:  func(dir string) { os.Chmod(filepath.Join(dir, "run"), 0o644) },
			status: plugin.StatusFailed, cause: "not executable",
		},
		"RS-07 no program": {
			spoil:  func(dir string) { os.WriteFile(filepath.Join(dir, "run"), []byte("\x00\x01"), 0o755) },
			status: plugin.StatusFailed, cause: "not an executable format",
		},
		"link inside the package": {
			spoil: func(dir string) {
				os.Rename(filepath.Join(dir, "run"), filepath.Join(dir, "real"))
				os.Symlink("real", filepath.Join(dir, "run"))
			},
			status: plugin.StatusRunning,
		},
		"ST-15 link out of the package": {
			spoil: func(dir string) {
				os.Remove(filepath.Join(dir, "run"))
				os.Symlink("/bin/true", filepath.Join(dir, "run"))
			},
			status: plugin.StatusFailed, cause: "path escapes",
		},
		"environment": {
			script: `test "$PLUGIN_DIR" = "` + b.root + `/plugin/environment/1.0" && test "${PRE_PLUGIN_DIR-unset}" = "" && test "$PWD" = / && test -n "$PATH"`,
			status: plugin.StatusRunning,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			name := strings.ReplaceAll(name, " ", "_")
			p := b.install(name, "1.0", tt.script, "20")
			if tt.spoil != nil {
				tt.spoil(filepath.Join(b.root, "plugin", name, "1.0"))
			}
			got := b.Check(t.Context(), p)
			if got.Status != tt.status || !strings.Contains(got.Cause, tt.cause) || (got.Cause == "") != (tt.cause == "") {
				t.Errorf("got %v, cause %q; want %v, %q", got.Status, got.Cause, tt.status, tt.cause)
			}
			if diff := cmp.Diff(p, got.Plugin); diff != "" || got.At.IsZero() {
				t.Errorf("at %v, plugin %s", got.At, diff)
			}
		})
	}
	t.Run("ST-15 path out of the installation", func(t *testing.T) {
		for _, p := range []plugin.Plugin{
			{Name: "..", Version: "1.0", RunPath: "run"},
			{Name: "p", Version: "../1.0", RunPath: "run"},
			{Name: "p", Version: "1.0", RunPath: "../../../bin/true"},
			{Name: "p", Version: "1.0", RunPath: "/bin/true"},
			{Name: "p", Version: "1.0"},
		} {
			if got := b.Check(t.Context(), p); got.Status != plugin.StatusFailed || got.Cause == "" || got.Cause == "executable missing" {
				t.Errorf("%+v: %v, cause %q", p, got.Status, got.Cause)
			}
		}
	})
}

// SC-08: hung probes free their slots; SC-09: the results of the others come while
// those hang.
func TestProbeBesideHungOnes(t *testing.T) {
	b := newFixture(t, func(o *Options) { o.Parallel = 2 })
	b.probePatience = 10 * time.Millisecond
	var ps []plugin.Plugin
	for i := range 2 { // as many as there are slots, and first
		ps = append(ps, b.install(fmt.Sprintf("hung%d", i), "1.0", hangingScript, "3600"))
	}
	for i := range 6 {
		ps = append(ps, b.install(fmt.Sprintf("ok%d", i), "1.0", "exit 0", "60"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	busy, got := false, map[string]plugin.Status{}
	err := b.Probe(ctx, ps, func(p plugin.Probe) {
		if busy {
			t.Error("two results at once")
		}
		busy = true
		if got[p.Plugin.Name] = p.Status; len(got) == 6 {
			cancel()
		}
		busy = false
	})
	if !errors.Is(err, context.Canceled) || b.runner.Running() != 0 {
		t.Errorf("error %v, %d commands run", err, b.runner.Running())
	}
	want := map[string]plugin.Status{}
	for _, p := range ps[2:] {
		want[p.Name] = plugin.StatusRunning
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// SC-09: at its deadline the whole process tree of a hung probe is killed.
func TestHungProbeLeavesNothing(t *testing.T) {
	b := newFixture(t)
	ps := []plugin.Plugin{b.install("hung", "1.0", hangingScript, "1"), b.install("ok", "1.0", "exit 0", "60")}
	got := map[string]string{}
	if err := b.Probe(t.Context(), ps, func(p plugin.Probe) { got[p.Plugin.Name] = p.Cause }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"hung": "no answer in 1s", "ok": ""}, got); diff != "" {
		t.Error(diff)
	}
	for _, who := range []string{"parent", "child"} {
		if isAlive(t, filepath.Join(b.root, "plugin", "hung", "1.0", who)) {
			t.Errorf("%s is left over", who)
		}
	}
}

// SC-08: never more at once than the bound, while none is slow.
func TestProbeIsBounded(t *testing.T) {
	b := newFixture(t, func(o *Options) { o.Parallel = 3 })
	b.probePatience = time.Minute
	// Each takes a number of its own by mkdir; a fourth fails.
	script := `for i in 1 2 3; do mkdir "` + b.root + `/slot$i" 2>/dev/null && break; i=; done
test -n "$i" || exit 9
sleep 0.05; rmdir "` + b.root + `/slot$i"`
	var ps []plugin.Plugin
	for i := range 12 {
		ps = append(ps, b.install(fmt.Sprintf("p%d", i), "1.0", script, "20"))
	}
	var causes []string
	if err := b.Probe(t.Context(), ps, func(p plugin.Probe) { causes = append(causes, p.Cause) }); err != nil {
		t.Fatal(err)
	}
	if len(causes) != len(ps) {
		t.Errorf("%d results", len(causes))
	}
	if slices.Contains(causes, "exit 9") {
		t.Errorf("more than 3 probes ran at once")
	}
}

func TestProbeCancelled(t *testing.T) {
	b := newFixture(t)
	p := b.install("hung", "1.0", hangingScript, "60")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		eventually(t, "probe runs", func() bool {
			raw, _ := os.ReadFile(filepath.Join(b.root, "plugin", "hung", "1.0", "child"))
			return len(raw) > 0
		})
	}()
	err := b.Probe(ctx, []plugin.Plugin{p}, func(p plugin.Probe) { t.Errorf("unexpected result: %+v", p) })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if isAlive(t, filepath.Join(b.root, "plugin", "hung", "1.0", "child")) {
		t.Error("a process is left over")
	}
	if got := b.Check(ctx, p); got.Status != plugin.StatusUnknown {
		t.Errorf("check with a cancelled context: %v", got.Status)
	}
}

// frozenRunner runs nothing. For the plugin frozen it does not return until thaw is
// closed.
type frozenRunner struct {
	thaw  chan struct{}
	asked atomic.Int32
}

func (f *frozenRunner) Run(_ context.Context, c process.Command) process.Result {
	if c.Plugin == "frozen" {
		f.asked.Add(1)
		<-f.thaw
	}
	return process.Result{}
}

// SC-09, EV-24: a `--status` that cannot be killed, as on a file system that does
// not answer, leaves the status unknown. It delays no scan, and does not pile up.
func TestProbeThatCannotBeKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runner := &frozenRunner{thaw: make(chan struct{})}
		m := New(Options{Root: t.TempDir(), Runner: runner})
		var ps []plugin.Plugin
		for _, name := range []string{"frozen", "fine"} {
			p := plugin.Plugin{Name: name, Version: "1", RunPath: "run", Type: plugin.Persist, Timeout: 2 * time.Second}
			ps = append(ps, p)
			path := filepath.Join(m.versionFolder(p.Name, p.Version), p.RunPath)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o755)); err != nil {
				t.Fatal(err)
			}
		}
		scan := func() map[string]plugin.Probe {
			got := map[string]plugin.Probe{}
			if err := m.Probe(t.Context(), ps, func(p plugin.Probe) { got[p.Plugin.Name] = p }); err != nil {
				t.Fatal(err)
			}
			return got
		}
		for scanned := range 3 {
			began := time.Now()
			got := scan()
			if got["fine"].Status != plugin.StatusRunning {
				t.Errorf("scan %d: fine is %v", scanned, got["fine"].Status)
			}
			if f := got["frozen"]; f.Status != plugin.StatusUnknown || !f.HostFault || !strings.Contains(f.Cause, "cannot be killed") {
				t.Errorf("scan %d: frozen is %v: %s", scanned, f.Status, f.Cause)
			}
			if took := time.Since(began); took > 2*time.Second+DefaultGrace+unkillableGrace {
				t.Errorf("scan %d took %v", scanned, took)
			}
		}
		if n := runner.asked.Load(); n != 1 {
			t.Errorf("%d --status of frozen were run, want 1", n)
		}
		close(runner.thaw)
		synctest.Wait()
		if got := scan(); got["frozen"].Status != plugin.StatusRunning {
			t.Errorf("after it thawed: %v", got["frozen"].Status)
		}
	})
}
