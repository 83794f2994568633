package policy

import (
	"testing"

	"pluginsupervisor/plugin"
)

func TestCancel(t *testing.T) {
	t.Run("RS-09 found running while its start waits: not started", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).apply(seenDead, seenRunning).want(Cancelling, plugin.StateRunning).wantReport(plugin.StatusRunning)
		s.apply(cancelled).want(Running, plugin.StateRunning)
	})
	t.Run("RS-09 while a start runs: cancelled first", func(t *testing.T) {
		s := newSubject(t, plugin.RestartRecord{}).apply(seenDead, begun, operStop).want(Cancelling, plugin.StateStopping)
		if e, ok := effect[Cancel](s); !ok || !e.Begun {
			t.Errorf("%+v", e)
		}
		s.apply(cancelled).want(Stopping, plugin.StateStopping)
	})
}
