package process

import (
	"syscall"
	"testing"
	"time"

	"pluginsupervisor/plugin"
)

// The exit of one process while others are alive is reported with its pid.
func TestPartialExit(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	withAndWithoutCgroups(t, func(t *testing.T, r *testbed) {
		r.subreap()
		t.Run("EV-23 the oldest", func(t *testing.T) {
			res := r.startPlugin("a", "serve", "3")
			r.signalProcess(res.Processes[0], syscall.SIGKILL)
			e := r.nextPartialExit()
			want := plugin.Exit{Name: "a", RunID: res.RunID, At: e.At, PID: res.Processes[0].PID, CauseKnown: true, Signal: "SIGKILL", Partial: true}
			if e != want {
				t.Errorf("reported %+v, want %+v", e, want)
			}
			for _, p := range res.Processes[1:] {
				r.signalProcess(p, syscall.SIGKILL)
			}
			if e := r.nextKnownExit(); e.Name != "a" || e.Partial || e.RunID != res.RunID {
				t.Errorf("reported %+v", e)
			}
		})
		t.Run("EV-23 a young process that is not the oldest is ignored", func(t *testing.T) {
			res := r.startPlugin("b", "serve", "3")
			r.signalProcess(res.Processes[2], syscall.SIGKILL)
			r.signalProcess(res.Processes[0], syscall.SIGKILL)
			if e := r.nextPartialExit(); e.PID != res.Processes[0].PID {
				t.Errorf("reported %+v of %+v", e, res.Processes)
			}
			r.checkNoPartialExit()
		})
		t.Run("EV-23 all at once: one exit", func(t *testing.T) {
			res := r.startPlugin("c", "serve", "3")
			r.tracker.mu.Lock() // so that all have exited before the first is handled
			for _, p := range res.Processes {
				r.signalProcess(p, syscall.SIGKILL)
			}
			eventually(t, "all have exited", func() bool { return len(r.tracker.filterLive(res.pids())) == 0 })
			r.tracker.mu.Unlock()
			if e := r.nextKnownExit(); e.Name != "c" {
				t.Errorf("reported %+v", e)
			}
			r.checkNoPartialExit()
		})
		t.Run("EV-23 less and less often for processes that come and go", func(t *testing.T) {
			res := r.startPlugin("d", "serve", "4")
			began := time.Now()
			for _, p := range res.Processes[:3] {
				r.signalProcess(p, syscall.SIGKILL)
				if e := r.nextPartialExit(); e.PID != p.PID {
					t.Errorf("reported %+v, want the exit of %+v", e, p)
				}
			}
			if took := time.Since(began); took < 3*partialGap {
				t.Errorf("three exits were reported within %v", took)
			}
		})
	})
}

// EV-23: all watched processes exit at once, and one that is not watched lives on.
func TestPartialExitOfAllWatched(t *testing.T) {
	withAndWithoutCgroups(t, func(t *testing.T, r *testbed) {
		res := r.startPlugin("a", "serve", "9")
		if len(res.Processes) != maxWatched+1 {
			t.Fatalf("%d processes were left", len(res.Processes))
		}
		for _, p := range res.Processes[:maxWatched] {
			r.signalProcess(p, syscall.SIGKILL)
		}
		if e := r.nextPartialExit(); e.PID != res.Processes[0].PID || e.RunID != res.RunID {
			t.Errorf("reported %+v of %+v", e, res.Processes)
		}
	})
}

func (r Result) pids() (all []int) {
	for _, p := range r.Processes {
		all = append(all, p.PID)
	}
	return all
}

// nextPartialExit returns the next reported exit of a single process.
func (r *testbed) nextPartialExit() plugin.Exit {
	r.t.Helper()
	select {
	case e := <-r.parts:
		return e
	case <-time.After(20 * time.Second):
		r.t.Fatal("no exit of a process was reported in 20 s")
		panic("unreachable")
	}
}

// checkNoPartialExit fails the test if such an exit is reported.
func (r *testbed) checkNoPartialExit() {
	r.t.Helper()
	select {
	case e := <-r.parts:
		r.t.Errorf("reported %+v, want nothing", e)
	case <-time.After(5 * partialWait):
	}
}
