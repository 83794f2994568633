package actors

import (
	"fmt"
	"testing"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

// A plugin that hangs delays no other.
func TestHungChecks(t *testing.T) {
	t.Run("SC-08 a hung --status does not delay the restart of a plugin without heartbeats", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "hung"), actorstest.Persist(2, "noheartbeat"))
		w.Plugins[0].Timeout = time.Hour
		w.LastHeartbeat["hung"], w.LastHeartbeat["noheartbeat"] = actorstest.Epoch, actorstest.Epoch
		w.ProbeTime["hung"] = 50 * time.Minute
		cfg := testConfig()
		cfg.FirstRun.Scan, cfg.Intervals.Scan = 30*time.Second, 1000*time.Hour
		cfg.FirstRun.Pull, cfg.Intervals.Pull = 2*time.Minute, time.Minute
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(4 * time.Minute)
			if n := w.CountCalls("--restart", "noheartbeat"); n != 1 {
				t.Errorf("%d restarts of the plugin without heartbeats, want 1", n)
			}
			if n := w.CountCalls("--status", "hung"); n != 1 {
				t.Errorf("--status of the hung plugin runs %d times at once, want 1", n)
			}
		})
	})
}

func TestFailedStop(t *testing.T) {
	t.Run("EV-14 a stop that fails is repeated until the plugin has stopped", func(t *testing.T) {
		w := watchedWorld("a")
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(3 * minute)
			w.Set(func() { w.Statuses = map[string]plugin.Status{"a": plugin.StatusRunning} }) // it keeps running
			if err := s.StopPlugin(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(time.Minute)
			if v := view(t, s, "a"); v.State != plugin.StateStopping || v.Next != "stop again" {
				t.Errorf("%+v; want state stopping, next \"stop again\"", v)
			}
			if n := w.CountCalls("--stop", "a"); n < 4 {
				t.Errorf("--stop ran %d times, want at least 4", n)
			}
			w.Set(func() { w.Statuses = nil })
			actorstest.Advance(2 * time.Minute)
			wantState(t, s, "a", plugin.StateStopped)
			if r := w.Saved.Restarts["a"]; !r.Stopped || r.StopPending {
				t.Errorf("saved %+v; want stopped, no stop pending", r)
			}
		})
	})
	t.Run("EV-14 a plugin to be stopped that exits is stopped", func(t *testing.T) {
		w := watchedWorld("a")
		cfg := testConfig()
		cfg.Restart.BackoffInitial, cfg.Restart.BackoffMax = 20*time.Minute, 20*time.Minute
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(3 * minute)
			w.Set(func() { w.Statuses = map[string]plugin.Status{"a": plugin.StatusRunning} })
			if err := s.StopPlugin(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(time.Second)
			w.Set(func() { w.Statuses = nil })
			w.ExitPlugins(known(0), "a")
			actorstest.Advance(time.Second)
			wantState(t, s, "a", plugin.StateStopped)
		})
	})
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprintf("EV-14 a plugin that another program starts after a stop is accepted, in the next process %v", again), func(t *testing.T) {
			w := watchedWorld("a")
			start := func() {
				w.Set(func() {
					w.Running["a"] = true
					w.Watched.Processes["a"] = []plugin.Process{{PID: 77, StartTicks: 1, BootID: "b"}}
				})
			}
			inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
				actorstest.Advance(3 * minute)
				if err := s.StopPlugin(t.Context(), "a"); err != nil {
					t.Fatal(err)
				}
				actorstest.Advance(time.Second)
				wantState(t, s, "a", plugin.StateStopped)
				start()
				if !again {
					actorstest.Advance(15 * time.Minute)
					wantState(t, s, "a", plugin.StateRunning)
				}
			})
			inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
				stops := w.CountCalls("--stop", "a")
				actorstest.Advance(30 * time.Minute)
				wantState(t, s, "a", plugin.StateRunning)
				if n := w.CountCalls("--stop", "a"); n != stops {
					t.Errorf("%d more stops, want 0", n-stops)
				}
				if r := w.Saved.Restarts["a"]; r.Stopped {
					t.Errorf("saved %+v, want not stopped", r)
				}
			})
		})
	}
}

// The wall clock is set back by hours (TM-07, PL-17, RS-05).
func TestClockSetBack(t *testing.T) {
	t.Run("PL-17 a hang is still noticed", func(t *testing.T) {
		w := watchedWorld("a")
		cfg := testConfig()
		cfg.FirstRun.Pull = 1000 * time.Hour
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(10 * time.Minute)
			p := w.Plugins[0]
			w.ReportHeartbeat(plugin.HeartbeatEvent{Heartbeat: plugin.Heartbeat{Plugin: p, Found: true, Last: time.Now()}})
			w.Set(func() { w.WallOffset = -8 * time.Hour })
			s.ClockStepped()
			actorstest.Advance(66 * time.Second)
			w.ReportHeartbeat(plugin.HeartbeatEvent{Heartbeat: plugin.Heartbeat{Plugin: p, Found: true, Last: time.Now().Add(-66 * time.Second)}, Lost: true})
			wantState(t, s, "a", plugin.StateDegraded)
			actorstest.Advance(3 * time.Minute)
			if n := w.CountCalls("--restart", "a"); n != 1 {
				t.Errorf("%d restarts of the plugin that hangs, want 1", n)
			}
		})
	})
	t.Run("RS-05 no crash loop is found", func(t *testing.T) {
		w := watchedWorld("a")
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(minute + time.Second)
			w.ExitPlugins(known(1), "a") // no backoff after the first exit
			actorstest.Advance(4 * time.Hour)
			w.Set(func() { w.WallOffset = -8 * time.Hour })
			s.ClockStepped()
			actorstest.Advance(30 * time.Minute)
			w.ExitPlugins(known(1), "a")
			actorstest.Advance(time.Second)
			if v := view(t, s, "a"); v.State != plugin.StateRunning || v.Failures != 0 {
				t.Errorf("%+v; want state running, failures 0", v)
			}
		})
	})
	t.Run("TM-07 a last check in the future is corrected", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.WallOffset = 8 * time.Hour
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2 * time.Minute)
			w.Set(func() { w.WallOffset = 0 })
			s.ClockStepped()
			actorstest.Advance(time.Second)
			if at := status(t, s).Reports.LastCheck; at.After(time.Now()) {
				t.Errorf("last check %v, want not after %v", at, time.Now())
			}
		})
	})
	t.Run("EV-07 a plugin with a start in the future is re-attached", func(t *testing.T) {
		w := worldWithRunningPlugin()
		w.Saved.Restarts["a"] = plugin.RestartRecord{RunningSince: plugin.Moment{Wall: actorstest.Epoch.Add(5 * time.Hour)}, Failures: 1}
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(3 * time.Minute)
			if v := view(t, s, "a"); v.State != plugin.StateRunning || v.Failures != 0 {
				t.Errorf("%+v; want state running, failures 0", v)
			}
		})
	})
}

// PL-08: the age of a heartbeat counts, not its arrival.
func TestOldHeartbeat(t *testing.T) {
	w := watchedWorld("a")
	cfg := testConfig()
	cfg.Restart.OnHang = false
	inBubble(t, w, cfg, func(t *testing.T, s *System) {
		actorstest.Advance(150 * time.Second)
		p, old := w.Plugins[0], time.Now().Add(-5000*time.Second)
		for i := range 9 {
			last := old.Add(time.Duration(i) * time.Second)
			w.Set(func() { w.LastHeartbeat["a"] = last })
			w.ReportHeartbeat(plugin.HeartbeatEvent{Heartbeat: plugin.Heartbeat{Plugin: p, Found: true, Last: last}, Lost: true})
			actorstest.Advance(20 * time.Second)
		}
		w.TakeReports()
		actorstest.Advance(5 * time.Minute)
		got := w.TakeReports()
		if len(got) == 0 {
			t.Fatal("no report of a pull, want at least one")
		}
		for _, r := range got {
			if r.String() != "a=failed" {
				t.Errorf("reported %q, want \"a=failed\"", r.String())
			}
		}
	})
}

// Many failures make few requests.
func TestNoFlood(t *testing.T) {
	t.Run("SC-17 new reports do not reset the backoff", func(t *testing.T) {
		var names []string
		for i := range 50 {
			names = append(names, fmt.Sprintf("p%02d", i))
		}
		w := stoppedWorld(names...)
		w.StartWorks = func(string) bool { return false }
		w.OnReport = failing(1<<30, &plugin.HTTPError{Code: 503})
		cfg := testConfig()
		cfg.FirstRun.Pull = 1000 * time.Hour
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(time.Hour)
			if n := len(w.TakeReports()); n > 40 {
				t.Errorf("%d requests in an hour, want at most 40", n)
			}
		})
	})
	t.Run("SC-17 many changes are one request", func(t *testing.T) {
		var names []string
		for i := range 200 {
			names = append(names, fmt.Sprintf("p%03d", i))
		}
		w := watchedWorld(names...)
		cfg := testConfig()
		cfg.FirstRun.Pull = 1000 * time.Hour
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(3 * time.Minute)
			w.TakeReports()
			w.ExitPlugins(known(1), names...)
			actorstest.Advance(10 * time.Second)
			got := w.TakeReports()
			if len(got) > 25 {
				t.Errorf("%d requests for %d restarts, want at most 25", len(got), len(names))
			}
			reported := map[string]bool{}
			for _, r := range got {
				for _, e := range r.Entries {
					reported[e.Name] = e.Status == plugin.StatusRunning
				}
			}
			for _, name := range names {
				if !reported[name] {
					t.Errorf("%s was not reported running, want it reported", name)
				}
			}
		})
	})
	t.Run("SC-20 refused events are sent again one at a time", func(t *testing.T) {
		w := actorstest.NewWorld()
		for i := range uint64(500) {
			w.Saved.Events[i+1] = plugin.Event{ID: plugin.EventUpdate, At: actorstest.Epoch}
		}
		w.Plugins = append(w.Plugins, actorstest.Persist(1, "a"))
		w.Running["a"] = true
		w.OnEvent = func(int) error { return &plugin.HTTPError{Code: 404} }
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(24 * time.Hour)
			n, reports := len(w.SentEvents()), int(status(t, s).Counters.ReportsDelivered)
			if n > 500+reports+1 {
				t.Errorf("%d requests for 500 events and %d reports, want at most %d", n, reports, 500+reports+1)
			}
			w.Set(func() { w.OnEvent = nil })
			actorstest.Advance(15 * time.Minute)
			if left := status(t, s).Reports.Events; left != 0 {
				t.Errorf("%d events are still pending after the control plane accepts them, want 0", left)
			}
		})
	})
}
