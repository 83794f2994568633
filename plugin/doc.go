// Package plugin holds the words of the domain: what a plugin is, what its
// `--status` and its heartbeat told, what is reported about it, and what the
// supervisor must not forget. Everything that crosses an edge — between the
// actors and the programs, files and servers they work on — is said in these
// words, so that neither side has to know the other.
//
// It imports nothing but the standard library and does nothing by itself.
package plugin
