package install

import (
	"sync"

	"pluginsupervisor/plugin"
)

// Kept holds the packages that were staged for changes that are not made yet.
// The zero value is empty. It may be used by several at once.
type Kept struct {
	mu   sync.Mutex
	each map[keptKey]*Staged
}

type keptKey struct {
	id   uint64
	name string
}

// Get returns the package of a change, nil if none was staged.
func (k *Kept) Get(c plugin.Change) *Staged {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.each[keptKey{c.ID, c.Name}]
}

// Swap keeps the package of a change, nil for none, and returns the one before.
func (k *Kept) Swap(c plugin.Change, staged *Staged) (before *Staged) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := keptKey{c.ID, c.Name}
	before = k.each[key]
	if staged == nil {
		delete(k.each, key)
		return before
	}
	if k.each == nil {
		k.each = map[keptKey]*Staged{}
	}
	k.each[key] = staged
	return before
}
