package packagesource

import (
	"cmp"
	"slices"
	"sync"

	"pluginsupervisor/internal/install/fetch"
	"pluginsupervisor/plugin"
)

// activeFetches is what is being fetched; the zero value is nothing.
type activeFetches struct {
	mu    sync.Mutex
	added uint64
	byID  map[uint64]plugin.FetchProgress
}

// start begins to follow a package until it arrived, or will not.
func (o *activeFetches) start(name, version string) (on fetch.Progress, arrived func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byID == nil {
		o.byID = map[uint64]plugin.FetchProgress{}
	}
	o.added++
	id := o.added
	o.byID[id] = plugin.FetchProgress{Name: name, Version: version, Total: -1}
	on = func(done, total int64) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.byID[id] = plugin.FetchProgress{Name: name, Version: version, Done: done, Total: total}
	}
	return on, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.byID, id)
	}
}

// list are sorted by name.
func (o *activeFetches) list() (fetches []plugin.FetchProgress) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.byID {
		fetches = append(fetches, f)
	}
	slices.SortFunc(fetches, func(a, b plugin.FetchProgress) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	return fetches
}
