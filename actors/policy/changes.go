package policy

import (
	"cmp"
	"slices"
	"time"

	"pluginsupervisor/plugin"
)

// MaxChanges is how many changes are fetched or made at once, each of another
// plugin (UP-11).
const MaxChanges = 4

// ChangePhase says how far a change has come.
type ChangePhase uint8

// The phases of a change.
const (
	ChangeQueued     ChangePhase = iota
	ChangeFetching               // its package is fetched, beside the running plugin
	ChangeReady                  // it waits until nothing else touches the plugin
	ChangeApplying               // the version is switched
	ChangeCancelling             // its fetch is being cancelled
)

var changePhaseNames = [...]string{"queued", "fetching", "waiting", "switching", "cancelling"}

func (p ChangePhase) String() string { return changePhaseNames[p] }

// Changes is the queue of changes: an update check's, operators', and those
// that an earlier process left. Changes of different plugins go side by side,
// an operator's first; those of one plugin go one after the other (UP-11).
type Changes struct {
	list []*queuedChange // all that have not ended, in order of arrival
	last uint64          // number of the last one

	check          updateCheck
	checkRequested bool            // an update check is asked for, and not answered
	completed      []plugin.Change // since then
}

type queuedChange struct {
	change      plugin.Change
	phase       ChangePhase
	since       time.Time
	ofCheck     bool // it came with the update check that is not done yet
	cancelCause error
	// preempted says of a fetch that is being cancelled that it goes back into
	// the queue then.
	preempted bool
}

// updateCheck is the update check whose changes have not all ended.
type updateCheck struct {
	open               bool
	pending            int
	offered, succeeded int
	next               time.Duration
}

// Add queues a change and returns it with its number.
func (c *Changes) Add(change plugin.Change, now time.Time) plugin.Change {
	return c.enqueue(change, now, false)
}

func (c *Changes) enqueue(change plugin.Change, now time.Time, check bool) plugin.Change {
	c.last++
	change.ID = c.last
	c.list = append(c.list, &queuedChange{change: change, since: now, ofCheck: check})
	return change
}

// BeginCheck says that an update check is asked for now.
func (c *Changes) BeginCheck() { c.checkRequested, c.completed = true, nil }

// AddCheck queues what an update check was answered. takenOver of them need
// nothing to be done, nor do those that an earlier check left under way, and
// those that were made since it was asked for: the answer does not know of them.
func (c *Changes) AddCheck(u plugin.Updates, takenOver []plugin.Change, now time.Time) {
	c.check = updateCheck{open: true, offered: len(u.Changes), next: u.NextInterval}
	before := slices.Clone(c.list)
	for _, change := range u.Changes {
		underWay := slices.ContainsFunc(before, func(q *queuedChange) bool {
			return q.change.Name == change.Name && q.change.Version == change.Version && q.cancelCause == nil
		})
		made := slices.ContainsFunc(c.completed, func(m plugin.Change) bool { return m.Name == change.Name && m.Version == change.Version })
		if underWay || made || slices.Contains(takenOver, change) {
			continue
		}
		c.check.pending++
		c.enqueue(change, now, true)
	}
	c.checkRequested, c.completed = false, nil
}

// FinishCheck reports whether an update check has just come to its end: all of
// its changes have. It returns how many there were, how many succeeded, and the
// interval of the answer (UP-09).
func (c *Changes) FinishCheck() (offered, succeeded int, next time.Duration, done bool) {
	if !c.check.open || c.check.pending > 0 {
		return 0, 0, 0, false
	}
	k := c.check
	c.check = updateCheck{}
	return k.offered, k.succeeded, k.next, true
}

// ReleaseCheck lets an update check end of which nothing is left but what is
// being fetched, or waits for that: a slow download does not hold up the next
// check (UP-14). It reports whether there was such a check.
func (c *Changes) ReleaseCheck() bool {
	if !c.check.open {
		return false
	}
	for _, q := range c.list {
		if q.ofCheck && (q.phase == ChangeReady || q.phase == ChangeApplying) {
			return false
		}
	}
	for _, q := range c.list {
		q.ofCheck = false
	}
	c.check.pending = 0
	return true
}

// IsChecking reports whether changes of an update check have not ended.
func (c *Changes) IsChecking() bool { return c.check.open }

// StartFetches returns the changes whose fetch is to begin now.
func (c *Changes) StartFetches(now time.Time) (fetch []plugin.Change) {
	for {
		next := c.findNext()
		if next == nil {
			return fetch
		}
		next.phase, next.since = ChangeFetching, now
		fetch = append(fetch, next.change)
	}
}

// PreemptFetch returns a fetch of the control plane's that is to be cancelled because
// an operator's change waits and all places are taken: a slow download does not
// hold up an operator (UP-11). What came of it is kept, and it goes on later.
func (c *Changes) PreemptFetch() (fetch plugin.Change, ok bool) {
	active, busy := 0, map[string]bool{}
	for _, q := range c.list {
		if q.phase != ChangeQueued {
			active++
			busy[q.change.Name] = true
		}
	}
	waiting := 0
	var last *queuedChange
	for _, q := range c.list {
		switch {
		case q.phase == ChangeQueued && q.change.ByOperator() && !busy[q.change.Name]:
			waiting++
			busy[q.change.Name] = true
		case q.phase == ChangeCancelling: // its place is free soon
			waiting--
		case q.phase == ChangeFetching && q.change.Origin == plugin.FromControlPlane:
			last = q
		}
	}
	if active < MaxChanges || waiting <= 0 || last == nil {
		return plugin.Change{}, false
	}
	last.phase, last.preempted = ChangeCancelling, true
	return last.change, true
}

// RequeuePreempted puts a fetch that MakeWay returned, and that has ended, back into the
// queue. It reports whether the change is one of those.
func (c *Changes) RequeuePreempted(id uint64, now time.Time) bool {
	q := c.findQueued(id)
	if q == nil || !q.preempted {
		return false
	}
	q.phase, q.since, q.preempted = ChangeQueued, now, false
	return true
}

// findNext returns the queued change that goes next, nil if none may.
func (c *Changes) findNext() *queuedChange {
	active, busy := 0, map[string]bool{}
	for _, q := range c.list {
		if q.phase != ChangeQueued {
			active++
			busy[q.change.Name] = true
		}
	}
	if active >= MaxChanges {
		return nil
	}
	var next *queuedChange
	for _, q := range c.list {
		if q.phase != ChangeQueued || busy[q.change.Name] {
			continue
		}
		if next == nil || rankOrigin(q.change) < rankOrigin(next.change) {
			next = q
		}
	}
	return next
}

// rankOrigin orders the changes that may go: what was left half done first, then
// operators', then the control plane's.
func rankOrigin(c plugin.Change) int {
	switch c.Origin {
	case plugin.FromRecovery:
		return 0
	case plugin.FromOperator:
		return 1
	default:
		return 2
	}
}

// MarkReady notes that a change is ready to be made. It reports whether it still
// is to be: false after it was cancelled.
func (c *Changes) MarkReady(id uint64, now time.Time) (change plugin.Change, wanted bool) {
	q := c.findQueued(id)
	if q == nil || q.phase != ChangeFetching {
		return plugin.Change{}, false
	}
	q.phase, q.since = ChangeReady, now
	return q.change, true
}

// MarkApplying notes that a change is being made.
func (c *Changes) MarkApplying(id uint64, now time.Time) {
	if q := c.findQueued(id); q != nil {
		q.phase, q.since = ChangeApplying, now
	}
}

// Finish takes a change out of the queue that has ended.
func (c *Changes) Finish(id uint64, succeeded bool) (change plugin.Change, known bool) {
	q := c.findQueued(id)
	if q == nil {
		return plugin.Change{}, false
	}
	c.list = slices.DeleteFunc(c.list, func(other *queuedChange) bool { return other == q })
	if q.ofCheck {
		c.check.pending--
		if succeeded {
			c.check.succeeded++
		}
	}
	if succeeded && c.checkRequested {
		c.completed = append(c.completed, q.change)
	}
	return q.change, true
}

// Find returns a change that has not ended.
func (c *Changes) Find(id uint64) (change plugin.Change, phase ChangePhase, ok bool) {
	if q := c.findQueued(id); q != nil {
		return q.change, q.phase, true
	}
	return plugin.Change{}, 0, false
}

// FindByPlugin returns the change of a plugin that is under way, or else the next one in
// the queue, and since when it is in its phase.
func (c *Changes) FindByPlugin(name string) (change plugin.Change, phase ChangePhase, since time.Time, ok bool) {
	var first *queuedChange
	for _, q := range c.list {
		if q.change.Name != name {
			continue
		}
		if first == nil || q.phase > first.phase {
			first = q
		}
	}
	if first == nil {
		return plugin.Change{}, 0, time.Time{}, false
	}
	return first.change, first.phase, first.since, true
}

// Cancelled is a change that Cancel has taken out of the queue, or will as
// soon as its fetch has ended.
type Cancelled struct {
	Change   plugin.Change
	Fetching bool // CancelFetch is to be sent; the end is Fetched
	Fetched  bool // CancelFetch is to be sent, to drop what was fetched
}

// CancelPending drops all changes of a plugin that are not being made yet.
func (c *Changes) CancelPending(name string, why error) (all []Cancelled) {
	for _, q := range slices.Clone(c.list) {
		if q.change.Name != name {
			continue
		}
		switch q.phase {
		case ChangeQueued:
			all = append(all, Cancelled{Change: q.change})
			c.Finish(q.change.ID, false)
		case ChangeFetching:
			q.phase, q.cancelCause = ChangeCancelling, why
			all = append(all, Cancelled{Change: q.change, Fetching: true})
		case ChangeCancelling:
			q.preempted, q.cancelCause = false, cmp.Or(q.cancelCause, why)
		case ChangeReady:
			all = append(all, Cancelled{Change: q.change, Fetched: true})
			c.Finish(q.change.ID, false)
		}
	}
	return all
}

// CancelCause returns why the fetch of a change was cancelled, nil if it was
// not.
func (c *Changes) CancelCause(id uint64) error {
	if q := c.findQueued(id); q != nil {
		return q.cancelCause
	}
	return nil
}

// ListApplying returns the changes that are being made.
func (c *Changes) ListApplying() (all []plugin.Change) { return c.listInPhase(ChangeApplying) }

// ListFetching returns the changes whose package is being fetched.
func (c *Changes) ListFetching() (all []plugin.Change) {
	return append(c.listInPhase(ChangeFetching), c.listInPhase(ChangeCancelling)...)
}

func (c *Changes) listInPhase(p ChangePhase) (all []plugin.Change) {
	for _, q := range c.list {
		if q.phase == p {
			all = append(all, q.change)
		}
	}
	return all
}

func (c *Changes) findQueued(id uint64) *queuedChange {
	i := slices.IndexFunc(c.list, func(q *queuedChange) bool { return q.change.ID == id })
	if i < 0 {
		return nil
	}
	return c.list[i]
}
