package heartbeat

import (
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/layout"
)

// noise is how many events in a second are too many for one folder. It is then
// left alone for a second, so that a plugin which writes without end costs a
// bounded share of a CPU and drowns nobody else's beats.
const noise = 20

// spot is one of the places that are watched for a folder.
type spot int

const (
	above spot = iota // where the folder should be, while it is not there
	place             // the folder
	file              // the heartbeat
)

// folder is the folder of a plugin's version, and what is watched of it.
// Plugins that are records of one version share it (ST-10); most often it is
// one plugin's.
//
// A beat should wake us once. So the folder is watched only for what comes into
// it under a name, and the heartbeat itself for what is written to it: what
// else a plugin writes in its folder, the new heartbeat before it is renamed
// among it, is not heard of at all.
type folder struct {
	dir    string // "" where the name or version cannot be one's
	path   string // of the heartbeat
	vigils []*vigil

	watches [3]int // by spot; 0 is none
	awaits  bool   // the heartbeat is not watched, and files made in the folder are heard of
	closes  bool   // who writes the heartbeat closes it, which is heard of instead of each write
	keeps   bool   // and once did not
	refused bool   // that it cannot be watched was logged

	second time.Duration // end of the one in which events are counted
	events int
}

func newFolder(dir string) *folder {
	return &folder{dir: dir, path: filepath.Join(dir, layout.Heartbeat), awaits: true}
}

// spot is where the watch is, -1 if it is none of the folder's.
func (d *folder) spot(watch int) spot { return spot(slices.Index(d.watches[:], watch)) }

// comings is what is asked of the folder: a file of whatever name moved into
// it, itself moved away. That it ends is told in any case.
func (d *folder) comings() uint32 {
	const mask = unix.IN_MOVED_TO | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
	if d.awaits {
		return mask | unix.IN_CREATE
	}
	return mask
}

// writings is what is asked of the heartbeat: written, moved away, or unlinked,
// by which its attributes change.
func (d *folder) writings() uint32 {
	const mask = unix.IN_CLOSE_WRITE | unix.IN_MOVE_SELF | unix.IN_ATTRIB | unix.IN_DONT_FOLLOW
	if d.closes {
		return mask
	}
	return mask | unix.IN_MODIFY
}

// count counts an event, and returns how many there were in this second.
func (d *folder) count(now moment) int {
	if now.mono >= d.second {
		d.second, d.events = now.mono+time.Second, 0
	}
	d.events++
	return d.events
}
