package policy

import (
	"testing"

	"pluginsupervisor/plugin"
)

func TestCancel(t *testing.T) {
	t.Run("RS-09 found running while its start waits: not started", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).tell(seenDead, seenRunning).want(Cancelling, plugin.StateRunning).reported(plugin.StatusRunning)
		s.tell(cancelled).want(Running, plugin.StateRunning)
	})
	t.Run("RS-09 while a start runs: cancelled first", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).tell(seenDead, begun, operStop).want(Cancelling, plugin.StateStopping)
		if e, ok := effect[Cancel](s); !ok || !e.Begun {
			t.Errorf("%+v", e)
		}
		s.tell(cancelled).want(Stopping, plugin.StateStopping)
	})
}
