package actors

import (
	"testing"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

// fault returns why the host cannot run commands of plugins, "" if it can.
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
	t.Run("EV-24 a --status that the host cannot run changes nothing, and is a problem", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.HostFaults = map[string]bool{"--status": true}
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(minute + time.Second)
			if got := fault(t, s); got != "a: --status: "+cause {
				t.Errorf("problem %q, want %q", got, "a: --status: "+cause)
			}
			if v := view(t, s, "a"); v.State != plugin.StateInstalled || len(w.Reports) > 0 {
				t.Errorf("%+v, reports %v; want state installed, no reports", v, w.Reports)
			}
			w.Set(func() { w.HostFaults = nil })
			actorstest.Advance(recheckAfter)
			if got := fault(t, s); got != "" {
				t.Errorf("problem %q after the host recovered, want none", got)
			}
			if v := view(t, s, "a"); v.State != plugin.StateRunning {
				t.Errorf("after the host recovered: %+v, want state running", v)
			}
			if n := w.CountCalls("--start", "a"); n != 0 {
				t.Errorf("%d starts, want 0", n)
			}
		})
	})
	t.Run("EV-24 the problem names a plugin that still cannot be run", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Persist(2, "b"))
		w.HostFaults = map[string]bool{"--status": true}
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(minute + time.Second)
			if got := fault(t, s); got != "a: --status: "+cause {
				t.Errorf("problem %q, want %q", got, "a: --status: "+cause)
			}
			w.Set(func() { w.Plugins = w.Plugins[1:] })
			actorstest.Advance(time.Hour)
			if got := fault(t, s); got != "b: --status: "+cause {
				t.Errorf("after a was removed: problem %q, want %q", got, "b: --status: "+cause)
			}
		})
	})
	t.Run("EV-24 a --start that the host cannot run is repeated, and is no failure of the plugin", func(t *testing.T) {
		w := stoppedWorld("a")
		w.HostFaults = map[string]bool{"--start": true}
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(minute + 5*minute)
			v := view(t, s, "a")
			if n := w.CountCalls("--start", "a"); n < 25 || v.State != plugin.StateStarting || v.Failures != 0 || v.Restarts != 0 {
				t.Errorf("%d starts, %+v; want at least 25, state starting, failures 0, restarts 0", n, v)
			}
			if got := fault(t, s); got != "a: start: "+cause {
				t.Errorf("problem %q, want %q", got, "a: start: "+cause)
			}
			w.Set(func() { w.HostFaults = nil })
			actorstest.Advance(15 * time.Second)
			if v := view(t, s, "a"); v.State != plugin.StateRunning || fault(t, s) != "" {
				t.Errorf("after the host recovered: %+v, problem %q; want state running, no fault", v, fault(t, s))
			}
		})
	})
	t.Run("EV-24 a plugin that may run is not started", func(t *testing.T) {
		w := stoppedWorld("a")
		w.HostFaults = map[string]bool{"--start": true}
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(minute + time.Second)
			w.Set(func() { w.HostFaults, w.Running["a"] = map[string]bool{"--status": true}, true })
			actorstest.Advance(minute)
			if n := w.CountCalls("--start", "a"); n != 1 {
				t.Errorf("%d starts, want 1", n)
			}
			w.Set(func() { w.HostFaults = nil })
			actorstest.Advance(15 * time.Second)
			if v := view(t, s, "a"); v.State != plugin.StateRunning || w.CountCalls("--start", "a") != 1 {
				t.Errorf("%d starts, %+v; want state running, 1 call of --start of a", w.CountCalls("--start", "a"), v)
			}
		})
	})
	t.Run("EV-24 a --stop that the host cannot run is repeated", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(minute + time.Second)
			w.Set(func() { w.HostFaults = map[string]bool{"--stop": true} })
			if err := s.StopPlugin(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(minute)
			if v := view(t, s, "a"); w.CountCalls("--stop", "a") < 5 || v.State != plugin.StateStopping {
				t.Errorf("%d stops, %+v; want at least 5 calls of --stop of a, state stopping", w.CountCalls("--stop", "a"), v)
			}
			w.Set(func() { w.HostFaults = nil })
			actorstest.Advance(15 * time.Second)
			if v := view(t, s, "a"); v.State != plugin.StateStopped || fault(t, s) != "" {
				t.Errorf("%+v, problem %q; want state stopped, no fault", v, fault(t, s))
			}
		})
	})
}
