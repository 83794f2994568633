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

// What an earlier life of the supervisor has left running is watched again.
func TestAdopt(t *testing.T) {
	eachWay(t, func(t *testing.T, r *rigged) {
		way := plugin.WatchPidfd
		if r.tracker.tree != nil {
			way = plugin.WatchCgroup
		}
		t.Run("EV-07 what runs", func(t *testing.T) {
			known, found := r.start("known", "serve", "2"), r.start("found", "serve")
			r.begin(way)
			got := r.tracker.Adopt(t.Context(), []plugin.Target{
				target("known", known.Processes...), target("found"), target("none"),
			})
			want := []plugin.Sighting{
				{Name: "known", Life: 1, Processes: known.Processes, Watch: way},
				{Name: "found", Life: 1, Processes: found.Processes, Watch: way},
				{Name: "none", Watch: way},
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Fatal(d)
			}
			for name, ps := range map[string][]plugin.Process{"known": known.Processes, "found": found.Processes} {
				for _, p := range ps {
					r.signal(p, syscall.SIGKILL)
				}
				if e := r.explained(); e.Name != name || e.Life != 1 {
					t.Errorf("told %+v", e)
				}
			}
		})
		t.Run("EV-07 what is watched already is told of, and is the same life", func(t *testing.T) {
			again := r.start("again", "serve", "2")
			first := r.tracker.Adopt(t.Context(), []plugin.Target{target("again", again.Processes...)})
			r.signal(again.Processes[0], syscall.SIGKILL)
			want := []plugin.Sighting{{Name: "again", Life: first[0].Life, Processes: again.Processes[1:], Watch: way}}
			var got []plugin.Sighting
			for over := time.Now().Add(10 * time.Second); time.Now().Before(over) && !cmp.Equal(got, want); time.Sleep(time.Millisecond) {
				got = r.tracker.Adopt(t.Context(), []plugin.Target{target("again")})
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
		t.Run("EV-08 not what has its number", func(t *testing.T) {
			stranger := startStranger(t)
			for what, other := range map[string]plugin.Process{
				"of another time": {PID: stranger.PID, Born: stranger.Born - 1, Boot: stranger.Boot},
				"of another boot": {PID: stranger.PID, Born: stranger.Born, Boot: "00000000-0000-0000-0000-000000000000"},
			} {
				if got := r.tracker.Adopt(t.Context(), []plugin.Target{target("a", other)}); len(got[0].Processes) > 0 {
					t.Errorf("%s: adopted %+v", what, got)
				}
				if err := kill(plugin.Process{PID: other.PID, Born: stranger.Born - 1}, syscall.SIGKILL); err != nil {
					t.Error(err)
				}
				if err := r.tracker.Kill(t.Context(), "a"); err != nil {
					t.Error(err)
				}
				if s, err := procfs.ReadStat(stranger.PID); err != nil || !s.Live() {
					t.Fatalf("%s: signalled", what)
				}
			}
		})
		t.Run("EV-09 not what has ended meanwhile", func(t *testing.T) {
			res := r.start("b", "serve")
			r.end()
			r.signal(res.Processes[0], syscall.SIGKILL)
			eventually(t, "ended", func() bool {
				s, err := procfs.ReadStat(res.Processes[0].PID)
				return err != nil || !s.Live()
			})
			r.begin(way)
			if got := r.tracker.Adopt(t.Context(), []plugin.Target{target("b", res.Processes...)}); len(got[0].Processes) > 0 {
				t.Errorf("adopted %+v", got)
			}
			r.quiet("adopted nothing")
		})
		t.Run("EV-07 a second time is the same", func(t *testing.T) {
			res := r.start("c", "serve")
			for range 2 {
				got := r.tracker.Adopt(t.Context(), []plugin.Target{target("c", res.Processes...)})
				if got[0].Life != res.Life || !slices.Equal(got[0].Processes, res.Processes) {
					t.Errorf("adopted %+v of %+v", got, res)
				}
			}
			r.signal(res.Processes[0], syscall.SIGKILL)
			if e := r.explained(); e.Name != "c" || e.Life != res.Life {
				t.Errorf("told %+v of %+v", e, res)
			}
		})
	})
}

// Leaves of what is no plugin any more go, unless something runs in them.
func TestAdoptLeaves(t *testing.T) {
	r := newRig(t, plugin.WatchCgroup)
	ended, runs := r.start("ended", "serve"), r.start("runs", "serve")
	r.signal(ended.Processes[0], syscall.SIGKILL)
	r.exit()
	r.tracker.Adopt(t.Context(), nil)
	for name, there := range map[string]bool{"ended": false, "runs": true} {
		if _, err := os.Stat(filepath.Join(r.tracker.tree.Dir(), name)); (err == nil) != there {
			t.Errorf("%s: leaf is there: %t", name, err == nil)
		}
	}
	if ps, _, err := r.tracker.Alive("runs"); !slices.Equal(ps, runs.Processes) || err != nil {
		t.Errorf("alive: %+v %v, started %+v", ps, err, runs.Processes)
	}
}

// EV-07: what was only being asked when the supervisor was killed is ended at
// its deadline, or with the next supervisor: nobody else would.
func TestAdoptProbes(t *testing.T) {
	for name, c := range map[string]struct {
		deadline time.Duration
		closed   bool
	}{
		"at its deadline":          {50 * time.Millisecond, false},
		"with the next supervisor": {time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, plugin.WatchCgroup)
			probes, err := r.tracker.tree.Probes("a")
			if err != nil {
				t.Fatal(err)
			}
			command := r.of("a", "hang")
			probe := exec.Command(command.Path)
			probe.Env = command.Env
			err = probes.Fork(func(fd int) error {
				probe.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd}
				return probe.Start()
			})
			if err != nil {
				t.Fatal(err)
			}
			adopted := target("a")
			adopted.Plugin.Timeout = c.deadline
			if got := r.tracker.Adopt(t.Context(), []plugin.Target{adopted}); len(got[0].Processes) > 0 {
				t.Errorf("a probe was adopted: %+v", got)
			}
			exited := make(chan error, 1)
			go func() { exited <- probe.Wait() }()
			if c.closed {
				r.end()
				if _, err := os.Stat(probes.Dir()); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("the cgroup of its probes is left: %v", err)
				}
			}
			if err := <-exited; err == nil || probe.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Errorf("ended: %v", err)
			}
		})
	}
}

func target(name string, ps ...plugin.Process) plugin.Target {
	return plugin.Target{Plugin: plugin.Plugin{Name: name, Timeout: 50 * time.Millisecond}, Processes: ps}
}

// startStranger is a process that is nobody's plugin.
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
	return plugin.Process{PID: cmd.Process.Pid, Born: s.Born, Boot: boot}
}
