package actors

import (
	"fmt"
	"testing"
	"time"

	"pluginsupervisor/plugin"
)

// One plugin that hangs or does not stop delays no other.
func TestHungChecks(t *testing.T) {
	t.Run("SC-08 a hung --status does not delay what is done about a silent plugin", func(t *testing.T) {
		w := newWorld(persist(1, "hung"), persist(2, "silent"))
		w.plugins[0].Timeout = time.Hour
		w.beats["hung"], w.beats["silent"] = epoch, epoch
		w.probeTime["hung"] = 50 * time.Minute
		cfg := testConfig()
		cfg.FirstRun.Scan, cfg.Intervals.Scan = 30*time.Second, 1000*time.Hour
		cfg.FirstRun.Pull, cfg.Intervals.Pull = 2*time.Minute, time.Minute
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(4 * time.Minute)
			if n := w.count("--restart", "silent"); n != 1 {
				t.Errorf("%d restarts of the silent plugin", n)
			}
			if n := w.count("--status", "hung"); n != 1 {
				t.Errorf("the hung plugin is asked %d times at once", n)
			}
		})
	})
}

func TestFailedStop(t *testing.T) {
	t.Run("EV-14 a stop that fails is tried again until the plugin is down", func(t *testing.T) {
		w := watchedWorld("a")
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(3 * minute)
			w.set(func() { w.says = map[string]plugin.Status{"a": plugin.StatusRunning} }) // it does not stop
			if err := s.StopPlugin(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			pass(time.Minute)
			if v := view(t, s, "a"); v.State != plugin.StateStopping || v.Next != "stop again" {
				t.Errorf("%+v", v)
			}
			if n := w.count("--stop", "a"); n < 4 {
				t.Errorf("tried %d times", n)
			}
			w.set(func() { w.says = nil })
			pass(2 * time.Minute)
			wantState(t, s, "a", plugin.StateStopped)
			if r := w.saved.Restarts["a"]; !r.Stopped || r.StopPending {
				t.Errorf("saved %+v", r)
			}
		})
	})
	t.Run("EV-14 it is stopped as soon as it dies by itself", func(t *testing.T) {
		w := watchedWorld("a")
		cfg := testConfig()
		cfg.Restart.BackoffInitial, cfg.Restart.BackoffMax = 20*time.Minute, 20*time.Minute
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(3 * minute)
			w.set(func() { w.says = map[string]plugin.Status{"a": plugin.StatusRunning} })
			if err := s.StopPlugin(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
			w.set(func() { w.says = nil })
			w.die(known(0), "a")
			pass(time.Second)
			wantState(t, s, "a", plugin.StateStopped)
		})
	})
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprintf("EV-14 started by another program after it was stopped: accepted, in the next process %v", again), func(t *testing.T) {
			w := watchedWorld("a")
			start := func() {
				w.set(func() {
					w.running["a"] = true
					w.watched.left["a"] = []plugin.Process{{PID: 77, StartTicks: 1, BootID: "b"}}
				})
			}
			inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
				pass(3 * minute)
				if err := s.StopPlugin(t.Context(), "a"); err != nil {
					t.Fatal(err)
				}
				pass(time.Second)
				wantState(t, s, "a", plugin.StateStopped)
				start()
				if !again {
					pass(15 * time.Minute)
					wantState(t, s, "a", plugin.StateRunning)
				}
			})
			inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
				stops := w.count("--stop", "a")
				pass(30 * time.Minute)
				wantState(t, s, "a", plugin.StateRunning)
				if n := w.count("--stop", "a"); n != stops {
					t.Errorf("%d more stops", n-stops)
				}
				if r := w.saved.Restarts["a"]; r.Stopped {
					t.Errorf("saved %+v", r)
				}
			})
		})
	}
}

// A wall clock that is set back by hours (TM-07, PL-17, RS-05).
func TestClockSetBack(t *testing.T) {
	t.Run("PL-17 hides no hang", func(t *testing.T) {
		w := watchedWorld("a")
		cfg := testConfig()
		cfg.FirstRun.Pull = 1000 * time.Hour
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(10 * time.Minute)
			p := w.plugins[0]
			w.pulse(plugin.HeartbeatEvent{Heartbeat: plugin.Heartbeat{Plugin: p, Found: true, Last: time.Now()}})
			w.set(func() { w.offset = -8 * time.Hour })
			s.ClockStepped()
			pass(66 * time.Second)
			w.pulse(plugin.HeartbeatEvent{Heartbeat: plugin.Heartbeat{Plugin: p, Found: true, Last: time.Now().Add(-66 * time.Second)}, Lost: true})
			wantState(t, s, "a", plugin.StateDegraded)
			pass(3 * time.Minute)
			if n := w.count("--restart", "a"); n != 1 {
				t.Errorf("%d restarts of what hangs", n)
			}
		})
	})
	t.Run("RS-05 invents no crash loop", func(t *testing.T) {
		w := watchedWorld("a")
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(minute + time.Second)
			w.die(known(1), "a") // the first exit is not backed off
			pass(4 * time.Hour)
			w.set(func() { w.offset = -8 * time.Hour })
			s.ClockStepped()
			pass(30 * time.Minute)
			w.die(known(1), "a")
			pass(time.Second)
			if v := view(t, s, "a"); v.State != plugin.StateRunning || v.Failures != 0 {
				t.Errorf("%+v", v)
			}
		})
	})
	t.Run("TM-07 a last check in the future is taken back", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.offset = 8 * time.Hour
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(2 * time.Minute)
			w.set(func() { w.offset = 0 })
			s.ClockStepped()
			pass(time.Second)
			if at := status(t, s).Reports.LastCheck; at.After(time.Now()) {
				t.Errorf("last check %v", at)
			}
		})
	})
	t.Run("EV-07 adopted with a start in the future", func(t *testing.T) {
		w := inherited()
		w.saved.Restarts["a"] = plugin.RestartRecord{RunningSince: plugin.Moment{Wall: epoch.Add(5 * time.Hour)}, Failures: 1}
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(3 * time.Minute)
			if v := view(t, s, "a"); v.State != plugin.StateRunning || v.Failures != 0 {
				t.Errorf("%+v", v)
			}
		})
	})
}

// PL-08: a heartbeat counts by its age, not by its arrival.
func TestOldBeat(t *testing.T) {
	w := watchedWorld("a")
	cfg := testConfig()
	cfg.Restart.OnHang = false
	inBubble(t, w, cfg, func(t *testing.T, s *System) {
		pass(150 * time.Second)
		p, old := w.plugins[0], time.Now().Add(-5000*time.Second)
		for i := range 9 {
			last := old.Add(time.Duration(i) * time.Second)
			w.set(func() { w.beats["a"] = last })
			w.pulse(plugin.HeartbeatEvent{Heartbeat: plugin.Heartbeat{Plugin: p, Found: true, Last: last}, Lost: true})
			pass(20 * time.Second)
		}
		w.takeReports()
		pass(5 * time.Minute)
		got := w.takeReports()
		if len(got) == 0 {
			t.Fatal("no pull was reported")
		}
		for _, r := range got {
			if r.short() != "a=failed" {
				t.Errorf("reported %q", r.short())
			}
		}
	})
}

// What fails, fails often: the control plane is not flooded.
func TestNoFlood(t *testing.T) {
	t.Run("SC-17 new reports do not start the backoff anew", func(t *testing.T) {
		var names []string
		for i := range 50 {
			names = append(names, fmt.Sprintf("p%02d", i))
		}
		w := deadWorld(names...)
		w.starts = func(string) bool { return false }
		w.answer = failing(1<<30, &plugin.HTTPError{Code: 503})
		cfg := testConfig()
		cfg.FirstRun.Pull = 1000 * time.Hour
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(time.Hour)
			if n := len(w.takeReports()); n > 40 {
				t.Errorf("%d requests in an hour", n)
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
			pass(3 * time.Minute)
			w.takeReports()
			w.die(known(1), names...)
			pass(10 * time.Second)
			got := w.takeReports()
			if len(got) > 25 {
				t.Errorf("%d requests for %d restarts", len(got), len(names))
			}
			told := map[string]bool{}
			for _, r := range got {
				for _, e := range r.entries {
					told[e.Name] = e.Status == plugin.StatusRunning
				}
			}
			for _, name := range names {
				if !told[name] {
					t.Errorf("%s was not reported running", name)
				}
			}
		})
	})
	t.Run("SC-20 refused events are tried again one at a time", func(t *testing.T) {
		w := newWorld()
		for i := range uint64(500) {
			w.saved.Events[i+1] = plugin.Event{ID: plugin.EventUpdate, At: epoch}
		}
		w.plugins = append(w.plugins, persist(1, "a"))
		w.running["a"] = true
		w.eventErr = func(int) error { return &plugin.HTTPError{Code: 404} }
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(24 * time.Hour)
			n, reports := len(w.sent()), int(status(t, s).Counters.ReportsDelivered)
			if n > 500+reports+1 {
				t.Errorf("%d requests for 500 events, with %d reports", n, reports)
			}
			w.set(func() { w.eventErr = nil })
			pass(15 * time.Minute)
			if left := status(t, s).Reports.Events; left != 0 {
				t.Errorf("%d events are left though they are taken again", left)
			}
		})
	})
}
