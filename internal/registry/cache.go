package registry

import (
	"slices"

	"pluginsupervisor/internal/boltfile"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/plugin"
)

// reading is what was last read of the database. It holds as long as the file
// is the same to the last bit that changes with a transaction: the database is
// read before each start of a plugin, and decoding it would take longer than
// all the rest.
type reading struct {
	stamp   boltfile.Stamp
	records []record.Record // shared by all who read: never changed
	damaged []plugin.Damage
}

// known is what was read of the file before, if it is as it was.
func (r *Registry) known(f *boltfile.File) (reading, bool) {
	s, ok := f.Stamp()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last, ok && s == r.last.stamp
}

// keep notes what was just read of the file, which is still locked.
func (r *Registry) keep(f *boltfile.File, records []record.Record, damaged []plugin.Damage) {
	s, ok := f.Stamp()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = reading{}
	if ok {
		r.last = reading{s, slices.Clip(records), slices.Clip(damaged)}
	}
}
