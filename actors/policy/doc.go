// Package policy holds the decisions of the supervisor, without actors: values
// in, values out. It reads no clock, writes no log and sends nothing.
//
//	Lifecycle  what one plugin is doing, and what each fact leads to (one transition table)
//	Starts     how many starts run at once, and the restart budget of the host
//	Schedule   when scans, pulls, update checks and inventories are due
//	Reports    what the control plane knows of each plugin, and what is pending
//	Events     events that wait for delivery
//	Changes    the queue of installations, upgrades, rollbacks and removals
//	Batch      what has to be saved before it is acted on
//
// The Coordinator owns one of each. It hands a fact over, saves what changed,
// and then carries out the effects that it got back.
package policy
