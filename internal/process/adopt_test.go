package process

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/plugin"
)

// Processes that an earlier run of the supervisor left are watched again.
func TestAdopt(t *testing.T) {
	withAndWithoutCgroups(t, func(t *testing.T, r *testbed) {
		way := plugin.WatchPidfd
		if r.tracker.tree != nil {
			way = plugin.WatchCgroup
		}
		t.Run("EV-07 running processes", func(t *testing.T) {
			known, found := r.startPlugin("known", "serve", "2"), r.startPlugin("found", "serve")
			r.startRun(way)
			got := r.tracker.Adopt(t.Context(), []plugin.WatchTarget{
				newTarget("known", known.Processes...), newTarget("found"), newTarget("none"),
			})
			want := []plugin.Observed{
				{Name: "known", RunID: 1, Processes: known.Processes, Watch: way},
				{Name: "found", RunID: 1, Processes: found.Processes, Watch: way},
				{Name: "none", Watch: way},
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Fatal(d)
			}
			for name, ps := range map[string][]plugin.Process{"known": known.Processes, "found": found.Processes} {
				for _, p := range ps {
					r.signalProcess(p, syscall.SIGKILL)
				}
				if e := r.nextKnownExit(); e.Name != name || e.RunID != 1 {
					t.Errorf("reported %+v", e)
				}
			}
		})
		t.Run("EV-07 a watched plugin is returned with the same run ID", func(t *testing.T) {
			again := r.startPlugin("again", "serve", "2")
			first := r.tracker.Adopt(t.Context(), []plugin.WatchTarget{newTarget("again", again.Processes...)})
			r.signalProcess(again.Processes[0], syscall.SIGKILL)
			want := []plugin.Observed{{Name: "again", RunID: first[0].RunID, Processes: again.Processes[1:], Watch: way}}
			var got []plugin.Observed
			for over := time.Now().Add(10 * time.Second); time.Now().Before(over) && !cmp.Equal(got, want); time.Sleep(time.Millisecond) {
				got = r.tracker.Adopt(t.Context(), []plugin.WatchTarget{newTarget("again")})
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
		t.Run("EV-08 a process with a reused pid is not adopted", func(t *testing.T) {
			stranger := startStranger(t)
			for what, other := range map[string]plugin.Process{
				"of another time": {PID: stranger.PID, StartTicks: stranger.StartTicks - 1, BootID: stranger.BootID},
				"of another boot": {PID: stranger.PID, StartTicks: stranger.StartTicks, BootID: "00000000-0000-0000-0000-000000000000"},
			} {
				if got := r.tracker.Adopt(t.Context(), []plugin.WatchTarget{newTarget("a", other)}); len(got[0].Processes) > 0 {
					t.Errorf("%s: adopted %+v", what, got)
				}
				if err := signalProcess(plugin.Process{PID: other.PID, StartTicks: stranger.StartTicks - 1}, syscall.SIGKILL); err != nil {
					t.Error(err)
				}
				if err := r.tracker.KillPlugin(t.Context(), "a"); err != nil {
					t.Error(err)
				}
				if s, err := procfs.ReadStat(stranger.PID); err != nil || !s.Live() {
					t.Fatalf("%s: signalled", what)
				}
			}
		})
		t.Run("EV-09 an exited process is not adopted", func(t *testing.T) {
			res := r.startPlugin("b", "serve")
			r.end()
			r.signalProcess(res.Processes[0], syscall.SIGKILL)
			eventually(t, "ended", func() bool {
				s, err := procfs.ReadStat(res.Processes[0].PID)
				return err != nil || !s.Live()
			})
			r.startRun(way)
			if got := r.tracker.Adopt(t.Context(), []plugin.WatchTarget{newTarget("b", res.Processes...)}); len(got[0].Processes) > 0 {
				t.Errorf("adopted %+v", got)
			}
			r.checkNoExit("adopted nothing")
		})
		t.Run("EV-07 a second call returns the same", func(t *testing.T) {
			res := r.startPlugin("c", "serve")
			for range 2 {
				got := r.tracker.Adopt(t.Context(), []plugin.WatchTarget{newTarget("c", res.Processes...)})
				if got[0].RunID != res.RunID || !slices.Equal(got[0].Processes, res.Processes) {
					t.Errorf("adopted %+v of %+v", got, res)
				}
			}
			r.signalProcess(res.Processes[0], syscall.SIGKILL)
			if e := r.nextKnownExit(); e.Name != "c" || e.RunID != res.RunID {
				t.Errorf("reported %+v, want the exit of %+v", e, res)
			}
		})
	})
}

// The leaf of an unknown plugin is removed, unless a process runs in it.
func TestAdoptLeaves(t *testing.T) {
	r := newTestbed(t, plugin.WatchCgroup)
	ended, runs := r.startPlugin("ended", "serve"), r.startPlugin("runs", "serve")
	r.signalProcess(ended.Processes[0], syscall.SIGKILL)
	r.nextExit()
	r.tracker.Adopt(t.Context(), nil)
	for name, there := range map[string]bool{"ended": false, "runs": true} {
		if _, err := os.Stat(filepath.Join(r.tracker.tree.Dir(), name)); (err == nil) != there {
			t.Errorf("%s: leaf exists: %t", name, err == nil)
		}
	}
	if ps, _, err := r.tracker.ListProcesses("runs"); !slices.Equal(ps, runs.Processes) || err != nil {
		t.Errorf("alive: %+v %v, started %+v", ps, err, runs.Processes)
	}
}

// EV-07: a status probe that a killed supervisor left is killed at its deadline, or when the next
// supervisor stops before that.
func TestAdoptProbes(t *testing.T) {
	for name, c := range map[string]struct {
		deadline time.Duration
		closed   bool
	}{
		"at its deadline":                {50 * time.Millisecond, false},
		"when the next supervisor stops": {time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestbed(t, plugin.WatchCgroup)
			probes, err := r.tracker.tree.Probes("a")
			if err != nil {
				t.Fatal(err)
			}
			command := r.daemonCommand("a", "hang")
			probe := exec.Command(command.Path)
			probe.Env = command.Env
			err = probes.Fork(func(fd int) error {
				probe.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd}
				return probe.Start()
			})
			if err != nil {
				t.Fatal(err)
			}
			adopted := newTarget("a")
			adopted.Plugin.Timeout = c.deadline
			if got := r.tracker.Adopt(t.Context(), []plugin.WatchTarget{adopted}); len(got[0].Processes) > 0 {
				t.Errorf("adopted %+v, want no probe", got)
			}
			exited := make(chan error, 1)
			go func() { exited <- probe.Wait() }()
			if c.closed {
				r.end()
				if _, err := os.Stat(probes.Dir()); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("the cgroup of the probes: %v, want none", err)
				}
			}
			if err := <-exited; err == nil || probe.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Errorf("status of the probe: %v, want killed", err)
			}
		})
	}
}

func newTarget(name string, ps ...plugin.Process) plugin.WatchTarget {
	return plugin.WatchTarget{Plugin: plugin.Plugin{Name: name, Timeout: 50 * time.Millisecond}, Processes: ps}
}

// startStranger starts a process that belongs to no plugin.
func startStranger(t *testing.T) plugin.Process {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = withHelper(os.Environ(), "hang")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	s, err := procfs.ReadStat(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	boot, err := procfs.BootID()
	if err != nil {
		t.Fatal(err)
	}
	return plugin.Process{PID: cmd.Process.Pid, StartTicks: s.Born, BootID: boot}
}
