package actors

import (
	"slices"
	"testing"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

// A process of a plugin exits and others keep running: `--status` decides (EV-23).
func TestProcessExit(t *testing.T) {
	helper := plugin.Exit{CauseKnown: true, Signal: "SIGKILL", PID: 1001}
	const settled = 3 * minute

	t.Run("EV-23 --status reports failed: restarted at once", func(t *testing.T) {
		w := watchedWorld("a")
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(settled)
			w.Set(func() { w.Calls, w.Running["a"] = nil, false })
			w.ExitProcess(helper, "a")
			if got := w.CallTimes("--status", "a"); len(got) == 0 || got[0] != settled {
				t.Errorf("--status at %v, want first at %v", got, settled)
			}
			actorstest.Advance(time.Second)
			if got := w.CallTimes("--start", "a"); len(got) != 1 || got[0] > settled+time.Second {
				t.Errorf("started at %v, want once, at most at %v", got, settled+time.Second)
			}
			if got := journalCauses(w, plugin.EntryExit, "a"); !slices.Equal(got, []string{"process 1001: killed by SIGKILL, others are still running | run --status"}) {
				t.Errorf("journal %q, want %q", got, []string{"process 1001: killed by SIGKILL, others are still running | run --status"})
			}
			wantState(t, s, "a", plugin.StateRunning)
		})
	})
	t.Run("EV-23 --status reports running: nothing is done", func(t *testing.T) {
		w := watchedWorld("a")
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(settled)
			w.Set(func() { w.Calls = nil })
			w.ExitProcess(helper, "a")
			actorstest.Advance(10 * time.Second)
			if asked, started := w.CountCalls("--status", "a"), w.CountCalls("--start", "a"); asked != 1 || started != 0 {
				t.Errorf("--status ran %d times, started %d times; want 1, 0", asked, started)
			}
			wantState(t, s, "a", plugin.StateRunning)
		})
	})
	t.Run("EV-23 EV-26 a --status that began before the exit does not count", func(t *testing.T) {
		w := watchedWorld("a")
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(settled)
			w.Set(func() { w.ProbeTime["a"] = 10 * time.Second })
			actorstest.Advance(13*minute + 5*time.Second) // the scan of 16 min runs
			w.Set(func() { w.Calls = nil })
			w.ExitProcess(helper, "a")
			actorstest.Advance(6 * time.Second) // it has reported that the plugin runs
			w.Set(func() { w.Running["a"] = false })
			actorstest.Advance(30 * time.Second)
			if got := w.CountCalls("--start", "a"); got != 1 {
				t.Errorf("started %d times, want 1; calls %v", got, w.Calls)
			}
			wantState(t, s, "a", plugin.StateRunning)
		})
	})
	t.Run("EV-23 of a plugin that is being started: --status runs after --start", func(t *testing.T) {
		w := watchedWorld("a")
		w.ProbeTime["a"] = time.Second
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(minute + 1500*time.Millisecond) // the scan found it stopped, it was started, --status runs
			w.ExitProcess(helper, "a")
			w.Set(func() { w.Calls = nil })
			actorstest.Advance(5 * time.Second)
			if got := w.CountCalls("--status", "a"); got != 1 {
				t.Errorf("--status ran %d times, want 1; calls %v", got, w.Calls)
			}
			wantState(t, s, "a", plugin.StateRunning)
		})
	})
	t.Run("EV-14 EV-23 of a plugin that an operator stopped: nothing is done", func(t *testing.T) {
		w := watchedWorld("a")
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(settled)
			if err := s.StopPlugin(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(time.Second)
			w.Set(func() { w.Calls = nil })
			w.ExitProcess(helper, "a")
			actorstest.Advance(10 * time.Second)
			if len(w.Calls) > 0 {
				t.Errorf("calls %v, want no calls", w.Calls)
			}
			wantState(t, s, "a", plugin.StateStopped)
		})
	})
}
