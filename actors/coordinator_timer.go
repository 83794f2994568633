package actors

import "pluginsupervisor/plugin"

// onClockStepped corrects all due times: at most one missed run each is made
// (TM-07).
func (c *coordinator) onClockStepped() {
	c.log.Info("Wall clock set or host resumed, due times corrected")
	c.journal.noteHost(plugin.EntryHost, "wall clock set or host resumed", "due times corrected")
	if c.schedule.AdjustToClock(c.now.Wall) {
		c.batch.SetSettings()
	}
	c.timers.forgetDue()
}
