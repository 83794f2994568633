package actors

import (
	"maps"
	"slices"
	"time"

	"pluginsupervisor/actors/policy"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

const (
	// gatherRecords is the time in which changes of the plugin database are gathered:
	// programs write it several times in a row.
	gatherRecords = 250 * time.Millisecond
	// retryRecords is the time until a changed database that could not be read is read
	// again.
	retryRecords = 5 * time.Second
)

// collectInventory has the plugin database read, because the inventory is due or the
// database has changed (EV-22).
func (c *coordinator) collectInventory(changed bool) {
	if !changed && !c.schedule.Fire(policy.InventoryPeriod, c.now.Wall) {
		return
	}
	if !changed {
		c.schedule.Begin(policy.InventoryPeriod, c.now.Wall)
	}
	switch {
	case c.workers.inventory.gen == 0:
		c.giveOrder(&c.workers.inventory, collectInventory)
		if changed {
			c.watching.reread = c.workers.inventory.gen
		}
	case changed: // the current list may be older; that is good enough for the inventory
		c.timers.armOnce(timerKey{kind: timerRecords}, gatherRecords)
	}
}

// collectInventory returns the order to list the installed plugins.
func collectInventory(gen uint64) any { return messages.CollectInventory{Gen: gen} }

// onInventoryCollected updates the plugins by the list, and reports the inventory if
// that was due (LR-01).
func (c *coordinator) onInventoryCollected(m messages.InventoryCollected) {
	if !c.workers.inventory.isAnswer(m.Gen) {
		return
	}
	due := c.schedule.IsRunning(policy.InventoryPeriod)
	c.schedule.End(policy.InventoryPeriod)
	reread := m.Gen == c.watching.reread
	var known map[string]*policy.Lifecycle
	if reread {
		known = maps.Clone(c.plugins)
	}
	listed := c.handleList(m.Err == nil, m.List, m.Gen, m.Err)
	if reread && !listed {
		c.timers.armOnce(timerKey{kind: timerRecords}, retryRecords)
	}
	if reread && listed && !c.watching.adopting { // another program may be about to start what it installed
		for key, l := range c.plugins {
			if known[key] != l && l.Phase() == policy.Installed {
				c.applyFact(l, policy.Fact{Kind: policy.InstalledNow})
			}
		}
	}
	if listed && c.watching.adopting && c.workers.watcher.gen == 0 { // the first list
		c.watchPlugins()
		c.findProcesses(c.watching.watchedKeys())
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
	c.enqueueEvent(event)
}
