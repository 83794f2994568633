package packagesource

import (
	"cmp"
	"slices"
	"sync"

	"pluginsupervisor/internal/install/fetch"
	"pluginsupervisor/plugin"
)

// activeFetches holds the packages that are being fetched. The zero value is ready to
// use.
type activeFetches struct {
	mu    sync.Mutex
	added uint64
	byID  map[uint64]plugin.FetchProgress
}

// start adds a package until end is called.
func (a *activeFetches) start(name, version string) (progress fetch.Progress, end func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byID == nil {
		a.byID = map[uint64]plugin.FetchProgress{}
	}
	a.added++
	id := a.added
	a.byID[id] = plugin.FetchProgress{Name: name, Version: version, Total: -1}
	progress = func(done, total int64) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.byID[id] = plugin.FetchProgress{Name: name, Version: version, Done: done, Total: total}
	}
	return progress, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.byID, id)
	}
}

// list returns the packages, sorted by name and version.
func (a *activeFetches) list() (fetches []plugin.FetchProgress) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.byID {
		fetches = append(fetches, f)
	}
	slices.SortFunc(fetches, func(x, y plugin.FetchProgress) int {
		return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Version, y.Version))
	})
	return fetches
}
