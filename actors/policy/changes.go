package policy

import (
	"cmp"
	"slices"
	"time"

	"pluginsupervisor/plugin"
)

// MaxChanges is the limit of changes that are fetched or made at once, each of
// another plugin (UP-11).
const MaxChanges = 4

// ChangePhase is the progress of a change.
type ChangePhase uint8

// The phases of a change.
const (
	ChangeQueued     ChangePhase = iota
	ChangeFetching               // its package is being fetched; the plugin runs
	ChangeReady                  // it waits until nothing else touches the plugin
	ChangeApplying               // the version is being switched
	ChangeCancelling             // its fetch is being cancelled
)

var changePhaseNames = [...]string{"queued", "fetching", "waiting", "switching", "cancelling"}

func (p ChangePhase) String() string { return changePhaseNames[p] }

// Changes is the queue of changes: of update checks, of operators, and unfinished
// ones of an earlier process. Changes of different plugins run at the same time,
// an operator's first; those of one plugin run one after the other (UP-11).
type Changes struct {
	list []*queuedChange // all unfinished changes, in order of arrival
	last uint64          // number of the last one

	check          updateCheck
	checkRequested bool            // an update check is requested and not answered
	completed      []plugin.Change // finished since that request
}

type queuedChange struct {
	change      plugin.Change
	phase       ChangePhase
	since       time.Time
	ofCheck     bool // it belongs to the unfinished update check
	cancelCause error
	// preempted reports whether the change goes back into the queue when its fetch
	// has been cancelled.
	preempted bool
}

// updateCheck is an update check with unfinished changes.
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

// BeginCheck records that an update check is requested now.
func (c *Changes) BeginCheck() { c.checkRequested, c.completed = true, nil }

// AddCheck queues the changes of the answer to an update check. It skips the
// handled ones, those that are in the queue already, and those that were made
// since the request, which the answer does not know of.
func (c *Changes) AddCheck(u plugin.Updates, handled []plugin.Change, now time.Time) {
	c.check = updateCheck{open: true, offered: len(u.Changes), next: u.NextInterval}
	before := slices.Clone(c.list)
	for _, change := range u.Changes {
		queued := slices.ContainsFunc(before, func(q *queuedChange) bool {
			return q.change.Name == change.Name && q.change.Version == change.Version && q.cancelCause == nil
		})
		made := slices.ContainsFunc(c.completed, func(m plugin.Change) bool { return m.Name == change.Name && m.Version == change.Version })
		if queued || made || slices.Contains(handled, change) {
			continue
		}
		c.check.pending++
		c.enqueue(change, now, true)
	}
	c.checkRequested, c.completed = false, nil
}

// FinishCheck reports whether all changes of an update check have finished, once.
// It returns how many there were, how many succeeded, and the interval of the
// answer (UP-09).
func (c *Changes) FinishCheck() (offered, succeeded int, next time.Duration, done bool) {
	if !c.check.open || c.check.pending > 0 {
		return 0, 0, 0, false
	}
	k := c.check
	c.check = updateCheck{}
	return k.offered, k.succeeded, k.next, true
}

// ReleaseCheck finishes an update check whose remaining changes are only queued or
// being fetched, so that a slow download does not delay the next check (UP-14). It
// reports whether there was such a check.
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

// IsChecking reports whether changes of an update check are unfinished.
func (c *Changes) IsChecking() bool { return c.check.open }

// StartFetches returns the changes that are to be fetched now.
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

// PreemptFetch returns a change of the control plane whose fetch is to be cancelled
// because an operator's change waits and MaxChanges are active: a slow download
// does not delay an operator (UP-11). The partial download is kept for later.
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
		case q.phase == ChangeCancelling: // finished soon
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

// RequeuePreempted puts a change that PreemptFetch returned back into the queue
// when its fetch has stopped. It reports whether the change is one of those.
func (c *Changes) RequeuePreempted(id uint64, now time.Time) bool {
	q := c.findQueued(id)
	if q == nil || !q.preempted {
		return false
	}
	q.phase, q.since, q.preempted = ChangeQueued, now, false
	return true
}

// findNext returns the queued change to fetch next, nil for none.
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

// rankOrigin returns the rank of a change in the queue: unfinished ones of an
// earlier process first, then operators', then the control plane's.
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

// MarkReady marks a change as ready to be made, and reports whether it is still
// wanted: false after it was cancelled.
func (c *Changes) MarkReady(id uint64, now time.Time) (change plugin.Change, wanted bool) {
	q := c.findQueued(id)
	if q == nil || q.phase != ChangeFetching {
		return plugin.Change{}, false
	}
	q.phase, q.since = ChangeReady, now
	return q.change, true
}

// MarkApplying marks a change as being made.
func (c *Changes) MarkApplying(id uint64, now time.Time) {
	if q := c.findQueued(id); q != nil {
		q.phase, q.since = ChangeApplying, now
	}
}

// Finish removes a finished change from the queue.
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

// Find returns an unfinished change.
func (c *Changes) Find(id uint64) (change plugin.Change, phase ChangePhase, ok bool) {
	if q := c.findQueued(id); q != nil {
		return q.change, q.phase, true
	}
	return plugin.Change{}, 0, false
}

// FindByPlugin returns the change of a plugin that is in progress, else the next
// one in the queue, and since when it is in its phase.
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

// Cancelled is a change that CancelPending has removed from the queue, or that
// leaves the queue when its fetch has stopped.
type Cancelled struct {
	Change   plugin.Change
	Fetching bool // CancelFetch is to be sent; Fetched answers it
	Fetched  bool // CancelFetch is to be sent, to discard the package
}

// CancelPending cancels all changes of a plugin that are not being made yet.
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

// CancelCause returns the reason why the fetch of a change was cancelled, nil if it
// was not.
func (c *Changes) CancelCause(id uint64) error {
	if q := c.findQueued(id); q != nil {
		return q.cancelCause
	}
	return nil
}

// ListApplying returns the changes that are being made.
func (c *Changes) ListApplying() (all []plugin.Change) { return c.listInPhase(ChangeApplying) }

// ListFetching returns the changes that are being fetched.
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
