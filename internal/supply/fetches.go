package supply

import (
	"cmp"
	"slices"
	"sync"

	"pluginsupervisor/internal/install/fetch"
	"pluginsupervisor/plugin"
)

// onTheWay is what is being fetched; the zero value is nothing.
type onTheWay struct {
	mu    sync.Mutex
	added uint64
	each  map[uint64]plugin.FetchProgress
}

// add begins to follow a package until it arrived, or will not.
func (o *onTheWay) add(name, version string) (on fetch.Progress, arrived func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.each == nil {
		o.each = map[uint64]plugin.FetchProgress{}
	}
	o.added++
	id := o.added
	o.each[id] = plugin.FetchProgress{Name: name, Version: version, Total: -1}
	on = func(done, total int64) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.each[id] = plugin.FetchProgress{Name: name, Version: version, Done: done, Total: total}
	}
	return on, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.each, id)
	}
}

// all are sorted by name.
func (o *onTheWay) all() (fetches []plugin.FetchProgress) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.each {
		fetches = append(fetches, f)
	}
	slices.SortFunc(fetches, func(a, b plugin.FetchProgress) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	return fetches
}
