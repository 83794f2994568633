package process

import (
	"syscall"
	"testing"
	"time"

	"pluginsupervisor/plugin"
)

// One process of a plugin exits and others live on: that is reported, and says
// which one it was.
func TestPartialExit(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	eachWay(t, func(t *testing.T, r *rigged) {
		r.subreap()
		t.Run("EV-23 the oldest", func(t *testing.T) {
			res := r.start("a", "serve", "3")
			r.signal(res.Processes[0], syscall.SIGKILL)
			e := r.part()
			want := plugin.Exit{Name: "a", RunID: res.Life, At: e.At, PID: res.Processes[0].PID, CauseKnown: true, Signal: "SIGKILL", Partial: true}
			if e != want {
				t.Errorf("reported %+v, want %+v", e, want)
			}
			for _, p := range res.Processes[1:] {
				r.signal(p, syscall.SIGKILL)
			}
			if e := r.explained(); e.Name != "a" || e.Partial || e.RunID != res.Life {
				t.Errorf("reported %+v", e)
			}
		})
		t.Run("EV-23 not a young one that is not the oldest", func(t *testing.T) {
			res := r.start("b", "serve", "3")
			r.signal(res.Processes[2], syscall.SIGKILL)
			r.signal(res.Processes[0], syscall.SIGKILL)
			if e := r.part(); e.PID != res.Processes[0].PID {
				t.Errorf("reported %+v of %+v", e, res.Processes)
			}
			r.noPart()
		})
		t.Run("EV-23 all at once are one exit", func(t *testing.T) {
			res := r.start("c", "serve", "3")
			r.tracker.mu.Lock() // however busy the machine, none is handled before all have exited
			for _, p := range res.Processes {
				r.signal(p, syscall.SIGKILL)
			}
			eventually(t, "all have exited", func() bool { return len(r.tracker.living(res.pids())) == 0 })
			r.tracker.mu.Unlock()
			if e := r.explained(); e.Name != "c" {
				t.Errorf("reported %+v", e)
			}
			r.noPart()
		})
		t.Run("EV-23 ever more rarely of a run whose processes come and go", func(t *testing.T) {
			res := r.start("d", "serve", "4")
			began := time.Now()
			for _, p := range res.Processes[:3] {
				r.signal(p, syscall.SIGKILL)
				if e := r.part(); e.PID != p.PID {
					t.Errorf("reported %+v, want of %+v", e, p)
				}
			}
			if took := time.Since(began); took < 3*partialGap {
				t.Errorf("three were reported within %v", took)
			}
		})
	})
}

// EV-23: all that is watched has exited at once, what was not watched lives on.
func TestPartialExitOfAllWatched(t *testing.T) {
	eachWay(t, func(t *testing.T, r *rigged) {
		res := r.start("a", "serve", "9")
		if len(res.Processes) != watchedMost+1 {
			t.Fatalf("%d processes", len(res.Processes))
		}
		for _, p := range res.Processes[:watchedMost] {
			r.signal(p, syscall.SIGKILL)
		}
		if e := r.part(); e.PID != res.Processes[0].PID || e.RunID != res.Life {
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

// part is the next exit that is reported of a single process.
func (r *rigged) part() plugin.Exit {
	r.t.Helper()
	select {
	case e := <-r.parts:
		return e
	case <-time.After(20 * time.Second):
		r.t.Fatal("no exit of a process was reported in 20 s")
		panic("unreachable")
	}
}

// noPart checks that none comes.
func (r *rigged) noPart() {
	r.t.Helper()
	select {
	case e := <-r.parts:
		r.t.Errorf("reported %+v", e)
	case <-time.After(5 * partialWait):
	}
}
