// Package policy holds the decisions of the supervisor, without actors: values
// in, values out. It reads no clock, writes no log and sends nothing.
//
//	Lifecycle  the state of one plugin, and what each fact leads to (one transition table)
//	Starts     the limit of starts at once, and the restart budget of the host
//	Schedule   the due times of scans, pulls, update checks and inventories
//	Reports    the acknowledged and the pending status of each plugin
//	Events     events that wait for delivery
//	Changes    the queue of installations, upgrades, rollbacks and removals
//	Blocked    assigned versions that could not be installed
//	Batch      changes to save before the effects are carried out
//
// The Coordinator owns one of each, and a Lifecycle for each plugin. It applies a
// fact, saves what changed, and then carries out the returned effects.
package policy
