package policy

import "pluginsupervisor/plugin"

// Batch collects the changes of the durable state by one message. They are
// written together before the effects are carried out (EV-11). Changes that could
// not be written stay in it.
type Batch struct {
	changes  plugin.Changes
	settings bool // changed; read when the batch is written
}

// SetSettings marks the settings as changed.
func (b *Batch) SetSettings() { b.settings = true }

func (b *Batch) setAcked(key string, a *plugin.Acked) {
	if b.changes.Acked == nil {
		b.changes.Acked = map[string]*plugin.Acked{}
	}
	b.changes.Acked[key] = a
}

// setPending sets the pending report of a plugin, nil for none. was reports
// whether one may be stored already. A new one is synced to the disk: it must
// survive a power failure.
func (b *Batch) setPending(key string, o *plugin.PendingReport, was bool) {
	if o == nil && !was {
		return
	}
	if b.changes.Pending == nil {
		b.changes.Pending = map[string]*plugin.PendingReport{}
	}
	b.changes.Pending[key] = o
	b.changes.Sync = b.changes.Sync || o != nil
}

func (b *Batch) setEvent(seq uint64, e *plugin.Event) {
	if b.changes.Events == nil {
		b.changes.Events = map[uint64]*plugin.Event{}
	}
	b.changes.Events[seq] = e
	b.changes.Sync = b.changes.Sync || e != nil
}

// setBlocked sets the blocked version of a plugin, nil for none.
func (b *Batch) setBlocked(name string, blocked *plugin.Blocked) {
	if b.changes.Blocked == nil {
		b.changes.Blocked = map[string]*plugin.Blocked{}
	}
	b.changes.Blocked[name] = blocked
}

// SetRestarts sets the durable record of a plugin, nil to delete it.
func (b *Batch) SetRestarts(key string, r *plugin.RestartRecord, sync bool) {
	if b.changes.Restarts == nil {
		b.changes.Restarts = map[string]*plugin.RestartRecord{}
	}
	b.changes.Restarts[key] = r
	b.changes.Sync = b.changes.Sync || sync
}

// AddEntry adds an entry to the journal.
func (b *Batch) AddEntry(e plugin.Entry) { b.changes.Entries = append(b.changes.Entries, e) }

// CollectChanges returns the changes to write, with the current settings, and
// reports whether there are any.
func (b *Batch) CollectChanges(settings func() plugin.Settings) (plugin.Changes, bool) {
	if b.settings {
		s := settings()
		b.changes.Settings = &s
	}
	return b.changes, !b.changes.IsEmpty()
}

// MarkWritten empties the batch after a write.
func (b *Batch) MarkWritten() { *b = Batch{} }

// MarkFailed keeps the changes after a failed write, but for the entries, which
// the journal keeps itself.
func (b *Batch) MarkFailed() { b.changes.Entries = nil }
