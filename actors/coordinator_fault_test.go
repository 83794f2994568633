package actors

import (
	"testing"
	"time"

	"pluginsupervisor/plugin"
)

// fault returns the problem that the host cannot run commands of plugins, "" if
// there is none.
func fault(t *testing.T, s *System) string {
	t.Helper()
	for _, p := range status(t, s).Problems {
		if p.What == hostFaultProblem {
			return p.Why
		}
	}
	return ""
}

func TestHostFault(t *testing.T) {
	const cause = "cannot start: too many open files"
	cfg := testConfig()
	cfg.FirstRun.Pull = 1000 * time.Hour
	t.Run("EV-24 a status that cannot be asked changes nothing, and is a problem", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.hostFails = map[string]bool{"--status": true}
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(minute + time.Second)
			if got := fault(t, s); got != "a: --status: "+cause {
				t.Errorf("problem %q", got)
			}
			if v := view(t, s, "a"); v.State != plugin.StateInstalled || len(w.reports) > 0 {
				t.Errorf("%+v, reports %v", v, w.reports)
			}
			w.set(func() { w.hostFails = nil })
			pass(recheckAfter)
			if got := fault(t, s); got != "" {
				t.Errorf("still a problem: %q", got)
			}
			if v := view(t, s, "a"); v.State != plugin.StateRunning {
				t.Errorf("it can be asked again: %+v", v)
			}
			if n := w.count("--start", "a"); n != 0 {
				t.Errorf("%d starts", n)
			}
		})
	})
	t.Run("EV-24 a start that cannot be made is made again, and is no failure", func(t *testing.T) {
		w := deadWorld("a")
		w.hostFails = map[string]bool{"--start": true}
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(minute + 5*minute)
			v := view(t, s, "a")
			if n := w.count("--start", "a"); n < 25 || v.State != plugin.StateStarting || v.Failures != 0 || v.Restarts != 0 {
				t.Errorf("%d starts, %+v", n, v)
			}
			if got := fault(t, s); got != "a: start: "+cause {
				t.Errorf("problem %q", got)
			}
			w.set(func() { w.hostFails = nil })
			pass(15 * time.Second)
			if v := view(t, s, "a"); v.State != plugin.StateRunning || fault(t, s) != "" {
				t.Errorf("the host can run it again: %+v, problem %q", v, fault(t, s))
			}
		})
	})
	t.Run("EV-24 what may run is not started", func(t *testing.T) {
		w := deadWorld("a")
		w.hostFails = map[string]bool{"--start": true}
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(minute + time.Second)
			w.set(func() { w.hostFails, w.running["a"] = map[string]bool{"--status": true}, true })
			pass(minute)
			if n := w.count("--start", "a"); n != 1 {
				t.Errorf("%d starts", n)
			}
			w.set(func() { w.hostFails = nil })
			pass(15 * time.Second)
			if v := view(t, s, "a"); v.State != plugin.StateRunning || w.count("--start", "a") != 1 {
				t.Errorf("%d starts, %+v", w.count("--start", "a"), v)
			}
		})
	})
	t.Run("EV-24 a stop that cannot be made is made again", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(minute + time.Second)
			w.set(func() { w.hostFails = map[string]bool{"--stop": true} })
			if err := s.StopPlugin(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			pass(minute)
			if v := view(t, s, "a"); w.count("--stop", "a") < 5 || v.State != plugin.StateStopping {
				t.Errorf("%d stops, %+v", w.count("--stop", "a"), v)
			}
			w.set(func() { w.hostFails = nil })
			pass(15 * time.Second)
			if v := view(t, s, "a"); v.State != plugin.StateStopped || fault(t, s) != "" {
				t.Errorf("%+v, problem %q", v, fault(t, s))
			}
		})
	})
}
