package actors

import (
	"maps"
	"slices"
	"time"

	"pluginsupervisor/actors/policy"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

func (c *coordinator) onInventoryDue(m messages.InventoryDue) {
	if !c.timers.fired(timerKey{kind: timerInventory}, m.Gen) || !c.schedule.Fire(policy.InventoryPeriod, c.now.Wall) {
		return
	}
	c.schedule.Begin(policy.InventoryPeriod, c.now.Wall)
	if c.workers.inventory.gen == 0 { // else the list at the start is still under way, and will do
		c.order(&c.workers.inventory, func(gen uint64) any { return messages.CollectInventory{Gen: gen} })
	}
}

const (
	// gatherRecords is how long changes of the plugin database are gathered: a
	// program that writes does so several times.
	gatherRecords = 250 * time.Millisecond
	// retryRecords is after how long a changed database that could not be read is
	// read again.
	retryRecords = 5 * time.Second
)

// rereadRecords has the plugin database read again soon (EV-22).
func (c *coordinator) rereadRecords(after time.Duration) {
	if key := (timerKey{kind: timerRecords}); !c.timers.isArmed(key) {
		c.timers.arm(key, after)
	}
}

func (c *coordinator) onRecordsDue(m messages.RecordsDue) {
	switch {
	case !c.timers.fired(timerKey{kind: timerRecords}, m.Gen):
	case c.workers.inventory.gen != 0: // that list may be older than the change
		c.rereadRecords(gatherRecords)
	default:
		c.order(&c.workers.inventory, func(gen uint64) any {
			c.reread = gen
			return messages.CollectInventory{Gen: gen}
		})
	}
}

// leaveInstalled leaves the plugins alone that another program has just installed:
// it may be about to start them.
func (c *coordinator) leaveInstalled(list plugin.List, known map[string]*policy.Lifecycle) {
	for _, p := range list.Plugins {
		if l := c.plugins[p.Key()]; l != nil && known[p.Key()] != l && l.Phase() == policy.Installed {
			c.apply(l, policy.Fact{Kind: policy.InstalledNow})
		}
	}
}

// onInventoryCollected takes over what is installed, and announces it when the
// inventory was due (LR-01).
func (c *coordinator) onInventoryCollected(m messages.InventoryCollected) {
	if !c.workers.inventory.isAnswer(m.Gen) {
		return
	}
	due := c.schedule.Running(policy.InventoryPeriod)
	c.schedule.End(policy.InventoryPeriod)
	var known map[string]*policy.Lifecycle
	if m.Gen == c.reread {
		known = maps.Clone(c.plugins)
	}
	listed := c.takeList(m.Err == nil, m.List, m.Gen, m.Err)
	switch {
	case m.Gen != c.reread:
	case listed:
		c.leaveInstalled(m.List, known)
	default:
		c.rereadRecords(retryRecords)
	}
	if c.watching.adopting && c.workers.watcher.gen == 0 { // the list at the start
		c.watchPlugins()
		c.findProcesses(c.watching.keys())
	}
	if !listed || !due {
		return
	}
	present := slices.DeleteFunc(slices.Clone(m.List.Plugins), func(p plugin.Plugin) bool { return p.Removed })
	if len(present) == 0 { // LR-03
		return
	}
	event, err := plugin.NewLocalListEvent(m.At, present, c.cfg.LocalArch, c.cfg.LocalOS)
	if err != nil {
		c.log.WithError(err).Error("Inventory not reported")
		return
	}
	c.announce(event)
}
