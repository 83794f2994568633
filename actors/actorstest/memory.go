package actorstest

import (
	"time"

	"pluginsupervisor/plugin"
)

// Save applies the changes as the real state does, so that a later system can begin with them.
func (w *World) Save(c plugin.Changes) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.SaveErr != nil {
		return w.SaveErr
	}
	w.SaveCount++
	if c.Settings != nil {
		w.Saved.Settings = *c.Settings
	}
	apply(w.Saved.Acked, c.Acked)
	apply(w.Saved.Pending, c.Pending)
	apply(w.Saved.Events, c.Events)
	apply(w.Saved.Restarts, c.Restarts)
	apply(w.Saved.Blocked, c.Blocked)
	for _, e := range c.Entries {
		w.Journal = append(w.Journal, e)
		w.Saved.Entries = e.Seq
		if len(w.Journal) > journalLimit {
			w.Journal = append(w.Journal[:0], w.Journal[journalLimit/2:]...)
		}
	}
	return nil
}

// journalLimit is how many entries of the journal a World keeps.
const journalLimit = 10_000

// apply sets and deletes what changed.
func apply[K comparable, V any](to map[K]V, changes map[K]*V) {
	for k, v := range changes {
		if v == nil {
			delete(to, k)
		} else {
			to[k] = *v
		}
	}
}

// Now returns the wall time.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.WallOffset).Round(0)
}

// Moment returns the time on both clocks.
func (w *World) Moment() plugin.Moment {
	return plugin.Moment{Wall: w.Now(), BootID: "b", Uptime: Elapsed()}
}
