package actors

import (
	"time"

	"pluginsupervisor/plugin"
)

// The bounds of an interval that a server sends (TM-04).
const (
	minToldInterval = 10 * time.Second
	maxToldInterval = 7 * 24 * time.Hour
)

// clampInterval brings an interval from the server into bounds. ok is false
// when it says nothing (TM-04).
func clampInterval(d time.Duration) (clamped time.Duration, ok bool) {
	if d <= 0 {
		return 0, false
	}
	return min(max(d, minToldInterval), maxToldInterval), true
}

// period is the arithmetic of one timer (SPEC 4): when it is due next. It
// knows wall time only and sets no timer itself.
type period struct {
	interval time.Duration
	due      time.Time // when it is due next
	nominal  time.Time // the due time the next one is counted from: due, unless that was postponed
	started  time.Time // start of its last work
	running  bool      // its work has not ended
	skipped  int       // times it was due while its work ran (TM-01)
}

// first sets the first due time.
func (p *period) first(at time.Time) { p.due, p.nominal = at, at }

// fire is told that the period is due. It sets the next due time and tells
// whether the work may start: not while the last still runs (TM-01). Due times
// that are past already are left out, so that there is never a burst (TM-07).
func (p *period) fire(now time.Time) bool {
	p.advance(now)
	if p.running {
		p.skipped++
		return false
	}
	return true
}

// advance sets the next due time by TM-03: the previous one + interval.
func (p *period) advance(now time.Time) {
	next := p.nominal.Add(p.interval)
	if !next.After(now) {
		missed := now.Sub(next)/p.interval + 1
		next = next.Add(missed * p.interval)
	}
	p.first(next)
}

// postpone makes the present due time come later without moving the ones after it (PL-01).
func (p *period) postpone(to time.Time) { p.due = to }

// begin says the work started.
func (p *period) begin(now time.Time) { p.running, p.started = true, now }

// end says the work ended.
func (p *period) end() { p.running = false }

// answered is told the answer to a report that its own work ended with: due is
// now + the interval, new or old (TM-02).
func (p *period) answered(now time.Time) { p.first(now.Add(p.interval)) }

// told is given a new interval by an answer that is not its own. Due becomes
// the last start + new interval, at once if that is past (TM-02); an answer
// that must not push it later only pulls it in.
func (p *period) told(now time.Time, interval time.Duration, mayPush bool) {
	if interval == p.interval {
		return
	}
	p.interval = interval
	if p.started.IsZero() {
		return
	}
	due := p.started.Add(interval)
	if due.Before(now) {
		due = now
	}
	if mayPush || due.Before(p.due) {
		p.first(due)
	}
}

// stepped is told that the wall clock jumped or the host slept: due is never
// further off than one interval, and one run at most is made up for (TM-07).
func (p *period) stepped(now time.Time) {
	if latest := now.Add(p.interval); p.due.After(latest) {
		p.first(latest)
	}
	if p.due.Before(now) {
		p.first(now)
	}
	if p.started.After(now) {
		p.started = now
	}
}

// pullDecision is what becomes of a pull that is due (PL-01 to PL-03).
type pullDecision struct {
	pull   bool
	again  time.Time // postponed to then, if not zero
	reason string    // why it is not pulled now
}

// decidePull keeps a pull away from the scans around it: lastCheck is the
// start of the last scan, scanDue when the next one is due.
func decidePull(now, lastCheck, scanDue time.Time, avoid time.Duration) pullDecision {
	if lastCheck.IsZero() {
		return pullDecision{reason: "never scanned"}
	}
	if since := now.Sub(lastCheck); since >= 0 && since < avoid {
		return pullDecision{again: lastCheck.Add(avoid), reason: "a scan has just started"}
	}
	if scanDue.Sub(now) < avoid {
		return pullDecision{reason: "a scan is about to start"}
	}
	return pullDecision{pull: true}
}

// remembered merges what the control plane told an earlier process with what
// is configured now: a configuration that changed since wins.
func remembered(s plugin.Settings, configured plugin.Intervals) plugin.Intervals {
	pick := func(told, then, now time.Duration) time.Duration {
		if told > 0 && then == now {
			return told
		}
		return now
	}
	return plugin.Intervals{
		Scan:      pick(s.Told.Scan, s.Configured.Scan, configured.Scan),
		Pull:      pick(s.Told.Pull, s.Configured.Pull, configured.Pull),
		Update:    pick(s.Told.Update, s.Configured.Update, configured.Update),
		Inventory: configured.Inventory,
	}
}
