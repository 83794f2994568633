package registry

import (
	"slices"

	"pluginsupervisor/internal/boltfile"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/plugin"
)

// cachedRecords holds the records that were last read. They are valid as long as the
// stamp of the file is the same, which changes with each transaction. The database is
// read before each start of a plugin, and decoding takes longer than all the rest.
type cachedRecords struct {
	stamp   boltfile.Stamp
	records []record.Record // shared by all callers: never changed
	damaged []plugin.Damage
}

// findCached returns the cached records, if the file has not changed.
func (r *Registry) findCached(f *boltfile.File) (cachedRecords, bool) {
	s, ok := f.Stamp()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cached, ok && s == r.cached.stamp
}

// storeCached stores the records that were just read; the file is still locked.
func (r *Registry) storeCached(f *boltfile.File, records []record.Record, damaged []plugin.Damage) {
	s, ok := f.Stamp()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cached = cachedRecords{}
	if ok {
		r.cached = cachedRecords{s, slices.Clip(records), slices.Clip(damaged)}
	}
}
