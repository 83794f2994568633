package registry

import (
	"os"
	"slices"
	"syscall"

	"pluginsupervisor/internal/record"
	"pluginsupervisor/plugin"
)

// reading is what was last read of the database. It holds as long as the file
// is the same to the last bit that changes with a transaction: the database is
// read before each start of a plugin, and decoding it would take longer than
// all the rest.
type reading struct {
	stamp   stamp
	records []record.Record // shared by all who read: never changed
	damaged []plugin.Damage
}

// stamp tells one state of the file from every other. What bbolt writes has
// another transaction number; what anything else writes, another time.
type stamp struct {
	device, inode    uint64
	size             int64
	changed, written syscall.Timespec
	meta             meta
}

// stampOf is the stamp of an open file that is locked. It is false for a file
// that has none because it is damaged.
func stampOf(f *os.File) (stamp, bool) {
	info, err := f.Stat()
	if err != nil {
		return stamp{}, false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return stamp{}, false
	}
	m, err := newestMeta(f, info.Size())
	return stamp{device: s.Dev, inode: s.Ino, size: s.Size, changed: s.Ctim, written: s.Mtim, meta: m}, err == nil
}

// known is what was read of the file before, if it is as it was.
func (r *Registry) known(f *os.File) (reading, bool) {
	s, ok := stampOf(f)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last, ok && s == r.last.stamp
}

// keep notes what was just read of the file, which is still locked.
func (r *Registry) keep(f *os.File, records []record.Record, damaged []plugin.Damage) {
	s, ok := stampOf(f)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = reading{}
	if ok {
		r.last = reading{s, slices.Clip(records), slices.Clip(damaged)}
	}
}
