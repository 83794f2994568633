package actors

import "pluginsupervisor/plugin"

// onClockStepped recomputes all due times: at most one run each is made up for
// (TM-07).
func (c *coordinator) onClockStepped() {
	c.log.Info("Wall clock stepped or host resumed, due times recomputed")
	c.journal.noteHost(plugin.EntryHost, "wall clock stepped or host resumed", "due times recomputed")
	if c.schedule.AdjustToClock(c.now.Wall) {
		c.batch.SetSettings()
	}
	c.timers.forgetDue()
}
