package policy

import (
	"testing"

	"pluginsupervisor/plugin"
)

func TestExits(t *testing.T) {
	t.Run("EV-05 an exit while the --status after a start runs", func(t *testing.T) {
		s := newRunning(t)
		s.apply(exitOf(1), begun, exitOf(2)).want(Working, plugin.StateStarting)
		s.apply(s.startSucceeds(2)).want(Waiting, plugin.StateCrashLoop).wantReport(plugin.StatusFailed)
	})
	t.Run("EV-05 an exit of an earlier run changes nothing", func(t *testing.T) {
		s := newRunning(t)
		s.apply(exitOf(1), begun, s.startSucceeds(2)).apply(exitOf(1)).want(Running, plugin.StateRunning)
	})
	t.Run("EV-10 the cause is known later", func(t *testing.T) {
		s := newRunning(t).apply(Fact{Kind: Exited, Exit: plugin.Exit{RunID: 1}})
		s.apply(Fact{Kind: ExitExplained, Exit: plugin.Exit{RunID: 1, CauseKnown: true, Signal: "SIGKILL"}})
		if v := s.l.View(plugin.WatchCgroup); v.Why != "killed by SIGKILL" || s.l.Record.Cause != v.Why {
			t.Errorf("why %q, saved %q, want %q", v.Why, s.l.Record.Cause, "killed by SIGKILL")
		}
	})
}
