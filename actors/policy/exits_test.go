package policy

import (
	"testing"

	"pluginsupervisor/plugin"
)

func TestExits(t *testing.T) {
	t.Run("EV-05 an exit while the --status after a start is asked", func(t *testing.T) {
		s := newRunning(t)
		s.tell(exits(1), begun, exits(2)).want(Working, plugin.StateStarting)
		s.tell(s.starts(2)).want(Waiting, plugin.StateCrashLoop).reported(plugin.StatusFailed)
	})
	t.Run("EV-05 an exit of an earlier run changes nothing", func(t *testing.T) {
		s := newRunning(t)
		s.tell(exits(1), begun, s.starts(2)).tell(exits(1)).want(Running, plugin.StateRunning)
	})
	t.Run("EV-10 the cause is known later", func(t *testing.T) {
		s := newRunning(t).tell(Fact{Kind: Exited, Exit: plugin.Exit{RunID: 1}})
		s.tell(Fact{Kind: ExitExplained, Exit: plugin.Exit{RunID: 1, CauseKnown: true, Signal: "SIGKILL"}})
		if v := s.l.View(plugin.WatchCgroup); v.Why != "killed by SIGKILL" || s.l.Record.Cause != v.Why {
			t.Errorf("why %q, saved %q", v.Why, s.l.Record.Cause)
		}
	})
}
