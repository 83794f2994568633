package heartbeat

import (
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/layout"
)

// maxEvents is the maximum number of events of one directory in a second. Above it
// the watches are removed for a second. So a plugin that writes without pause uses
// a limited share of a CPU and does not delay the heartbeats of others.
const maxEvents = 20

// target is one of the paths that are watched for a plugin's version.
type target int

const (
	parent    target = iota // the directory's parent, while the directory does not exist
	directory               // the directory of the plugin's version
	file                    // the heartbeat file
)

// watchedDir is the directory of a plugin's version with its watches. Plugins that
// are records of the same version share it (ST-10).
//
// One heartbeat should wake the supervisor once. So the directory is watched only
// for files that appear under a name, and the heartbeat file for writes. Other
// files that a plugin writes in its directory cause no event, and neither does a
// new heartbeat file before it is renamed.
type watchedDir struct {
	dir       string // "" if the plugin's name or version is no directory name
	path      string // of the heartbeat file
	deadlines []*beatDeadline

	watches     [3]int // by target; 0 is none
	awaitsFile  bool   // the heartbeat file is not watched, so files created in the directory are
	usesClose   bool   // the plugin closes the file after each write: only the close is watched, not each write
	staysOpen   bool   // the plugin once wrote without closing the file: usesClose is not tried again
	errorLogged bool   // the last watch error was logged

	secondEnd time.Duration // end of the second in which events are counted
	events    int
}

func newWatchedDir(dir string) *watchedDir {
	return &watchedDir{dir: dir, path: filepath.Join(dir, layout.Heartbeat), awaitsFile: true}
}

// targetOf returns the target of a watch, or -1 if it is not of this directory.
func (d *watchedDir) targetOf(watch int) target { return target(slices.Index(d.watches[:], watch)) }

// dirMask returns the events to watch on the directory: a file was moved into it,
// or it was moved itself. The kernel always reports its removal.
func (d *watchedDir) dirMask() uint32 {
	const mask = unix.IN_MOVED_TO | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
	if d.awaitsFile {
		return mask | unix.IN_CREATE
	}
	return mask
}

// fileMask returns the events to watch on the heartbeat file: it was written,
// moved, or unlinked, which changes its attributes.
func (d *watchedDir) fileMask() uint32 {
	const mask = unix.IN_CLOSE_WRITE | unix.IN_MOVE_SELF | unix.IN_ATTRIB | unix.IN_DONT_FOLLOW
	if d.usesClose {
		return mask
	}
	return mask | unix.IN_MODIFY
}

// countEvent counts an event and returns the number in this second.
func (d *watchedDir) countEvent(now instant) int {
	if now.mono >= d.secondEnd {
		d.secondEnd, d.events = now.mono+time.Second, 0
	}
	d.events++
	return d.events
}
