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

// daemon is a plugin with a process. %s is put before what it does at --start.
// The process ends after ten minutes, also when the test was killed.
const daemon = `
pid=$(cat "$PLUGIN_DIR/pid" 2>/dev/null)
case "$1" in
--status) test -n "$pid" && kill -0 "$pid" 2>/dev/null && grep -q daemon "/proc/$pid/cmdline" ;;
--start|--upgrade)
	test -n "$SICK" && exit 9
	setsid sh -c 'echo $$ > "$PLUGIN_DIR/pid"; for i in $(seq 12000); do sleep 0.05; done' daemon >/dev/null 2>&1 &
	while ! test -s "$PLUGIN_DIR/pid" || test "$(cat "$PLUGIN_DIR/pid")" = "$pid"; do sleep 0.01; done ;;
--stop) test -z "$pid" || kill "$pid"; rm -f "$PLUGIN_DIR/pid" ;;
esac
`

// The new versions there are.
var newVersions = map[string]struct {
	script string
	stays  bool
}{
	"good":         {daemon, true},
	"never starts": {"SICK=1" + daemon, false},
	"soon ends":    {strings.Replace(daemon, "for i in $(seq 12000); do sleep 0.05; done", "sleep 0.2", 1), false},
}

// changeBench has 1.0 installed and running, and 2.0 unpacked.
func changeBench(t *testing.T, script string, change func(*Options)) *bench {
	t.Helper()
	root := t.TempDir()
	tracker, err := process.NewTracker(process.TrackerOptions{Plugins: filepath.Join(root, "plugin")})
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(o *Options) {
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
	p := b.install("p", "1.0", daemon, "20")
	b.unpack("p", "0.9", daemon, "")
	b.unpack("p", "2.0", script, "")
	if got := b.Start(t.Context(), p); got.Err != nil {
		t.Fatalf("start: %+v", got)
	}
	return b
}

// versions are those of which a daemon lives, one each: what a daemon has just
// forked looks like another for a moment, and does not count.
func (b *bench) versions() (living []string) {
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

// settled checks that exactly one version is recorded and runs, and that
// nothing is left of the change.
func (b *bench) settled(want string) {
	b.t.Helper()
	if got := b.recorded("p").Version; got != want {
		b.t.Errorf("recorded: %s, want %s", got, want)
	}
	if got := b.versions(); !cmp.Equal(got, []string{want}) {
		b.t.Errorf("running: %v, want %s", got, want)
	}
	if pending, err := b.Unfinished(); len(pending) > 0 || err != nil {
		b.t.Errorf("unfinished: %+v %v", pending, err)
	}
}

func TestChange(t *testing.T) {
	for name, v := range newVersions {
		t.Run("UP-06 "+name, func(t *testing.T) {
			b := changeBench(t, v.script, nil)
			got := b.make(t.Context(), offer, plugin.ChangePermit{})
			if v.stays {
				if got.Err != nil || got.RolledBack || got.Status != plugin.StatusRunning || got.Plugin.Version != "2.0" || len(got.Processes) == 0 {
					t.Errorf("upgraded: %+v", got)
				}
				b.settled("2.0")
				if isFolder(b.dir("p", "0.9")) || !isFolder(b.dir("p", "1.0")) {
					t.Error("not the previous version alone is kept")
				}
				return
			}
			if got.Err == nil || !got.RolledBack || got.Status != plugin.StatusRunning || got.Plugin.Version != "1.0" {
				t.Errorf("upgraded: %+v", got)
			}
			b.settled("1.0")
			again := b.make(t.Context(), offer, plugin.ChangePermit{})
			if again.Err == nil || !strings.Contains(again.Cause(), "in quarantine until") || again.Status != plugin.StatusUnknown {
				t.Errorf("offered again: %+v", again)
			}
			forced := offer
			forced.Origin = plugin.FromOperator
			if again = b.make(t.Context(), forced, plugin.ChangePermit{}); !again.RolledBack {
				t.Errorf("forced: %+v", again)
			}
			b.settled("1.0")
		})
	}
	t.Run("what did not run before need not afterwards", func(t *testing.T) {
		b := changeBench(t, newVersions["never starts"].script, nil)
		if got := b.Stop(t.Context(), b.recorded("p")); got.Err != nil {
			t.Fatal(got.Err)
		}
		if got := b.make(t.Context(), offer, plugin.ChangePermit{}); got.Err == nil || got.RolledBack || got.Plugin.Version != "2.0" {
			t.Errorf("upgraded: %+v", got)
		}
	})
	t.Run("a new version that cannot be run is not tried", func(t *testing.T) {
		b := changeBench(t, "", nil)
		if err := os.WriteFile(filepath.Join(b.dir("p", "2.0"), "run"), []byte("no program"), 0o755); err != nil {
			t.Fatal(err)
		}
		before := len(b.calls())
		if got := b.make(t.Context(), offer, plugin.ChangePermit{}); got.Err == nil || got.RolledBack || got.Status != plugin.StatusUnknown {
			t.Errorf("upgraded: %+v", got)
		}
		if calls := b.calls()[before:]; !cmp.Equal(calls, []string{"--status 1.0 from -"}) {
			t.Errorf("ran %v", calls)
		}
		b.settled("1.0")
	})
	t.Run("told to end while it proves itself, it goes on proving", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		b := changeBench(t, daemon, func(o *Options) { o.Prove = time.Hour })
		b.hook(func(step string) error {
			if step == "prove" {
				time.AfterFunc(50*time.Millisecond, cancel)
			}
			return nil
		})
		if got := b.make(ctx, offer, plugin.ChangePermit{}); !errors.Is(got.Err, context.Canceled) || got.Status != plugin.StatusUnknown {
			t.Errorf("upgraded: %+v", got)
		}
		pending, err := b.Unfinished()
		if want := []plugin.Change{{Name: "p", Version: "2.0", Kind: plugin.ChangeResume, Origin: plugin.FromRecovery}}; err != nil || !cmp.Equal(pending, want) {
			t.Fatalf("unfinished: %+v %v", pending, err)
		}
		b.window = 100 * time.Millisecond
		if got := b.make(t.Context(), pending[0], plugin.ChangePermit{}); got.Err != nil || got.Plugin.Version != "2.0" || got.Previous != "1.0" {
			t.Errorf("resumed: %+v", got)
		}
		b.settled("2.0")
	})
}

// What cannot be undone yet is kept, and undone later: the record must not go
// on naming a version that is dropped.
func TestUndoThatIsRefused(t *testing.T) {
	var reader func()
	b := changeBench(t, newVersions["never starts"].script, func(o *Options) {
		o.Registry = registry.New(registry.Options{Root: o.Root, Wait: 50 * time.Millisecond})
	})
	b.hook(func(step string) (err error) {
		if step == "record 1.0" && reader == nil {
			reader, _, err = lock.Shared(t.Context(), filepath.Join(b.root, "plugin", "installed_plugins.db"), nil)
		}
		return err
	})
	got := b.make(t.Context(), offer, plugin.ChangePermit{})
	if !errors.Is(got.Err, registry.ErrLocked) {
		t.Errorf("upgraded: %+v", got)
	}
	reader()
	if pending, err := b.Unfinished(); len(pending) != 1 || err != nil {
		t.Fatalf("unfinished: %+v %v", pending, err)
	}
	b.nextAndStart()
	b.settled("1.0")
}

// A first version that is recorded already stays, whatever fails after that:
// there is nothing better to run.
func TestFirstVersionStays(t *testing.T) {
	b := newBench(t)
	b.unpack("p", "2.0", wellBehaved, "")
	c := b.newChange(transaction.Transaction{Name: "p", To: mustRecord(t, b.dir("p", "2.0")), Made: true, Step: transaction.Switching}, &interrupt{}, nil)
	if _, err := b.registry.Put(t.Context(), c.t.To); err != nil {
		t.Fatal(err)
	}
	c.undo(t.Context(), errors.New("disk full"))
	if got := b.recorded("p").Version; got != "2.0" || !isFolder(b.dir("p", "2.0")) {
		t.Errorf("recorded %q, its folder is there: %t", got, isFolder(b.dir("p", "2.0")))
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

// killed is what a point panics with at which the process is killed: nothing
// of it runs any more, deferred calls but release locks.
type killed struct{}

// TestChangeCutShort kills the change at each of its points, and has the next
// life go on.
func TestChangeCutShort(t *testing.T) {
	for name, v := range newVersions {
		t.Run(name, func(t *testing.T) {
			points := 0
			for at := 0; at <= points; at++ {
				passed, cut := []string{}, false
				b := changeBench(t, v.script, nil)
				b.hook(func(point string) error {
					if passed = append(passed, point); cut || at > 0 && len(passed) == at {
						cut = true
						panic(killed{})
					}
					return nil
				})
				b.killable(func(ctx context.Context) { b.make(ctx, offer, plugin.ChangePermit{}) })
				if at == 0 {
					points = len(passed)
					t.Logf("%d points: %s", points, strings.Join(passed, ", "))
				} else if !cut {
					t.Fatalf("not cut short at %d", at)
				}
				where := passed[len(passed)-1]
				b.nextAndStart()
				b.settledAfter(where, v.stays)
				if t.Failed() {
					t.Fatalf("cut short at %d, %q", at, where)
				}
			}
		})
	}
}

// killable runs work up to where a step kills it.
func (b *bench) killable(work func(ctx context.Context)) {
	defer func() {
		if r := recover(); r != nil && r != (killed{}) {
			panic(r)
		}
	}()
	work(b.t.Context())
}

// next is the next start of the supervisor: it resumes. Where an operator had
// stopped the plugin it says so.
func (b *bench) next(stopped bool) {
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
		b.make(b.t.Context(), o, permit)
	}
}

// options are those of the next life.
func (b *bench) options() Options {
	return Options{
		Root: b.root, Runner: b.runner, Registry: b.registry, Tracker: b.tracker, Grace: b.grace, Prove: b.window,
		Quarantine: b.quarantine, AllowDowngrade: true, Log: b.log, LocalOS: "linux", LocalArch: "x64",
	}
}

// nextAndStart is the next start of the supervisor, which then starts what does
// not run.
func (b *bench) nextAndStart() {
	b.t.Helper()
	b.next(false)
	p := b.recorded("p")
	if b.Check(b.t.Context(), p).Status != plugin.StatusRunning {
		if got := b.Start(b.t.Context(), p); got.Err != nil {
			b.t.Errorf("start of %s: %+v", p.Version, got)
		}
	}
}

// settledAfter checks the one version that there is: the new one only if it is good.
func (b *bench) settledAfter(where string, stays bool) {
	b.t.Helper()
	version := b.recorded("p").Version
	b.settled(version)
	if version == "2.0" && !stays || version != "1.0" && version != "2.0" {
		b.t.Errorf("after %q: %s", where, version)
	}
	if !isFolder(b.dir("p", version)) {
		b.t.Errorf("after %q: no folder", where)
	}
}
