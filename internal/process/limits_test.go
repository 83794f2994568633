package process

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/testenv"
	"pluginsupervisor/plugin"
)

func TestLimits(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	r := newTestbed(t, plugin.WatchCgroup)
	r.subreap()
	limit := func(t *testing.T, name string, l plugin.Limits) {
		t.Helper()
		if not := r.tracker.SetLimits(name, l); len(not) > 0 {
			testenv.SkipWithout(t, testenv.Limits, not)
		}
	}
	t.Run("EV-17 they apply from the first instruction", func(t *testing.T) {
		limit(t, "a", plugin.Limits{PIDs: 100, Memory: 256 << 20, CPU: 0.5})
		if res := r.runner.Run(t.Context(), r.daemonCommand("a", "cgroup")); res.Err != nil {
			t.Fatal(res.Err)
		}
		log, err := os.ReadFile(filepath.Join(r.root, "a.log"))
		if err != nil {
			t.Fatal(err)
		}
		within := regexp.MustCompile(`(?m)^\d+:(.*):.*/a$`)
		var controllers []string
		for _, m := range within.FindAllStringSubmatch(string(log), -1) {
			controllers = append(controllers, strings.Split(m[1], ",")...)
		}
		for _, c := range []string{"", "pids", "memory", "cpu"} {
			if !slices.Contains(controllers, c) && !slices.Equal(controllers, []string{""}) { // all in one hierarchy
				t.Errorf("not in the leaf of %q:\n%s", c, log)
			}
		}
		if b, err := os.ReadFile("/proc/thread-self/cgroup"); err != nil || within.Match(b) {
			t.Errorf("the supervisor's thread is in the leaf: %s %v", b, err)
		}
	})
	t.Run("EV-17 a fork bomb is limited", func(t *testing.T) {
		limit(t, "b", plugin.Limits{PIDs: 20})
		c := r.daemonCommand("b", "")
		c.Path, c.Args = "/bin/sh", []string{"-c", `setsid sh -c 'while :; do sleep 1000 & done' >/dev/null 2>&1 & sleep 0.2`}
		res := r.runner.Run(t.Context(), c)
		if n := len(r.listAlive()); res.Err != nil || n == 0 || n > 20 {
			t.Errorf("%d processes, result %+v", n, res)
		}
		if err := r.tracker.KillPlugin(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		r.nextExit()
	})
	t.Run("EV-10 the cause is out of memory", func(t *testing.T) {
		limit(t, "c", plugin.Limits{Memory: 100 << 20})
		for range 2 {
			res := r.startPlugin("c", "useMemory")
			r.signalProcess(res.Processes[0], syscall.SIGUSR1)
			if e := r.nextExit(); !e.OOM || e.Signal != "SIGKILL" || e.RunID != res.RunID {
				t.Errorf("reported %+v, want the exit of %+v", e, res)
			}
		}
	})
	t.Run("EV-10 also during a start", func(t *testing.T) {
		res := r.runner.Run(t.Context(), r.daemonCommand("c", "gorge"))
		if res.Err == nil || res.Err.Error() != "out of memory" || res.Signal != syscall.SIGKILL {
			t.Errorf("result %+v", res)
		}
	})
	t.Run("EV-10 a SIGKILL is not reported as out of memory", func(t *testing.T) {
		res := r.startPlugin("c", "serve")
		r.signalProcess(res.Processes[0], syscall.SIGKILL)
		if e := r.nextExit(); e.OOM {
			t.Errorf("reported %+v, want the exit of %+v", e, res)
		}
	})
}

// EV-17: SetLimits returns the limits that cannot be enforced, with the reason.
func TestLimitsNowhere(t *testing.T) {
	r := newTestbed(t, plugin.WatchPidfd)
	want := []string{"cpu: no cgroup", "memory: no cgroup", "pids: no cgroup"}
	if d := cmp.Diff(want, r.tracker.SetLimits("a", plugin.Limits{CPU: 1, Memory: 1, PIDs: 1})); d != "" {
		t.Error(d)
	}
	if not := r.tracker.SetLimits("a", plugin.Limits{PIDs: 1}); !slices.Equal(not, want[2:]) {
		t.Errorf("%q", not)
	}
}
