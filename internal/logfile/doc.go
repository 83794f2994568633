// Package logfile keeps the output of plugins' daemons: one file for each plugin,
// opened for append by the daemon itself, and limited in size while it writes (SPEC
// 11, AP-07).
//
// A daemon keeps its file open for years and knows of no limit. So the file stays,
// and its oldest part is removed from the front: by FALLOC_FL_COLLAPSE_RANGE, which
// loses no concurrent write, or, where the file system does not support that, by
// moving the newest part to the front and truncating the file (bound.go). The first
// line then reports the number of removed bytes (mark.go). So each byte keeps its
// position when older ones are removed, and a reader continues where it was
// (read.go). The starts and exits of the plugin are lines between its output (event.go).
//
// Keeper does this for all logs of a folder, and for logs that were moved or deleted
// while a process writes to them (keeper.go, stray.go).
package logfile
