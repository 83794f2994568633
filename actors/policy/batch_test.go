package policy

import (
	"testing"

	"pluginsupervisor/plugin"
)

func TestBatch(t *testing.T) { // EV-11
	b := &Batch{}
	settings := func() plugin.Settings { return plugin.Settings{Lazy: true} }
	if _, dirty := b.CollectChanges(settings); dirty {
		t.Error("EV-11 there is something to save without a change")
	}
	b.SetRestarts("a", &plugin.RestartRecord{Count: 1}, false)
	if c, dirty := b.CollectChanges(settings); !dirty || c.Sync || c.Settings != nil {
		t.Errorf("EV-11 %+v", c)
	}
	b.SetRestarts("b", &plugin.RestartRecord{Stopped: true}, true)
	b.SetSettings()
	b.AddEntry(plugin.Entry{Seq: 1})
	c, _ := b.CollectChanges(settings)
	if !c.Sync || c.Settings == nil || !c.Settings.Lazy || len(c.Restarts) != 2 || len(c.Entries) != 1 {
		t.Errorf("EV-11 %+v", c)
	}
	b.MarkFailed() // the disk is full: all but the entries stays
	b.SetRestarts("a", nil, false)
	c, _ = b.CollectChanges(settings)
	if a, ok := c.Restarts["a"]; !c.Sync || a != nil || !ok || c.Restarts["b"] == nil || len(c.Entries) != 0 {
		t.Errorf("EV-11 %+v", c)
	}
	b.MarkWritten()
	if _, dirty := b.CollectChanges(settings); dirty {
		t.Error("EV-11 saved twice")
	}
}
