package actors

import (
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// onStopPlugin stops a plugin until an operator starts it (EV-14).
func (c *coordinator) onStopPlugin(name string) any {
	u, refusal := c.operable(name)
	if u == nil {
		return refusal
	}
	u.restarts.Stopped, u.restarts.Cause = true, "stopped by an operator"
	c.record(u, plugin.Entry{Kind: plugin.EntryOperator, Cause: u.restarts.Cause})
	c.remembered(u, true)
	c.want(u, messages.KindStop)
	return messages.Accepted{What: "stop " + name}
}

// onStartPlugin ends an operator's stop and starts the plugin at once.
func (c *coordinator) onStartPlugin(name string) any {
	u, refusal := c.operable(name)
	if u == nil {
		return refusal
	}
	c.forgive(u, "started by an operator")
	c.want(u, messages.KindStart)
	return messages.Accepted{What: "start " + name}
}

// onRestartPlugin stops and starts a plugin at once.
func (c *coordinator) onRestartPlugin(name string) any {
	u, refusal := c.operable(name)
	if u == nil {
		return refusal
	}
	c.forgive(u, "restarted by an operator")
	c.want(u, messages.KindRestart)
	return messages.Accepted{What: "restart " + name}
}

// forgive forgets failures and an operator's stop: an operator knows better.
func (c *coordinator) forgive(u *unit, cause string) {
	u.restarts.Stopped, u.restarts.Failures, u.restarts.Cause = false, 0, cause
	c.record(u, plugin.Entry{Kind: plugin.EntryOperator, Cause: cause})
	u.probation = false
	c.remembered(u, true)
}

// operable is the plugin an operator named, or why it cannot be touched.
func (c *coordinator) operable(name string) (*unit, messages.Rejected) {
	u, ok := c.units[name]
	switch {
	case !ok:
		return nil, messages.Rejected{Why: name, Unknown: true}
	case u.plugin.Type != plugin.Persist:
		return nil, messages.Rejected{Why: name + " is not a persistent plugin"}
	case u.upgrading:
		return nil, messages.Rejected{Why: name + " is being upgraded"}
	}
	return u, messages.Rejected{}
}

// want does what the operator said, once nobody else works on the plugin.
func (c *coordinator) want(u *unit, kind messages.Kind) {
	u.again = ""
	if u.attempt != nil {
		u.operator, u.wanted = true, kind
		c.cancel(u)
		return
	}
	c.obey(u, kind)
}

// obey spawns the Restarter that does what the operator said.
func (c *coordinator) obey(u *unit, kind messages.Kind) {
	if kind == messages.KindStop {
		c.move(u, plugin.StateStopping, u.restarts.Cause)
	} else {
		c.move(u, plugin.StateStarting, u.restarts.Cause)
	}
	c.down(u)
	c.spawn(u, messages.Attempt{Kind: kind, Check: true}, true)
}
