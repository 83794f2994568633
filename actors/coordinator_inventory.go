package actors

import (
	"slices"

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
		c.order(&c.workers.inventory, collectInventory)
	}
}

// collectInventory returns the order to list what is installed.
func collectInventory(gen uint64) any { return messages.CollectInventory{Gen: gen} }

// onInventoryCollected takes over what is installed, and announces it when the
// inventory was due (LR-01).
func (c *coordinator) onInventoryCollected(m messages.InventoryCollected) {
	if !c.workers.inventory.isAnswer(m.Gen) {
		return
	}
	due := c.schedule.Running(policy.InventoryPeriod)
	c.schedule.End(policy.InventoryPeriod)
	listed := c.takeList(m.Err == nil, m.List, m.Gen, m.Err)
	if listed && c.watching.adopting && c.workers.watcher.gen == 0 { // the first list
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
