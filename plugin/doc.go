// Package plugin holds the types of the domain: a plugin, the results of its
// `--status` and its heartbeat, the reports about it, and the durable state of
// the supervisor. The actors and the packages that work on programs, files and
// servers exchange these types, so that neither side has to know the other.
//
// It imports the standard library only, and does nothing by itself.
package plugin
