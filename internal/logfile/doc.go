// Package logfile holds what a plugin's daemon prints: one file for each
// plugin, open for append by the daemon itself, bounded while it writes (SPEC
// 11, AP-07).
//
// A daemon keeps its file open for years and does not know that anybody bounds
// it. So the file stays, and its oldest part is taken out at the front: with
// FALLOC_FL_COLLAPSE_RANGE, which loses nothing of what is written meanwhile,
// and where the file system cannot do that by moving the newest part to the
// front and truncating the file behind it (bound.go). The first line then says
// how many bytes are missing (mark.go). So each byte has a position that stays
// the same when older ones are dropped, and a reader goes on where it was
// (read.go).
//
// Keeper does that for all logs of a folder, and for those that were moved or
// deleted while a process writes to them (keeper.go, stray.go).
package logfile
