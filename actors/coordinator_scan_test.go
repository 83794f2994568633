package actors

import (
	"errors"
	"testing"
	"time"

	"pluginsupervisor/plugin"
)

func TestScan(t *testing.T) {
	t.Run("SC-01 the start of a scan is the last check, even if nothing is done", func(t *testing.T) {
		w := newWorld()
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(61 * time.Second)
			if got := status(t, s).Reports.LastCheck; !got.Equal(epoch.Add(time.Minute)) {
				t.Errorf("last check %v", got)
			}
			if got := w.saved.Settings.LastCheck; !got.Equal(epoch.Add(time.Minute)) {
				t.Errorf("saved last check %v", got)
			}
		})
	})
	t.Run("SC-02 a database error is no report, and the timer goes on", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.listErr = errors.New("locked")
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(2 * time.Minute)
			if got := status(t, s); len(got.Problems) != 1 || got.Problems[0].What != "plugin database" {
				t.Errorf("problems %v", got.Problems)
			}
			wantReports(t, w.takeReports())
			w.set(func() { w.listErr = nil })
			pass(15 * time.Minute)
			wantReports(t, w.takeReports(), "a=running")
			if got := status(t, s); len(got.Problems) != 0 {
				t.Errorf("problems %v", got.Problems)
			}
		})
	})
	t.Run("SC-03 SC-07 no records: nothing is executed, nothing sent", func(t *testing.T) {
		w := newWorld()
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(time.Hour)
			if n := w.count("--status", ""); n != 0 {
				t.Errorf("%d probes", n)
			}
			wantReports(t, w.takeReports())
		})
	})
	t.Run("SC-04 SC-05 SC-06 SC-13 what is reported, in which order", func(t *testing.T) {
		removed, unknown, commander := persist(5, "gone"), persist(6, "odd"), persist(7, "boss")
		removed.Removed, unknown.Type, commander.Type = true, plugin.Unknown, plugin.Commander
		w := newWorld(persist(1, "a"), once(2, "o1"), persist(3, "b"), once(4, "o2"), removed, unknown, commander)
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(2 * time.Minute)
			wantReports(t, w.takeReports(), "o1=installed o2=installed a=running b=running")
			for _, name := range []string{"gone", "odd", "boss", "o1"} {
				if n := w.count("--status", name); n != 0 {
					t.Errorf("%s was probed", name)
				}
			}
		})
	})
	t.Run("SC-07 only Once plugins: reported, nothing executed", func(t *testing.T) {
		w := newWorld(once(1, "o"))
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(2 * time.Minute)
			wantReports(t, w.takeReports(), "o=installed")
			if n := w.count("--status", ""); n != 0 {
				t.Errorf("%d probes", n)
			}
		})
	})
	t.Run("SC-09 a hung probe delays nobody else's report", func(t *testing.T) {
		w := newWorld(persist(1, "a"), persist(2, "hung"), persist(3, "slow"))
		w.probeTime = map[string]time.Duration{"hung": time.Hour, "slow": 20 * time.Second}
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(time.Minute + scanTimeout + time.Second)
			wantReports(t, w.takeReports(), "a=running")
			pass(20 * time.Second)
			wantReports(t, w.takeReports(), "slow=running")
			pass(30 * time.Second)
			wantReports(t, w.takeReports())
			pass(30 * time.Second)
			if n := w.count("--start", "hung"); n != 1 {
				t.Errorf("the hung one was started %d times, want once after its deadline", n)
			}
		})
	})
	t.Run("SC-11 a status output that says nothing: Once plugins are still reported", func(t *testing.T) {
		w := newWorld(once(1, "o"))
		w.plugins = append(w.plugins, persist(2, "a"))
		w.probeErr = errors.New("no JSON array in the output")
		w.probeTime["a"] = time.Hour
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(150 * time.Second)
			if got := w.takeReports(); len(got) == 0 || got[0].short() != "o=installed" {
				t.Errorf("reports %q", shorts(got))
			}
			if got := status(t, s); len(got.Problems) != 1 || got.Counters.ScanErrors != 1 {
				t.Errorf("problems %v, %d scan errors", got.Problems, got.Counters.ScanErrors)
			}
		})
	})
	t.Run("SC-12 an external manager's REMOVED is skipped", func(t *testing.T) {
		w := newWorld(persist(1, "a"), persist(2, "b"))
		w.says = map[string]plugin.Status{"a": plugin.StatusRemoved}
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(2 * time.Minute)
			wantReports(t, w.takeReports(), "b=running")
			if n := w.count("--start", ""); n != 0 {
				t.Errorf("%d starts", n)
			}
		})
	})
	t.Run("SC-14 SC-15 not running: restarted, not in this report", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.running["a"] = false
		w.startTime["a"] = 5 * time.Second
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(61 * time.Second)
			wantReports(t, w.takeReports()) // SC-15: no HTTP, the restart happens
			wantState(t, s, "a", plugin.StateStarting)
			pass(10 * time.Second)
			wantReports(t, w.takeReports(), "a=running")
			wantState(t, s, "a", plugin.StateRunning)
		})
	})
}
