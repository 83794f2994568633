package process

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/plugin"
)

// The exit of our own child is reported with its cause.
func TestExitOfOwn(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	withAndWithoutCgroups(t, func(t *testing.T, r *testbed) {
		r.subreap()
		t.Run("EV-01 EV-10 killed", func(t *testing.T) {
			res := r.startPlugin("a", "serve")
			r.signalProcess(res.Processes[0], syscall.SIGKILL)
			e := r.nextExit()
			if e.Name != "a" || e.RunID != res.RunID || e.PID != res.Processes[0].PID || !e.CauseKnown || e.Signal != "SIGKILL" || e.Late {
				t.Errorf("reported %+v, want the exit of %+v", e, res)
			}
		})
		t.Run("EV-10 exit code", func(t *testing.T) {
			res := r.startPlugin("a", "serve")
			r.signalProcess(res.Processes[0], syscall.SIGUSR1)
			if e := r.nextExit(); !e.CauseKnown || e.Code != 7 || e.Signal != "" || e.RunID != res.RunID || res.RunID != 2 {
				t.Errorf("reported %+v, want the exit of %+v", e, res)
			}
		})
		t.Run("EV-03 its orphans are reaped", func(t *testing.T) {
			r.startPlugin("b", "serve", "3")
			zombies := func() (n int) {
				for _, pid := range listChildren() {
					if s, err := procfs.ReadStat(pid); err == nil && !s.Live() {
						n++
					}
				}
				return n
			}
			all := r.listAlive()
			for _, pid := range all {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Error(err)
				}
			}
			r.nextExit()
			eventually(t, "no zombie", func() bool { return len(all) == 3 && zombies() == 0 })
		})
		t.Run("EV-10 the cause is that of the oldest process", func(t *testing.T) {
			res := r.startPlugin("c", "serve", "2")
			r.signalProcess(res.Processes[0], syscall.SIGKILL)
			r.signalProcess(res.Processes[1], syscall.SIGUSR1)
			if e := r.nextExit(); e.PID != res.Processes[0].PID || e.Signal != "SIGKILL" {
				t.Errorf("reported %+v, want the exit of %+v", e, res)
			}
		})
	})
}

// So is the exit of processes that an earlier run of the supervisor left. Their parent is init.
func TestExitOfOthers(t *testing.T) {
	withAndWithoutCgroups(t, func(t *testing.T, r *testbed) {
		for name, end := range map[string]struct {
			sig  syscall.Signal
			want plugin.Exit
		}{
			"EV-01 EV-10 killed":    {syscall.SIGKILL, plugin.Exit{Signal: "SIGKILL"}},
			"EV-10 its exit code":   {syscall.SIGUSR1, plugin.Exit{Code: 7}},
			"EV-10 ended by itself": {syscall.SIGUSR2, plugin.Exit{}},
		} {
			t.Run(name, func(t *testing.T) {
				res := r.startPlugin("a", "serve")
				r.signalProcess(res.Processes[0], end.sig)
				e := r.nextKnownExit()
				if e.RunID != res.RunID || e.PID != res.Processes[0].PID {
					t.Errorf("reported %+v, want the exit of %+v", e, res)
				}
				if kernelReportsOthers(t) && (!e.CauseKnown || e.Signal != end.want.Signal || e.Code != end.want.Code) {
					t.Errorf("cause is %q", e.Cause())
				}
			})
		}
	})
}

// A plugin has exited when its last process has exited, wherever that process has moved.
func TestLastProcess(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	withAndWithoutCgroups(t, func(t *testing.T, r *testbed) {
		r.subreap()
		t.Run("EV-01 earlier exits do not count", func(t *testing.T) {
			res := r.startPlugin("a", "serve", "3")
			if len(res.Processes) != 3 {
				t.Fatalf("left %+v", res.Processes)
			}
			for _, p := range res.Processes[:2] {
				r.signalProcess(p, syscall.SIGKILL)
			}
			r.checkNoExit("two of three ended")
			r.signalProcess(res.Processes[2], syscall.SIGKILL)
			if e := r.nextKnownExit(); e.PID != res.Processes[2].PID && e.PID != res.Processes[0].PID {
				t.Errorf("reported %+v", e)
			}
		})
		t.Run("EV-01 more processes than are watched", func(t *testing.T) {
			const n = 3 * maxWatched
			res := r.startPlugin("b", "serve", strconv.Itoa(n))
			for _, p := range res.Processes[:n-1] {
				r.signalProcess(p, syscall.SIGKILL)
			}
			r.checkNoExit("all but one ended")
			eventually(t, "one is alive", func() bool {
				ps, life, err := r.tracker.ListProcesses("b")
				return len(ps) == 1 && life == res.RunID && err == nil
			})
			r.signalProcess(res.Processes[n-1], syscall.SIGKILL)
			if e := r.nextKnownExit(); e.Name != "b" || e.RunID != res.RunID {
				t.Errorf("reported %+v", e)
			}
		})
		if r.tracker.tree != nil { // faster than processes can be listed: only a cgroup shows it
			t.Run("EV-01 processes that replace each other", func(t *testing.T) {
				stop := filepath.Join(r.root, "stop")
				res := r.startPlugin("c", "relay", stop)
				eventually(t, "some generations", func() bool { return fileSize(filepath.Join(r.root, "c.log")) > 50 })
				r.checkNoExit("generations ended")
				if err := os.WriteFile(stop, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				if e := r.nextKnownExit(); e.Name != "c" || e.RunID != res.RunID {
					t.Errorf("reported %+v, want the exit of %+v", e, res)
				}
			})
		}
		t.Run("EV-01 no exit while it is being started", func(t *testing.T) {
			res := r.startPlugin("d", "serve")
			pid := strconv.Itoa(res.Processes[0].PID)
			again := r.runner.Run(t.Context(), r.daemonCommand("d", "replace", pid))
			if again.Err != nil || again.RunID <= res.RunID || len(again.Processes) != 1 {
				t.Fatalf("replaced %+v by %+v", res, again)
			}
			r.checkNoExit("replaced")
			r.signalProcess(again.Processes[0], syscall.SIGKILL)
			if e := r.nextKnownExit(); e.RunID != again.RunID {
				t.Errorf("reported %+v, want the exit of %+v", e, again)
			}
		})
	})
}

// A process that leaves its cgroup is still watched.
func TestMovedAway(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	r := newTestbed(t, plugin.WatchCgroup)
	r.subreap()
	for _, when := range []string{"after", "before"} {
		t.Run("EV-01 "+when+" it is watched", func(t *testing.T) {
			name := "moves-" + when
			home := filepath.Join(filepath.Dir(r.tracker.tree.Dir()), "cgroup.procs")
			move := func(pid int) {
				if err := os.WriteFile(home, []byte(strconv.Itoa(pid)), 0); err != nil {
					t.Fatal(err)
				}
			}
			var res Result
			if when == "after" {
				res = r.startPlugin(name, "serve")
				move(res.Processes[0].PID)
			} else {
				res = r.startPlugin(name, "moveCgroup", home)
			}
			r.checkNoExit("moved")
			ps, _, err := r.tracker.ListProcesses(name)
			if err != nil || len(ps) != 1 {
				t.Fatalf("alive: %v %v", ps, err)
			}
			r.signalProcess(ps[0], syscall.SIGKILL)
			if e := r.nextKnownExit(); e.Name != name || e.RunID != res.RunID {
				t.Errorf("reported %+v, want the exit of %+v", e, res)
			}
		})
	}
}
