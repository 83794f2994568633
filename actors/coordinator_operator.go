package actors

import (
	"errors"

	"pluginsupervisor/actors/policy"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// onCommand carries out an operator's command. A change of the plugin that has not
// begun is cancelled; one that is being made is undone first (UP-12).
func (c *coordinator) onCommand(name string, command policy.Fact, verb string) any {
	l, ok := c.plugins[name]
	switch {
	case !ok:
		return c.host.rejectUnknown(name)
	case l.Plugin.Type != plugin.Persist:
		return messages.Rejected{Why: name + " is not a persistent plugin"}
	case l.Plugin.Duplicate:
		return messages.Rejected{Why: name + " is a duplicate record, which is never started or stopped"}
	}
	c.cancelChanges(name, errors.New(command.Cause))
	c.applyFact(l, command)
	return messages.Accepted{What: verb + " " + name}
}

// onChangePlugin queues the change that an operator requests. It replaces changes of
// the plugin that are only queued or fetched; while another one is being made, a
// rollback or removal has that one undone first (UP-12).
func (c *coordinator) onChangePlugin(change plugin.Change) any {
	l := c.plugins[change.Name]
	if l == nil && (change.Kind == plugin.ChangeRemove || change.Kind == plugin.ChangeRollback) {
		return c.host.rejectUnknown(change.Name)
	}
	if l != nil && l.Record.Stopped && change.StartsPlugin() { // EV-14
		return messages.Rejected{Why: change.Name + " was " + l.Record.Cause + ", start it first"}
	}
	request := map[plugin.ChangeKind]plugin.Request{plugin.ChangeRemove: plugin.RequestRemove, plugin.ChangeRollback: plugin.RequestRollback}[change.Kind]
	current, phase, _, busy := c.changes.FindByPlugin(change.Name)
	switch {
	case busy && phase == policy.ChangeApplying && request == plugin.RequestNone,
		busy && current.ByOperator() && current.Kind == change.Kind && current.Version == change.Version && current.Package == change.Package:
		return messages.Rejected{Why: change.Name + " is already being changed: " + current.String()}
	}
	change.Origin = plugin.FromOperator
	c.cancelChanges(change.Name, errors.New(change.String()+", requested by an operator"))
	requested := plugin.Entry{Kind: plugin.EntryOperator, Cause: change.String() + ", requested by an operator"}
	switch {
	case l == nil:
		c.journal.noteAbsent(change.Name, change.Version, requested)
	case busy && phase == policy.ChangeApplying:
		c.applyFact(l, policy.Fact{Kind: policy.OperatorChange, Request: request, Cause: requested.Cause})
	default:
		c.journal.notePlugin(l, requested)
	}
	c.changes.Add(change, c.now.Wall)
	c.startChanges()
	return messages.Accepted{What: change.String()}
}

// onCancelChange cancels the change of a plugin that is in progress (UP-12).
func (c *coordinator) onCancelChange(name string) any {
	current, phase, _, busy := c.changes.FindByPlugin(name)
	switch {
	case !busy:
		return messages.Rejected{Why: "no change of " + name + " is in progress"}
	case phase == policy.ChangeApplying && current.Kind == plugin.ChangeRemove:
		return messages.Rejected{Why: name + " is being removed, which cannot be undone"}
	}
	const cause = "cancelled by an operator"
	c.cancelChanges(name, errors.New(cause))
	if l, ok := c.plugins[name]; ok && phase == policy.ChangeApplying {
		c.applyFact(l, policy.Fact{Kind: policy.OperatorChange, Request: plugin.RequestCancel, Cause: current.String() + " " + cause})
	}
	return messages.Accepted{What: "cancel " + current.String() + " of " + name}
}
