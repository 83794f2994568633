package actors

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

// worldWithRunningPlugin returns a world in which "a" runs since an earlier process.
func worldWithRunningPlugin() *actorstest.World {
	w := watchedWorld("a")
	w.Saved.Restarts["a"] = plugin.RestartRecord{Last: plugin.Moment{Wall: actorstest.Epoch.Add(-time.Hour)}, RunningSince: plugin.Moment{Wall: actorstest.Epoch.Add(-time.Hour)}}
	w.Running["a"] = true
	w.Watched.Processes["a"] = []plugin.Process{{PID: 50, StartTicks: 7, BootID: "b"}}
	return w
}

// Work that a killed supervisor had under way is finished by the next one.
func TestWorkOfKilledProcess(t *testing.T) {
	t.Run("EV-14 a stop that was accepted and not made is made", func(t *testing.T) {
		w := worldWithRunningPlugin()
		w.Saved.Restarts["a"] = plugin.RestartRecord{Stopped: true, StopPending: true, Cause: "stopped by an operator"}
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(time.Second)
			if stops, starts := w.CountCalls("--stop", "a"), w.CountCalls("--start", "a"); stops != 1 || starts != 0 {
				t.Errorf("%d stops, %d starts; want 1, 0", stops, starts)
			}
			wantState(t, s, "a", plugin.StateStopped)
		})
	})
	t.Run("EV-07 a start of a plugin that runs: nothing is started, and it is watched", func(t *testing.T) {
		w := worldWithRunningPlugin()
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(time.Second)
			if err := s.StartPlugin(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(time.Second)
			if v := view(t, s, "a"); v.State != plugin.StateRunning || !slices.Equal(v.PIDs, []int{50}) || w.CountCalls("--start", "a") != 0 {
				t.Errorf("%+v; want state running, pids %v, no calls of --start of a", v, []int{50})
			}
		})
	})
	t.Run("EV-07 a start under way is no failure, and is finished", func(t *testing.T) {
		w := worldWithRunningPlugin()
		w.Running["a"] = false // --status does not report running yet
		cfg := testConfig()
		cfg.FirstRun.Scan = 0
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(time.Second)
			v := view(t, s, "a")
			if v.State != plugin.StateRunning || v.Failures != 0 || w.CountCalls("--start", "a") != 1 {
				t.Errorf("%+v; want state running, failures 0, 1 call of --start of a", v)
			}
			if got := actorstest.ReportTexts(w.TakeReports()); slices.Contains(got, "a=failed") {
				t.Errorf("reports %q, want no a=failed", got)
			}
		})
	})
	t.Run("EV-07 EV-01 a plugin that another program started is found by --status, and watched", func(t *testing.T) {
		w := watchedWorld("a", "b")
		w.Running["a"] = true
		w.Watched.External = map[string][]plugin.Process{"a": {{PID: 70, StartTicks: 7, BootID: "b"}}}
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(minute + 10*time.Second) // the first scan
			if v := view(t, s, "a"); v.State != plugin.StateRunning || !slices.Equal(v.PIDs, []int{70}) || w.CountCalls("--start", "a") != 0 {
				t.Errorf("%+v; want state running, pids %v, no calls of --start of a", v, []int{70})
			}
			w.Set(func() { w.Watched.External = nil })
			at := actorstest.Elapsed()
			w.ExitPlugins(plugin.Exit{CauseKnown: true, Signal: "SIGKILL", External: true}, "a")
			actorstest.Advance(time.Second)
			asked, started := w.CallTimes("--status", "a"), w.CallTimes("--start", "a")
			if len(started) != 1 || started[0] != at || !slices.Contains(asked, at) {
				t.Errorf("exited at %v, --status at %v, started at %v; want both at the exit", at, asked, started)
			}
			// A plugin that another program starts by then is not started but
			// found.
			w.Set(func() { w.Watched.External = map[string][]plugin.Process{"a": {{PID: 71, StartTicks: 8, BootID: "b"}}} })
			w.Set(func() { w.Statuses = map[string]plugin.Status{"a": plugin.StatusRunning} })
			actorstest.Advance(2 * minute) // it is healthy
			w.ExitPlugins(plugin.Exit{CauseKnown: true, Signal: "SIGKILL", External: true}, "a")
			actorstest.Advance(3 * time.Second) // --status is repeated for 2 s
			if v := view(t, s, "a"); v.State != plugin.StateRunning || !slices.Equal(v.PIDs, []int{71}) || w.CountCalls("--start", "a") != 1 {
				t.Errorf("%+v after %d starts; want state running, pids %v, 1 call of --start of a", v, w.CountCalls("--start", "a"), []int{71})
			}
		})
	})
	t.Run("EV-03 EV-07 plugins that were not reached in time are searched for at the next scan", func(t *testing.T) {
		var names []string
		for i := range 7 {
			names = append(names, fmt.Sprintf("p%d", i))
		}
		w := watchedWorld(names...)
		w.Watched.AdoptLimit = 2
		for i, name := range names {
			w.Running[name] = true
			w.Watched.Processes[name] = []plugin.Process{{PID: 50 + i, StartTicks: 7, BootID: "b"}}
		}
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2 * minute) // one scan
			for i, name := range names {
				if v := view(t, s, name); !slices.Equal(v.PIDs, []int{50 + i}) || v.Watch != plugin.WatchCgroup {
					t.Errorf("%+v; want pids %v, watch %v", v, []int{50 + i}, plugin.WatchCgroup)
				}
			}
		})
	})
	t.Run("EV-07 the processes of a plugin are searched for at each scan", func(t *testing.T) {
		w := worldWithRunningPlugin()
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(time.Second)
			w.Set(func() { w.Watched.Processes["a"] = []plugin.Process{{PID: 51, StartTicks: 8, BootID: "b"}} })
			actorstest.Advance(20 * minute)
			if v := view(t, s, "a"); !slices.Equal(v.PIDs, []int{51}) || v.Watch != plugin.WatchCgroup {
				t.Errorf("%+v; want pids %v, watch %v", v, []int{51}, plugin.WatchCgroup)
			}
			if got := w.Saved.Restarts["a"].Processes; len(got) != 1 || got[0].PID != 51 {
				t.Errorf("saved processes %v, want pid 51 only", got)
			}
		})
	})
}

// An operator's request during a change that a killed process had under way is done
// once by the next process, and not again by the one after it.
func TestRequestsOfAnEarlierProcess(t *testing.T) {
	tests := []struct {
		name       string
		request    plugin.Request
		stopped    bool
		unfinished bool // the change is unfinished too
		verb       string
		want       int // how often the first process does it
	}{
		{"a start of a running plugin", plugin.RequestStart, false, false, "--start", 0},
		{"a start of an exited plugin", plugin.RequestStart, true, false, "--start", 1},
		{"a restart", plugin.RequestRestart, false, false, "--restart", 1},
		{"a restart, after the change", plugin.RequestRestart, false, true, "--restart", 1},
		{"a rollback", plugin.RequestRollback, false, false, "rollback", 1},
		{"a rollback, after the change", plugin.RequestRollback, false, true, "rollback", 1},
		{"a removal", plugin.RequestRemove, false, false, "remove", 1},
	}
	for _, test := range tests {
		t.Run("UP-12 "+test.name, func(t *testing.T) {
			w := watchedWorld("a")
			w.Running["a"], w.VerbTime["a"] = !test.stopped, 0
			w.Saved.Restarts["a"] = plugin.RestartRecord{Requested: test.request}
			done := map[string]int{}
			w.OnChange = func(c plugin.Change) plugin.ChangeResult {
				p := actorstest.Persist(1, "a")
				w.Set(func() { done[c.Kind.String()]++ })
				if c.Kind == plugin.ChangeRemove {
					p.Removed = true
					w.Set(func() { w.Plugins = nil })
					return plugin.ChangeResult{Plugin: p, Status: plugin.StatusRemoved}
				}
				w.Set(func() { w.Running["a"] = true })
				return plugin.ChangeResult{Plugin: p, Previous: "0.9", Status: plugin.StatusRunning}
			}
			cfg := testConfig()
			cfg.FirstRun.Scan = time.Minute
			if test.unfinished {
				cfg.UnfinishedChanges = []plugin.Change{{Kind: plugin.ChangeResume, Origin: plugin.FromRecovery, Name: "a", Version: "2.0"}}
			}
			for process := range 2 { // the second does nothing
				inBubble(t, w, cfg, func(t *testing.T, s *System) {
					actorstest.Advance(20 * time.Minute)
					if got := done[test.verb] + w.CountCalls(test.verb, "a"); got != test.want {
						t.Errorf("after process %d: %s %d times, want %d", process+1, test.verb, got, test.want)
					}
				})
				if r := w.Saved.Restarts["a"].Requested; r != plugin.RequestNone {
					t.Errorf("after process %d: %q is saved, want no request", process+1, r)
				}
				cfg.UnfinishedChanges = nil
			}
		})
	}
}
