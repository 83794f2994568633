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

// The kernel tells of the end of a plugin, and how it ended.
func TestExitOfOwn(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	eachWay(t, func(t *testing.T, r *rigged) {
		r.subreap()
		t.Run("EV-01 EV-10 killed", func(t *testing.T) {
			res := r.start("a", "serve")
			r.signal(res.Processes[0], syscall.SIGKILL)
			e := r.exit()
			if e.Name != "a" || e.Life != res.Life || e.PID != res.Processes[0].PID || !e.Known || e.Signal != "SIGKILL" || e.Late {
				t.Errorf("told %+v of %+v", e, res)
			}
		})
		t.Run("EV-10 its exit code", func(t *testing.T) {
			res := r.start("a", "serve")
			r.signal(res.Processes[0], syscall.SIGUSR1)
			if e := r.exit(); !e.Known || e.Code != 7 || e.Signal != "" || e.Life != res.Life || res.Life != 2 {
				t.Errorf("told %+v of %+v", e, res)
			}
		})
		t.Run("EV-03 what it leaves is reaped", func(t *testing.T) {
			r.start("b", "serve", "3")
			zombies := func() (n int) {
				for _, pid := range children() {
					if s, err := procfs.ReadStat(pid); err == nil && !s.Live() {
						n++
					}
				}
				return n
			}
			all := r.alive()
			for _, pid := range all {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Error(err)
				}
			}
			r.exit()
			eventually(t, "no zombie", func() bool { return len(all) == 3 && zombies() == 0 })
		})
		t.Run("EV-10 the eldest tells why all have ended", func(t *testing.T) {
			res := r.start("c", "serve", "2")
			r.signal(res.Processes[0], syscall.SIGKILL)
			r.signal(res.Processes[1], syscall.SIGUSR1)
			if e := r.exit(); e.PID != res.Processes[0].PID || e.Signal != "SIGKILL" {
				t.Errorf("told %+v of %+v", e, res)
			}
		})
	})
}

// So it does of processes that were left by an earlier life of the supervisor
// and are init's.
func TestExitOfOthers(t *testing.T) {
	eachWay(t, func(t *testing.T, r *rigged) {
		for name, end := range map[string]struct {
			sig  syscall.Signal
			want plugin.Exit
		}{
			"EV-01 EV-10 killed":    {syscall.SIGKILL, plugin.Exit{Signal: "SIGKILL"}},
			"EV-10 its exit code":   {syscall.SIGUSR1, plugin.Exit{Code: 7}},
			"EV-10 ended by itself": {syscall.SIGUSR2, plugin.Exit{}},
		} {
			t.Run(name, func(t *testing.T) {
				res := r.start("a", "serve")
				r.signal(res.Processes[0], end.sig)
				e := r.explained()
				if e.Life != res.Life || e.PID != res.Processes[0].PID {
					t.Errorf("told %+v of %+v", e, res)
				}
				if tellsOthers(t) && (!e.Known || e.Signal != end.want.Signal || e.Code != end.want.Code) {
					t.Errorf("told as %q", e.Cause())
				}
			})
		}
	})
}

// A plugin has ended when its last process has, wherever that went.
func TestLastProcess(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	eachWay(t, func(t *testing.T, r *rigged) {
		r.subreap()
		t.Run("EV-01 the others do not count", func(t *testing.T) {
			res := r.start("a", "serve", "3")
			if len(res.Processes) != 3 {
				t.Fatalf("left %+v", res.Processes)
			}
			for _, p := range res.Processes[:2] {
				r.signal(p, syscall.SIGKILL)
			}
			r.quiet("two of three ended")
			r.signal(res.Processes[2], syscall.SIGKILL)
			if e := r.explained(); e.PID != res.Processes[2].PID && e.PID != res.Processes[0].PID {
				t.Errorf("told %+v", e)
			}
		})
		t.Run("EV-01 more than are watched", func(t *testing.T) {
			const n = 3 * watchedMost
			res := r.start("b", "serve", strconv.Itoa(n))
			for _, p := range res.Processes[:n-1] {
				r.signal(p, syscall.SIGKILL)
			}
			r.quiet("all but one ended")
			eventually(t, "one is alive", func() bool {
				ps, life, err := r.tracker.Alive("b")
				return len(ps) == 1 && life == res.Life && err == nil
			})
			r.signal(res.Processes[n-1], syscall.SIGKILL)
			if e := r.explained(); e.Name != "b" || e.Life != res.Life {
				t.Errorf("told %+v", e)
			}
		})
		if r.tracker.tree != nil { // faster than processes can be listed: only a cgroup holds that
			t.Run("EV-01 that follow each other", func(t *testing.T) {
				stop := filepath.Join(r.root, "stop")
				res := r.start("c", "relay", stop)
				eventually(t, "some generations", func() bool { return logged(filepath.Join(r.root, "c.log")) > 50 })
				r.quiet("generations ended")
				if err := os.WriteFile(stop, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				if e := r.explained(); e.Name != "c" || e.Life != res.Life {
					t.Errorf("told %+v of %+v", e, res)
				}
			})
		}
		t.Run("EV-01 not while it is being started", func(t *testing.T) {
			res := r.start("d", "serve")
			pid := strconv.Itoa(res.Processes[0].PID)
			again := r.runner.Run(t.Context(), r.of("d", "replace", pid))
			if again.Err != nil || again.Life <= res.Life || len(again.Processes) != 1 {
				t.Fatalf("replaced %+v by %+v", res, again)
			}
			r.quiet("replaced")
			r.signal(again.Processes[0], syscall.SIGKILL)
			if e := r.explained(); e.Life != again.Life {
				t.Errorf("told %+v of %+v", e, again)
			}
		})
	})
}

// What leaves its cgroup is watched all the same.
func TestMovedAway(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	r := newRig(t, plugin.WatchCgroup)
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
				res = r.start(name, "serve")
				move(res.Processes[0].PID)
			} else {
				res = r.start(name, "emigrate", home)
			}
			r.quiet("moved")
			ps, _, err := r.tracker.Alive(name)
			if err != nil || len(ps) != 1 {
				t.Fatalf("alive: %v %v", ps, err)
			}
			r.signal(ps[0], syscall.SIGKILL)
			if e := r.explained(); e.Name != name || e.Life != res.Life {
				t.Errorf("told %+v of %+v", e, res)
			}
		})
	}
}
