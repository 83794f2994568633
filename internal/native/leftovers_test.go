package native

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/cgroup"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/internal/testenv"
	"pluginsupervisor/plugin"
)

// daemonByFile leaves a daemon. It reports running while the file `running` is in
// its folder.
const daemonByFile = `
case "$1" in
--status) test -e "$PLUGIN_DIR/running" ;;
--start)  setsid sh -c 'while :; do sleep 1000; done' >/dev/null 2>&1 & ;;
esac
`

// withEachWatchMethod runs a test with a Tracker, with cgroups and without.
func withEachWatchMethod(t *testing.T, test func(t *testing.T, b *fixture)) {
	for _, way := range []plugin.WatchMethod{plugin.WatchCgroup, plugin.WatchPidfd} {
		t.Run(way.String(), func(t *testing.T) {
			root, log := t.TempDir(), logrus.New()
			log.SetOutput(t.Output())
			var tree *cgroup.Tree
			if way == plugin.WatchCgroup {
				var err error
				tree, err = cgroup.Open(cgroup.Options{Root: root, Log: log})
				if errors.Is(err, cgroup.ErrNone) {
					testenv.SkipWithout(t, testenv.Cgroup2, err)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			tracker, err := process.NewTracker(process.TrackerOptions{Tree: tree, Plugins: filepath.Join(root, "plugin"), Log: log})
			if err != nil {
				t.Fatal(err)
			}
			b := newFixture(t, func(o *Options) {
				o.Root, o.Tracker = root, tracker
				o.Runner = process.NewRunner(process.Options{Grace: 50 * time.Millisecond, Tracker: tracker})
				o.Registry = registry.New(registry.Options{Root: root})
			})
			t.Cleanup(func() {
				if err := tracker.KillPlugin(context.WithoutCancel(t.Context()), "p"); err != nil {
					t.Error(err)
				}
				if err := tracker.Close(); err != nil {
					t.Error(err)
				}
			})
			test(t, b)
		})
	}
}

// listProcesses returns the processes of the plugin.
func (b *fixture) listProcesses() []plugin.Process {
	b.t.Helper()
	ps, _, err := b.tracker.ListProcesses("p")
	if err != nil {
		b.t.Fatal(err)
	}
	return ps
}

func TestNeverTwice(t *testing.T) {
	const killed = "Plugin reports that it is not running; killing its leftover processes"
	withEachWatchMethod(t, func(t *testing.T, b *fixture) {
		p := b.install("p", "1.0", daemonByFile, "1")
		t.Run("EV-07 leftover processes are killed at the deadline", func(t *testing.T) {
			first := b.Start(t.Context(), p)
			if first.Err != nil || len(first.Processes) == 0 {
				t.Fatalf("started: %+v", first)
			}
			second := b.Start(t.Context(), p)
			if second.Err != nil || second.Skipped || len(second.Processes) == 0 || second.RunID <= first.RunID {
				t.Fatalf("started again: %+v", second)
			}
			for _, was := range first.Processes {
				for _, is := range b.listProcesses() {
					if was == is {
						t.Errorf("still there: %+v", was)
					}
				}
			}
			if len(b.findLogged(killed)) != 1 {
				t.Error("not logged")
			}
		})
		t.Run("EV-07 waits for a start in progress", func(t *testing.T) {
			before := b.listProcesses()
			slow := p
			slow.Timeout = time.Minute
			time.AfterFunc(50*time.Millisecond, func() { b.touch("plugin/p/1.0/running") })
			got, err := b.waitForLeftovers(t.Context(), slow)
			if !got || err != nil {
				t.Fatalf("runs: %t, %v", got, err)
			}
			if after := b.listProcesses(); after[0] != before[0] {
				t.Errorf("ran as %+v, runs as %+v", before, after)
			}
			if len(b.findLogged(killed)) != 1 {
				t.Error("the start in progress was killed")
			}
		})
		t.Run("EV-07 the wait ends with its context", func(t *testing.T) {
			if err := os.Remove(filepath.Join(b.root, "plugin/p/1.0/running")); err != nil {
				t.Fatal(err)
			}
			slow := p
			slow.Timeout = time.Hour
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
			if runs, err := b.waitForLeftovers(ctx, slow); runs || !errors.Is(err, context.Canceled) {
				t.Errorf("runs: %t, %v", runs, err)
			}
		})
		t.Run("EV-02 the leftovers of a stop are killed", func(t *testing.T) {
			if got := b.Stop(t.Context(), p); got.Err != nil {
				t.Errorf("stop: %+v", got)
			}
			if left := b.listProcesses(); len(left) > 0 {
				t.Errorf("left: %+v", left)
			}
		})
		t.Run("EV-02 the leftovers of a restart are killed", func(t *testing.T) {
			first := b.Start(t.Context(), p)
			if first.Err != nil || len(first.Processes) == 0 {
				t.Fatalf("started: %+v", first)
			}
			got := b.Restart(t.Context(), p)
			if got.Err != nil || len(got.Processes) == 0 || got.RunID <= first.RunID || got.Processes[0] == first.Processes[0] {
				t.Errorf("restarted %+v as %+v", first, got)
			}
		})
	})
}
