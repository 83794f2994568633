package native

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/internal/transaction"
	"pluginsupervisor/plugin"
)

// daemonScript is a plugin with a process. The process exits after ten minutes, also
// when the test was killed.
const daemonScript = `
pid=$(cat "$PLUGIN_DIR/pid" 2>/dev/null)
case "$1" in
--status) test -n "$pid" && kill -0 "$pid" 2>/dev/null && grep -q daemon "/proc/$pid/cmdline" ;;
--start|--upgrade)
	test -n "$BROKEN" && exit 9
	setsid sh -c 'echo $$ > "$PLUGIN_DIR/pid"; for i in $(seq 12000); do sleep 0.05; done' daemon >/dev/null 2>&1 &
	while ! test -s "$PLUGIN_DIR/pid" || test "$(cat "$PLUGIN_DIR/pid")" = "$pid"; do sleep 0.01; done ;;
--stop) test -z "$pid" || kill "$pid"; rm -f "$PLUGIN_DIR/pid" ;;
esac
`

// newVersions holds scripts of 2.0, and whether it stays.
var newVersions = map[string]struct {
	script string
	stays  bool
}{
	"good":         {daemonScript, true},
	"never starts": {"BROKEN=1" + daemonScript, false},
	"soon ends":    {strings.Replace(daemonScript, "for i in $(seq 12000); do sleep 0.05; done", "sleep 0.2", 1), false},
}

// newChangeFixture returns a fixture with 1.0 installed and running, and 2.0 unpacked.
func newChangeFixture(t *testing.T, script string, change func(*Options)) *fixture {
	t.Helper()
	root := t.TempDir()
	tracker, err := process.NewTracker(process.TrackerOptions{Plugins: filepath.Join(root, "plugin")})
	if err != nil {
		t.Fatal(err)
	}
	b := newFixture(t, func(o *Options) {
		o.Root, o.Tracker = root, tracker
		o.Runner = process.NewRunner(process.Options{Grace: 50 * time.Millisecond, Tracker: tracker})
		o.Registry = registry.New(registry.Options{Root: root})
		o.Prove, o.Quarantine = 600*time.Millisecond, time.Hour
		if change != nil {
			change(o)
		}
	})
	t.Cleanup(func() {
		if err := tracker.KillPlugin(context.WithoutCancel(t.Context()), "p"); err != nil {
			t.Error(err)
		}
		if err := tracker.Close(); err != nil {
			t.Error(err)
		}
	})
	p := b.install("p", "1.0", daemonScript, "20")
	b.unpack("p", "0.9", daemonScript, "")
	b.unpack("p", "2.0", script, "")
	if got := b.Start(t.Context(), p); got.Err != nil {
		t.Fatalf("start: %+v", got)
	}
	return b
}

// listRunningVersions returns the versions with a running daemon. A child that a
// daemon has just forked looks like another for a moment, and does not count.
func (b *fixture) listRunningVersions() (living []string) {
	b.t.Helper()
	found := map[string]string{} // by pid
	parent := map[string]string{}
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range procs {
		cmdline, _ := os.ReadFile(filepath.Join(proc, "cmdline"))
		environ, _ := os.ReadFile(filepath.Join(proc, "environ"))
		stat, _ := os.ReadFile(filepath.Join(proc, "stat"))
		_, fields, _ := strings.Cut(string(stat), ") ")
		if !strings.HasSuffix(string(cmdline), "\x00daemon\x00") || fields == "" || fields[0] == 'Z' {
			continue
		}
		for _, kv := range strings.Split(string(environ), "\x00") {
			if version, ours := strings.CutPrefix(kv, "PLUGIN_DIR="+filepath.Join(b.root, "plugin", "p")+"/"); ours {
				pid := filepath.Base(proc)
				found[pid], parent[pid] = version, strings.Fields(fields)[1]
			}
		}
	}
	for pid, version := range found {
		if _, forked := found[parent[pid]]; !forked {
			living = append(living, version)
		}
	}
	return living
}

// checkSettled checks that exactly one version is recorded and runs, and that the
// change is finished.
func (b *fixture) checkSettled(want string) {
	b.t.Helper()
	if got := b.findPlugin("p").Version; got != want {
		b.t.Errorf("recorded: %s, want %s", got, want)
	}
	if got := b.listRunningVersions(); !cmp.Equal(got, []string{want}) {
		b.t.Errorf("running: %v, want %s", got, want)
	}
	if pending, err := b.Unfinished(); len(pending) > 0 || err != nil {
		b.t.Errorf("unfinished: %+v %v", pending, err)
	}
}

func TestChange(t *testing.T) {
	for name, v := range newVersions {
		t.Run("UP-06 "+name, func(t *testing.T) {
			b := newChangeFixture(t, v.script, nil)
			got := b.fetchAndChange(t.Context(), offer, plugin.ChangePermit{})
			if v.stays {
				if got.Err != nil || got.RolledBack || got.Status != plugin.StatusRunning || got.Plugin.Version != "2.0" || len(got.Processes) == 0 {
					t.Errorf("upgraded: %+v", got)
				}
				b.checkSettled("2.0")
				if isFolder(b.versionFolder("p", "0.9")) || !isFolder(b.versionFolder("p", "1.0")) {
					t.Error("want the previous version kept, and no other")
				}
				return
			}
			if got.Err == nil || !got.RolledBack || got.Status != plugin.StatusRunning || got.Plugin.Version != "1.0" {
				t.Errorf("upgraded: %+v", got)
			}
			b.checkSettled("1.0")
			again := b.fetchAndChange(t.Context(), offer, plugin.ChangePermit{})
			if again.Err == nil || !strings.Contains(again.Cause(), "in quarantine until") || again.Status != plugin.StatusUnknown {
				t.Errorf("offered again: %+v", again)
			}
			forced := offer
			forced.Origin = plugin.FromOperator
			if again = b.fetchAndChange(t.Context(), forced, plugin.ChangePermit{}); !again.RolledBack {
				t.Errorf("forced: %+v", again)
			}
			b.checkSettled("1.0")
		})
	}
	t.Run("a version that did not run is not restored", func(t *testing.T) {
		b := newChangeFixture(t, newVersions["never starts"].script, nil)
		if got := b.Stop(t.Context(), b.findPlugin("p")); got.Err != nil {
			t.Fatal(got.Err)
		}
		if got := b.fetchAndChange(t.Context(), offer, plugin.ChangePermit{}); got.Err == nil || got.RolledBack || got.Plugin.Version != "2.0" {
			t.Errorf("upgraded: %+v", got)
		}
	})
	t.Run("a new version that cannot be run is not tried", func(t *testing.T) {
		b := newChangeFixture(t, "", nil)
		if err := os.WriteFile(filepath.Join(b.versionFolder("p", "2.0"), "run"), []byte("no program"), 0o755); err != nil {
			t.Fatal(err)
		}
		before := len(b.readCalls())
		if got := b.fetchAndChange(t.Context(), offer, plugin.ChangePermit{}); got.Err == nil || got.RolledBack || got.Status != plugin.StatusUnknown {
			t.Errorf("upgraded: %+v", got)
		}
		if calls := b.readCalls()[before:]; !cmp.Equal(calls, []string{"--status 1.0 from -"}) {
			t.Errorf("ran %v", calls)
		}
		b.checkSettled("1.0")
	})
	t.Run("shut down while it proves itself, the next supervisor goes on", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		b := newChangeFixture(t, daemonScript, func(o *Options) { o.Prove = time.Hour })
		b.setStep(func(step string) error {
			if step == "prove" {
				time.AfterFunc(50*time.Millisecond, cancel)
			}
			return nil
		})
		if got := b.fetchAndChange(ctx, offer, plugin.ChangePermit{}); !errors.Is(got.Err, context.Canceled) || got.Status != plugin.StatusUnknown {
			t.Errorf("upgraded: %+v", got)
		}
		pending, err := b.Unfinished()
		if want := []plugin.Change{{Name: "p", Version: "2.0", Kind: plugin.ChangeResume, Origin: plugin.FromRecovery}}; err != nil || !cmp.Equal(pending, want) {
			t.Fatalf("unfinished: %+v %v", pending, err)
		}
		b.proveWindow = 100 * time.Millisecond
		if got := b.fetchAndChange(t.Context(), pending[0], plugin.ChangePermit{}); got.Err != nil || got.Plugin.Version != "2.0" || got.Previous != "1.0" {
			t.Errorf("resumed: %+v", got)
		}
		b.checkSettled("2.0")
	})
}

// A change that cannot be undone yet is undone later: the record must not go on
// naming a version that is removed.
func TestUndoThatIsRefused(t *testing.T) {
	var reader func()
	b := newChangeFixture(t, newVersions["never starts"].script, func(o *Options) {
		o.Registry = registry.New(registry.Options{Root: o.Root, Wait: 50 * time.Millisecond})
	})
	b.setStep(func(step string) (err error) {
		if step == "record 1.0" && reader == nil {
			reader, _, err = lock.Shared(t.Context(), filepath.Join(b.root, "plugin", "installed_plugins.db"), nil)
		}
		return err
	})
	got := b.fetchAndChange(t.Context(), offer, plugin.ChangePermit{})
	if !errors.Is(got.Err, registry.ErrLocked) {
		t.Errorf("upgraded: %+v", got)
	}
	reader()
	if pending, err := b.Unfinished(); len(pending) != 1 || err != nil {
		t.Fatalf("unfinished: %+v %v", pending, err)
	}
	b.restartAndStart()
	b.checkSettled("1.0")
}

// A first version that is recorded already stays, whatever fails after that: there
// is no better version to run.
func TestFirstVersionStays(t *testing.T) {
	b := newFixture(t)
	b.unpack("p", "2.0", okScript, "")
	c := b.newChange(transaction.Transaction{Name: "p", To: mustRecord(t, b.versionFolder("p", "2.0")), Made: true, Step: transaction.Switching}, &interrupt{}, nil)
	if _, err := b.registry.Put(t.Context(), c.t.To); err != nil {
		t.Fatal(err)
	}
	c.undo(t.Context(), errors.New("disk full"))
	if got := b.findPlugin("p").Version; got != "2.0" || !isFolder(b.versionFolder("p", "2.0")) {
		t.Errorf("recorded %q, its folder is there: %t", got, isFolder(b.versionFolder("p", "2.0")))
	}
	if pending, err := b.Unfinished(); len(pending) > 0 || err != nil {
		t.Errorf("unfinished: %+v %v", pending, err)
	}
}

func mustRecord(t *testing.T, dir string) record.Record {
	t.Helper()
	config, err := record.ReadPackageConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	return config.Record()
}

// processKilled is the panic of a step at which the process is killed. Deferred calls
// only release locks.
type processKilled struct{}

// TestChangeKilled kills the change at each of its steps, and lets the next
// supervisor continue.
func TestChangeKilled(t *testing.T) {
	for name, v := range newVersions {
		t.Run(name, func(t *testing.T) {
			points := 0
			for at := 0; at <= points; at++ {
				passed, cut := []string{}, false
				b := newChangeFixture(t, v.script, nil)
				b.setStep(func(point string) error {
					if passed = append(passed, point); cut || at > 0 && len(passed) == at {
						cut = true
						panic(processKilled{})
					}
					return nil
				})
				b.runKillable(func(ctx context.Context) { b.fetchAndChange(ctx, offer, plugin.ChangePermit{}) })
				if at == 0 {
					points = len(passed)
					t.Logf("%d points: %s", points, strings.Join(passed, ", "))
				} else if !cut {
					t.Fatalf("not killed at step %d", at)
				}
				where := passed[len(passed)-1]
				b.restartAndStart()
				b.checkSettledAfter(where, v.stays)
				if t.Failed() {
					t.Fatalf("killed at step %d, %q", at, where)
				}
			}
		})
	}
}

// runKillable runs work until a step kills it.
func (b *fixture) runKillable(work func(ctx context.Context)) {
	defer func() {
		if r := recover(); r != nil && r != (processKilled{}) {
			panic(r)
		}
	}()
	work(b.t.Context())
}

// restartSupervisor resumes changes as the next supervisor does. stopped: an
// operator has stopped the plugin.
func (b *fixture) restartSupervisor(stopped bool) {
	b.t.Helper()
	b.Manager = New(b.options())
	pending, err := b.Unfinished()
	if err != nil {
		b.t.Error(err)
	}
	var permit plugin.ChangePermit
	if stopped {
		requests := make(chan plugin.Interruption, 1)
		requests <- plugin.Interruption{LeaveStopped: true}
		permit.Interrupt = requests
	}
	for _, o := range pending {
		b.fetchAndChange(b.t.Context(), o, permit)
	}
}

// options returns the options of the next supervisor.
func (b *fixture) options() Options {
	return Options{
		Root: b.root, Runner: b.runner, Registry: b.registry, Tracker: b.tracker, Grace: b.grace, Prove: b.proveWindow,
		Quarantine: b.quarantine.duration, AllowDowngrade: true, Log: b.log, LocalOS: "linux", LocalArch: "x64",
	}
}

// restartAndStart resumes changes as the next supervisor does, and starts the plugin
// if it does not run.
func (b *fixture) restartAndStart() {
	b.t.Helper()
	b.restartSupervisor(false)
	p := b.findPlugin("p")
	if b.Check(b.t.Context(), p).Status != plugin.StatusRunning {
		if got := b.Start(b.t.Context(), p); got.Err != nil {
			b.t.Errorf("start of %s: %+v", p.Version, got)
		}
	}
}

// checkSettledAfter checks that one version is installed, the new one only if it is
// good.
func (b *fixture) checkSettledAfter(where string, stays bool) {
	b.t.Helper()
	version := b.findPlugin("p").Version
	b.checkSettled(version)
	if version == "2.0" && !stays || version != "1.0" && version != "2.0" {
		b.t.Errorf("after %q: %s", where, version)
	}
	if !isFolder(b.versionFolder("p", version)) {
		b.t.Errorf("after %q: no folder", where)
	}
}
