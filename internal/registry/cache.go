package registry

import (
	"slices"

	"pluginsupervisor/internal/boltfile"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/plugin"
)

// cachedRecords is what was last read of the database. It holds as long as the file
// is the same to the last bit that changes with a transaction: the database is
// read before each start of a plugin, and decoding it would take longer than
// all the rest.
type cachedRecords struct {
	stamp   boltfile.Stamp
	records []record.Record // shared by all who read: never changed
	damaged []plugin.Damage
}

// findCached is what was read of the file before, if it is as it was.
func (r *Registry) findCached(f *boltfile.File) (cachedRecords, bool) {
	s, ok := f.Stamp()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cached, ok && s == r.cached.stamp
}

// storeCached notes what was just read of the file, which is still locked.
func (r *Registry) storeCached(f *boltfile.File, records []record.Record, damaged []plugin.Damage) {
	s, ok := f.Stamp()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cached = cachedRecords{}
	if ok {
		r.cached = cachedRecords{s, slices.Clip(records), slices.Clip(damaged)}
	}
}
