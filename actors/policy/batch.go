package policy

import "pluginsupervisor/plugin"

// Batch collects what the handling of one message changed of the durable
// memory, so that it is written at once before anything is done about it
// (EV-11). What could not be written stays in it.
type Batch struct {
	changes  plugin.Changes
	settings bool // they changed; they are read when the batch is written
}

// SetSettings notes that the settings changed.
func (b *Batch) SetSettings() { b.settings = true }

func (b *Batch) setAcked(key string, a *plugin.Acked) {
	if b.changes.Acked == nil {
		b.changes.Acked = map[string]*plugin.Acked{}
	}
	b.changes.Acked[key] = a
}

// setPending notes what is pending of a plugin, nil for nothing. was: something
// may be on record. New ones are synced: they must survive the machine's death
// too.
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

// setBlocked notes what is blocked of a plugin, nil for nothing.
func (b *Batch) setBlocked(name string, blocked *plugin.Blocked) {
	if b.changes.Blocked == nil {
		b.changes.Blocked = map[string]*plugin.Blocked{}
	}
	b.changes.Blocked[name] = blocked
}

// SetRestarts notes the durable record of a plugin, nil to delete it.
func (b *Batch) SetRestarts(key string, r *plugin.RestartRecord, sync bool) {
	if b.changes.Restarts == nil {
		b.changes.Restarts = map[string]*plugin.RestartRecord{}
	}
	b.changes.Restarts[key] = r
	b.changes.Sync = b.changes.Sync || sync
}

// AddEntry adds to the journal.
func (b *Batch) AddEntry(e plugin.Entry) { b.changes.Entries = append(b.changes.Entries, e) }

// CollectChanges returns what is to be written, with the settings as they are now,
// and whether there is anything.
func (b *Batch) CollectChanges(settings func() plugin.Settings) (plugin.Changes, bool) {
	if b.settings {
		s := settings()
		b.changes.Settings = &s
	}
	return b.changes, !b.changes.IsEmpty()
}

// MarkWritten empties the batch.
func (b *Batch) MarkWritten() { *b = Batch{} }

// MarkFailed keeps all but the entries, which the journal keeps by itself.
func (b *Batch) MarkFailed() { b.changes.Entries = nil }
