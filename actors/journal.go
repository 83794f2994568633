package actors

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// recording is the entries that the message being handled leads to. They are
// numbered and completed when it has been handled, saved, and then published
// (EV-12).
type recording struct {
	last    uint64 // number of the last entry
	entries []unfinished
}

// unfinished is an entry; what comes next is known when the message has been handled.
type unfinished struct {
	plugin.Entry
	about *unit // whose plan is next; nil: none
}

// record notes an entry about a plugin; what is planned for it is added.
func (c *coordinator) record(u *unit, e plugin.Entry) { c.recordAt(len(c.recording.entries), u, e) }

// recordAt notes it before those entries it led to, which are from that index on.
func (c *coordinator) recordAt(index int, u *unit, e plugin.Entry) {
	e.Plugin, e.Version, e.At = u.plugin.Key(), u.plugin.Version, c.now
	u.untold = u.untold || e.Kind == plugin.EntryState || e.Kind == plugin.EntryExit
	c.recording.entries = slices.Insert(c.recording.entries, index, unfinished{e, u})
}

// recordUnknown notes an entry about a plugin that is not on the host.
func (c *coordinator) recordUnknown(name, version string, e plugin.Entry) {
	e.Plugin, e.Version, e.At = name, version, c.now
	c.recording.entries = append(c.recording.entries, unfinished{Entry: e})
}

// recordHost notes an entry about the host or the supervisor itself.
func (c *coordinator) recordHost(kind plugin.EntryKind, cause, decision string) {
	c.recording.entries = append(c.recording.entries, unfinished{
		Entry: plugin.Entry{Kind: kind, At: c.now, Cause: cause, Decision: decision},
	})
}

// finishEntries hands the entries over to be saved, and published after that.
func (c *coordinator) finishEntries() {
	r := &c.recording
	for _, e := range r.entries {
		r.last++
		e.Seq = r.last
		if e.about != nil && (e.Kind == plugin.EntryState || e.Kind == plugin.EntryExit || e.Kind == plugin.EntryAttempt) {
			e.Next, e.NextAt = e.about.next, e.about.nextAt
		}
		entry := e.Entry
		c.saving.entry(entry)
		c.then(func(ctx actor.Context) { ctx.ActorSystem().EventStream.Publish(messages.Recorded{Entry: entry}) })
	}
	r.entries = r.entries[:0]
}

// measured hands a span the supervisor measured of itself to whoever counts them (EV-18).
func (c *coordinator) measured(m plugin.Measure, from time.Time) {
	if c.meter != nil && !from.IsZero() {
		c.meter.Observe(m, max(c.now.Sub(from), 0))
	}
}
