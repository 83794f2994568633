package actors

import "pluginsupervisor/plugin"

// changes collects what handling one message changed of the durable memory,
// so that it is written in one batch before anything is done about it (EV-11).
// What could not be written stays in it and is part of the next batch.
type changes struct {
	batch plugin.Changes
	dirty bool // the settings changed; they are taken from the Coordinator when the batch is written
}

func (c *changes) settings() { c.dirty = true }

func (c *changes) acked(key string, a *plugin.Acked) {
	if c.batch.Acked == nil {
		c.batch.Acked = map[string]*plugin.Acked{}
	}
	c.batch.Acked[key] = a
}

// owed notes what is owed of a plugin, nil for nothing; was tells whether
// something may be on record. New debts are synced: they must survive the
// machine's death too.
func (c *changes) owed(key string, o *plugin.Owed, was bool) {
	if o == nil && !was {
		return
	}
	if c.batch.Owed == nil {
		c.batch.Owed = map[string]*plugin.Owed{}
	}
	c.batch.Owed[key] = o
	c.batch.Sync = c.batch.Sync || o != nil
}

func (c *changes) event(seq uint64, e *plugin.Event) {
	if c.batch.Events == nil {
		c.batch.Events = map[uint64]*plugin.Event{}
	}
	c.batch.Events[seq] = e
	c.batch.Sync = c.batch.Sync || e != nil
}

// restarts notes a plugin's restart memory; an operator's stop is synced.
func (c *changes) restarts(key string, r *plugin.Restarts, sync bool) {
	if c.batch.Restarts == nil {
		c.batch.Restarts = map[string]*plugin.Restarts{}
	}
	c.batch.Restarts[key] = r
	c.batch.Sync = c.batch.Sync || sync
}

// entry adds to the journal.
func (c *changes) entry(e plugin.Entry) { c.batch.Entries = append(c.batch.Entries, e) }

// pending is the batch to write, with the settings as they are now.
func (c *changes) pending(settings func() plugin.Settings) (plugin.Changes, bool) {
	if c.dirty {
		s := settings()
		c.batch.Settings = &s
	}
	return c.batch, !c.batch.Empty()
}

// written empties the batch.
func (c *changes) written() { *c = changes{} }
