package actors

import (
	"errors"
	"testing"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

func TestScan(t *testing.T) {
	t.Run("SC-01 the last check is the start of a scan, also of one without plugins", func(t *testing.T) {
		w := actorstest.NewWorld()
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(61 * time.Second)
			if got := status(t, s).Reports.LastCheck; !got.Equal(actorstest.Epoch.Add(time.Minute)) {
				t.Errorf("last check %v, want %v", got, actorstest.Epoch.Add(time.Minute))
			}
			if got := w.Saved.Settings.LastCheck; !got.Equal(actorstest.Epoch.Add(time.Minute)) {
				t.Errorf("saved last check %v, want %v", got, actorstest.Epoch.Add(time.Minute))
			}
		})
	})
	t.Run("SC-02 no report after a database error, and the timer continues", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.ListErr = errors.New("locked")
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2 * time.Minute)
			if got := status(t, s); len(got.Problems) != 1 || got.Problems[0].What != "plugin database" {
				t.Errorf("problems %v; want 1 problem, what \"plugin database\"", got.Problems)
			}
			wantReports(t, w.TakeReports())
			w.Set(func() { w.ListErr = nil })
			actorstest.Advance(15 * time.Minute)
			wantReports(t, w.TakeReports(), "a=running")
			if got := status(t, s); len(got.Problems) != 0 {
				t.Errorf("problems %v, want none", got.Problems)
			}
		})
	})
	t.Run("SC-03 SC-07 no records: nothing is run, nothing is sent", func(t *testing.T) {
		w := actorstest.NewWorld()
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(time.Hour)
			if n := w.CountCalls("--status", ""); n != 0 {
				t.Errorf("%d probes, want 0", n)
			}
			wantReports(t, w.TakeReports())
		})
	})
	t.Run("SC-04 SC-05 SC-06 SC-13 what is reported, in which order", func(t *testing.T) {
		removed, unknown, commander := actorstest.Persist(5, "gone"), actorstest.Persist(6, "odd"), actorstest.Persist(7, "boss")
		removed.Removed, unknown.Type, commander.Type = true, plugin.Unknown, plugin.Commander
		w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Once(2, "o1"), actorstest.Persist(3, "b"), actorstest.Once(4, "o2"), removed, unknown, commander)
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2 * time.Minute)
			wantReports(t, w.TakeReports(), "o1=installed o2=installed a=running b=running")
			for _, name := range []string{"gone", "odd", "boss", "o1"} {
				if n := w.CountCalls("--status", name); n != 0 {
					t.Errorf("--status of %s ran %d times, want 0", name, n)
				}
			}
		})
	})
	t.Run("SC-07 only Once plugins: reported, nothing is run", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Once(1, "o"))
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2 * time.Minute)
			wantReports(t, w.TakeReports(), "o=installed")
			if n := w.CountCalls("--status", ""); n != 0 {
				t.Errorf("%d probes, want 0", n)
			}
		})
	})
	t.Run("SC-09 a hung --status delays no other plugin's report", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Persist(2, "hung"), actorstest.Persist(3, "slow"))
		w.ProbeTime = map[string]time.Duration{"hung": time.Hour, "slow": 20 * time.Second}
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(time.Minute + scanTimeout + time.Second)
			wantReports(t, w.TakeReports(), "a=running")
			actorstest.Advance(20 * time.Second)
			wantReports(t, w.TakeReports(), "slow=running")
			actorstest.Advance(30 * time.Second)
			wantReports(t, w.TakeReports())
			actorstest.Advance(30 * time.Second)
			if n := w.CountCalls("--start", "hung"); n != 1 {
				t.Errorf("the hung plugin was started %d times, want once after its deadline", n)
			}
		})
	})
	t.Run("SC-11 unreadable output of the status command: Once plugins are still reported", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Once(1, "o"))
		w.Plugins = append(w.Plugins, actorstest.Persist(2, "a"))
		w.ProbeErr = errors.New("no JSON array in the output")
		w.ProbeTime["a"] = time.Hour
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(150 * time.Second)
			if got := w.TakeReports(); len(got) == 0 || got[0].String() != "o=installed" {
				t.Errorf("reports %q, want o=installed first", actorstest.ReportTexts(got))
			}
			if got := status(t, s); len(got.Problems) != 1 || got.Counters.ScanErrors != 1 {
				t.Errorf("problems %v, %d scan errors; want 1 problem, scan errors 1", got.Problems, got.Counters.ScanErrors)
			}
		})
	})
	t.Run("SC-12 an external manager's REMOVED is skipped", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Persist(2, "b"))
		w.Statuses = map[string]plugin.Status{"a": plugin.StatusRemoved}
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2 * time.Minute)
			wantReports(t, w.TakeReports(), "b=running")
			if n := w.CountCalls("--start", ""); n != 0 {
				t.Errorf("%d starts, want 0", n)
			}
		})
	})
	t.Run("SC-14 SC-15 a plugin that does not run is restarted, and is not in this report", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.Running["a"] = false
		w.VerbTime["a"] = 5 * time.Second
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(61 * time.Second)
			wantReports(t, w.TakeReports()) // SC-15: no request, and the plugin is restarted
			wantState(t, s, "a", plugin.StateStarting)
			actorstest.Advance(10 * time.Second)
			wantReports(t, w.TakeReports(), "a=running")
			wantState(t, s, "a", plugin.StateRunning)
		})
	})
}
