package actors

import (
	"slices"
	"testing"
	"time"

	"pluginsupervisor/plugin"
)

// A process of a plugin exits and others live on: `--status` decides (EV-23).
func TestProcessExit(t *testing.T) {
	helper := plugin.Exit{CauseKnown: true, Signal: "SIGKILL", PID: 1001}
	const settled = 3 * minute

	t.Run("EV-23 the plugin says that it does not run: restarted at once", func(t *testing.T) {
		w := watchedWorld("a")
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(settled)
			w.set(func() { w.did, w.running["a"] = nil, false })
			w.losePart(helper, "a")
			if got := w.when("--status", "a"); len(got) == 0 || got[0] != settled {
				t.Errorf("asked at %v", got)
			}
			pass(time.Second)
			if got := w.when("--start", "a"); len(got) != 1 || got[0] > settled+time.Second {
				t.Errorf("started at %v", got)
			}
			if got := w.told(plugin.EntryExit, "a"); !slices.Equal(got, []string{"process 1001: killed by SIGKILL, others are still running | run --status"}) {
				t.Errorf("journal %q", got)
			}
			wantState(t, s, "a", plugin.StateRunning)
		})
	})
	t.Run("EV-23 it says that it runs: nothing else is done", func(t *testing.T) {
		w := watchedWorld("a")
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(settled)
			w.set(func() { w.did = nil })
			w.losePart(helper, "a")
			pass(10 * time.Second)
			if asked, started := w.count("--status", "a"), w.count("--start", "a"); asked != 1 || started != 0 {
				t.Errorf("asked %d times, started %d times", asked, started)
			}
			wantState(t, s, "a", plugin.StateRunning)
		})
	})
	t.Run("EV-23 EV-26 a --status that was asked for before does not count", func(t *testing.T) {
		w := watchedWorld("a")
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(settled)
			w.set(func() { w.probeTime["a"] = 10 * time.Second })
			pass(13*minute + 5*time.Second) // the scan of 16 min is under way
			w.set(func() { w.did = nil })
			w.losePart(helper, "a")
			pass(6 * time.Second) // it has answered that the plugin runs
			w.set(func() { w.running["a"] = false })
			pass(30 * time.Second)
			if got := w.count("--start", "a"); got != 1 {
				t.Errorf("started %d times, did %v", got, w.did)
			}
			wantState(t, s, "a", plugin.StateRunning)
		})
	})
	t.Run("EV-23 of what was just started: asked when the start has ended", func(t *testing.T) {
		w := watchedWorld("a")
		w.probeTime["a"] = time.Second
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(minute + 1500*time.Millisecond) // the scan said no, it was started, --status is asked
			w.losePart(helper, "a")
			w.set(func() { w.did = nil })
			pass(5 * time.Second)
			if got := w.count("--status", "a"); got != 1 {
				t.Errorf("asked %d times, did %v", got, w.did)
			}
			wantState(t, s, "a", plugin.StateRunning)
		})
	})
	t.Run("EV-14 EV-23 of what an operator stopped: nothing", func(t *testing.T) {
		w := watchedWorld("a")
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(settled)
			if err := s.StopPlugin(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
			w.set(func() { w.did = nil })
			w.losePart(helper, "a")
			pass(10 * time.Second)
			if len(w.did) > 0 {
				t.Errorf("did %v", w.did)
			}
			wantState(t, s, "a", plugin.StateStopped)
		})
	})
}
