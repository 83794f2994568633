package actors

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

// TestYear runs for a virtual year with 20 plugins, two of them flapping, and prints
// the cost of each quarter. Nothing may accumulate. With the race detector a quarter
// is two weeks.
func TestYear(t *testing.T) {
	var names []string
	w := actorstest.NewWorld()
	for i := range 20 {
		name := fmt.Sprintf("p%02d", i)
		names = append(names, name)
		w.Plugins = append(w.Plugins, actorstest.Persist(uint64(i+1), name))
		w.Running[name] = true
	}
	w.OnReport = lazy
	cfg := DefaultConfig()
	cfg.Restart.OnHang = false
	began := time.Now()
	heap := make([]uint64, 0, 4)
	synctest.Test(t, func(t *testing.T) {
		s, err := Start(cfg, plugin.Memory{}, worldPorts(w))
		if err != nil {
			t.Fatal(err)
		}
		const day = 24 * time.Hour
		days := 91
		if underRace {
			days = 14
		}
		for quarter := range 4 {
			for range days {
				w.Set(func() { w.Running["p03"], w.Running["p07"] = false, false })
				actorstest.Advance(day / 2)
				setHeartbeats(w, names...)
				actorstest.Advance(day / 2)
				w.Set(func() { w.Calls, w.Reports, w.Events = nil, nil, nil })
			}
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			heap = append(heap, m.HeapAlloc/1024)
			got := status(t, s)
			t.Logf("quarter %d: %d scans, %d pulls (%d without news), %d restarts, %d reports, %d actors, heap %d KiB",
				quarter+1, got.Counters.Scans, got.Counters.Pulls, got.Counters.ReportsSuppressed, got.Counters.Restarts, got.Counters.ReportsDelivered,
				len(actorstest.Alive(s.actors)), heap[quarter])
		}
		if n := len(actorstest.Alive(s.actors)); n != 8 {
			t.Errorf("%d actors at the end: %v, want 8", n, actorstest.Alive(s.actors))
		}
		drainAll(t, s)
	})
	t.Logf("that took %v", time.Since(began).Round(time.Millisecond))
	if heap[3] > heap[0]*3/2+1024 {
		t.Errorf("the heap grew from %d to %d KiB, want at most %d", heap[0], heap[3], heap[0]*3/2+1024)
	}
	if len(w.Violations) > 0 {
		t.Errorf("violations %v, want none", w.Violations)
	}
}

// TestChaos makes things fail at random, also over restarts of the supervisor. Then it
// checks what must always hold: no two verbs of a plugin ran at once, no plugin was
// started while it ran, and in the end all run and the control plane knows it.
func TestChaos(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { runChaos(t, rand.New(rand.NewPCG(seed, 99))) })
	}
}

// runChaos runs one case of TestChaos.
func runChaos(t *testing.T, r *rand.Rand) {
	names := []string{"a", "b", "c", "d", "e", "f"}
	w := actorstest.NewWorld(actorstest.Once(10, "o"))
	for i, name := range names {
		w.Plugins = append(w.Plugins, actorstest.Persist(uint64(i+1), name))
	}
	reported := map[string]plugin.Status{}
	luck := rand.New(rand.NewPCG(r.Uint64(), 7)) // for the world, used under its lock
	var broken bool
	w.OnReport = func(int) (plugin.Answer, error) {
		w.Lock()
		defer w.Unlock()
		if broken && luck.IntN(2) == 0 {
			return plugin.Answer{}, [...]error{errAway, &plugin.HTTPError{Code: 403}, &plugin.HTTPError{Code: 503, RetryAfter: time.Minute}}[luck.IntN(3)]
		}
		for _, e := range w.Reports[len(w.Reports)-1].Entries {
			reported[e.Name] = e.Status
		}
		mode := plugin.ReportMode(luck.IntN(2))
		return plugin.Answer{ReportMode: &mode, RefreshInterval: time.Duration(luck.IntN(90)) * time.Second}, nil
	}
	w.OnUpdateCheck = func(int) (plugin.Updates, error) {
		w.Lock()
		defer w.Unlock()
		if !broken {
			return plugin.Updates{}, nil
		}
		return plugin.Updates{Changes: []plugin.Change{offer(names[luck.IntN(len(names))], fmt.Sprint(luck.IntN(9)))}}, nil
	}
	w.StartWorks = func(string) bool { return !broken || luck.IntN(3) > 0 }
	w.Latency = time.Second
	cfg := DefaultConfig()
	cfg.Intervals.Update = 10 * time.Minute
	for range 4 { // processes of the supervisor
		synctest.Test(t, func(t *testing.T) {
			s, err := Start(cfg, w.Saved, worldPorts(w))
			if err != nil {
				t.Fatal(err)
			}
			w.Set(func() { broken = true })
			for range 60 {
				name := names[r.IntN(len(names))]
				switch r.IntN(8) {
				case 0, 1, 2:
					w.Set(func() {
						if w.Busy[name] == 0 {
							w.Running[name] = false
						}
					})
				case 3:
					w.Set(func() { w.ProbeTime[name] = time.Duration(r.IntN(50)) * time.Second })
				case 4:
					w.Set(func() { w.VerbTime[name] = time.Duration(r.IntN(90)) * time.Second })
				case 5:
					setHeartbeats(w, name)
				case 6:
					_ = s.StopPlugin(t.Context(), name)
				case 7:
					_ = s.StartPlugin(t.Context(), name)
				}
				actorstest.Advance(time.Duration(r.IntN(600)) * time.Second)
			}
			drainAll(t, s)
			w.Set(func() { clear(w.Busy) }) // verbs that the end of the process cut off
		})
	}
	w.Set(func() {
		broken = false
		clear(w.ProbeTime)
		clear(w.VerbTime)
	})
	synctest.Test(t, func(t *testing.T) {
		s, err := Start(cfg, w.Saved, worldPorts(w))
		if err != nil {
			t.Fatal(err)
		}
		actorstest.Advance(time.Minute)
		for _, name := range names {
			if err := s.StartPlugin(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
		for range 60 {
			actorstest.Advance(time.Minute)
			setHeartbeats(w, names...)
		}
		for _, name := range names {
			wantState(t, s, name, plugin.StateRunning)
			if !w.Running[name] || reported[name] != plugin.StatusRunning {
				t.Errorf("%s runs %v, reported as %v; want true, running", name, w.Running[name], reported[name])
			}
		}
		if reported["o"] != plugin.StatusInstalled {
			t.Errorf("o was reported as %v, want installed", reported["o"])
		}
		if got := status(t, s).Reports; got.Pending != 0 || len(w.Saved.Pending) != 0 {
			t.Errorf("reports %+v, saved as pending %v; want none pending", got, w.Saved.Pending)
		}
		drainAll(t, s)
	})
	if len(w.Violations) > 0 {
		t.Errorf("violations %v, want none", w.Violations)
	}
}
