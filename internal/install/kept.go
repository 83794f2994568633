package install

import (
	"sync"

	"pluginsupervisor/plugin"
)

// Kept holds the staged packages of pending changes. The zero value is empty. It
// is safe for concurrent use.
type Kept struct {
	mu       sync.Mutex
	packages map[keptKey]*Staged
}

type keptKey struct {
	id   uint64
	name string
}

// Get returns the package of a change, nil if none was staged.
func (k *Kept) Get(c plugin.Change) *Staged {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.packages[keptKey{c.ID, c.Name}]
}

// Swap keeps the package of a change, nil for none, and returns the previous one.
func (k *Kept) Swap(c plugin.Change, staged *Staged) (before *Staged) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := keptKey{c.ID, c.Name}
	before = k.packages[key]
	if staged == nil {
		delete(k.packages, key)
		return before
	}
	if k.packages == nil {
		k.packages = map[keptKey]*Staged{}
	}
	k.packages[key] = staged
	return before
}
