package policy

import (
	"time"

	"pluginsupervisor/plugin"
)

// Period names one of the four periods (SPEC 4).
type Period uint8

// The periods.
const (
	ScanPeriod Period = iota
	PullPeriod
	UpdatePeriod
	InventoryPeriod
	PeriodCount
)

var periodNames = [PeriodCount]string{"scan", "pull", "update", "inventory"}

func (p Period) String() string { return periodNames[p] }

// Schedule holds the due times of scans, pulls, update checks and inventories, and
// their intervals, configured or set by the control plane.
type Schedule struct {
	configured plugin.Intervals
	periods    [PeriodCount]period
	fromServer [PeriodCount]time.Duration // 0: the control plane set none
	lastCheck  time.Time                  // start of the last scan (SC-01)
}

// NewSchedule returns a schedule with the intervals that the control plane set in
// an earlier process, or the configured ones, if the configuration has changed
// since.
func NewSchedule(configured plugin.Intervals, s plugin.Settings) *Schedule {
	sc := &Schedule{configured: configured, lastCheck: s.LastCheck}
	set := func(p Period, fromServer, before, now time.Duration) {
		sc.periods[p].interval = now
		if fromServer > 0 && before == now {
			sc.periods[p].interval = fromServer
		}
		if sc.periods[p].interval != now {
			sc.fromServer[p] = fromServer
		}
	}
	set(ScanPeriod, s.ServerIntervals.Scan, s.Configured.Scan, configured.Scan)
	set(PullPeriod, s.ServerIntervals.Pull, s.Configured.Pull, configured.Pull)
	set(UpdatePeriod, s.ServerIntervals.Update, s.Configured.Update, configured.Update)
	set(InventoryPeriod, 0, 0, configured.Inventory)
	return sc
}

// SaveSettings fills in the durable settings of the schedule.
func (s *Schedule) SaveSettings(to *plugin.Settings) {
	to.LastCheck, to.Configured = s.lastCheck, s.configured
	to.ServerIntervals = plugin.Intervals{Scan: s.fromServer[ScanPeriod], Pull: s.fromServer[PullPeriod], Update: s.fromServer[UpdatePeriod]}
}

// SetDue sets the next due time of a period.
func (s *Schedule) SetDue(p Period, at time.Time) { s.periods[p].setDue(at) }

// DueAt returns the next due time of a period.
func (s *Schedule) DueAt(p Period) time.Time { return s.periods[p].due }

// IsRunning reports whether the work of a period has not finished.
func (s *Schedule) IsRunning(p Period) bool { return s.periods[p].running }

// IntervalOf returns the interval of a period.
func (s *Schedule) IntervalOf(p Period) time.Duration { return s.periods[p].interval }

// LastCheck returns the start of the last scan; zero for none.
func (s *Schedule) LastCheck() time.Time { return s.lastCheck }

// Fire sets the next due time of a period that is due, and reports whether its work
// may start: not while the last one runs (TM-01).
func (s *Schedule) Fire(p Period, now time.Time) bool { return s.periods[p].fire(now) }

// Begin records that the work of a period has started (SC-01).
func (s *Schedule) Begin(p Period, now time.Time) {
	s.periods[p].begin(now)
	if p == ScanPeriod {
		s.lastCheck = now
	}
}

// End records that the work of a period has finished.
func (s *Schedule) End(p Period) { s.periods[p].end() }

// MarkAnswered records the answer that completed the work of a period: it is due
// at now + interval (TM-02).
func (s *Schedule) MarkAnswered(p Period, now time.Time) { s.periods[p].dueAfterAnswer(now) }

// Postpone moves the next due time without moving the ones after it (PL-01).
func (s *Schedule) Postpone(p Period, to time.Time) { s.periods[p].postpone(to) }

// AdjustToClock moves the due times after the wall clock was set or the host was
// suspended (TM-07). It reports whether the durable settings changed.
func (s *Schedule) AdjustToClock(now time.Time) (changed bool) {
	if s.lastCheck.After(now) {
		s.lastCheck, changed = now, true
	}
	for p := range s.periods {
		s.periods[p].adjustToClock(now)
	}
	return changed
}

// Interval is the result of an interval from the control plane (TM-04).
type Interval struct {
	Used    time.Duration
	Clamped bool // it was out of bounds
	Changed bool // it differs from the one before
}

// SetInterval applies an interval from the control plane to one period (TM-02,
// TM-04). own: the answer completed this period's work; mayPush: it may make the
// due time later.
func (s *Schedule) SetInterval(p Period, received time.Duration, own, mayPush bool, now time.Time) (i Interval) {
	pe := &s.periods[p]
	used, ok := clampInterval(received)
	if ok {
		i = Interval{Used: used, Clamped: used != received, Changed: used != s.fromServer[p] || used != pe.interval}
		s.fromServer[p] = used
	}
	switch {
	case own:
		if ok {
			pe.interval = used
		}
		pe.dueAfterAnswer(now)
	case ok:
		pe.changeInterval(now, used, mayPush)
	}
	return i
}

// Timers returns the periods as status shows them.
func (s *Schedule) Timers() []plugin.Timer {
	timers := make([]plugin.Timer, PeriodCount)
	for p := range s.periods {
		pe := &s.periods[p]
		timers[p] = plugin.Timer{
			Name: Period(p).String(), Interval: pe.interval, Seconds: pe.interval.Seconds(),
			Due: pe.due, Running: pe.running, Skipped: pe.skipped,
		}
	}
	return timers
}

// SkippedCount returns the number of times a period was due while its work ran
// (TM-01).
func (s *Schedule) SkippedCount(p Period) int { return s.periods[p].skipped }

// clampInterval returns an interval from the control plane within the bounds. ok is
// false when there is none (TM-04).
func clampInterval(d time.Duration) (clamped time.Duration, ok bool) {
	if d <= 0 {
		return 0, false
	}
	return min(max(d, plugin.MinInterval), plugin.MaxInterval), true
}

// period computes the due times of one timer (SPEC 4), in wall time. It sets no
// timer itself.
type period struct {
	interval time.Duration
	due      time.Time // next due time
	nominal  time.Time // base of the due time after due: due, unless that was postponed
	started  time.Time // start of its last work
	running  bool      // its work has not finished
	skipped  int       // number of times it was due while its work ran (TM-01)
}

// setDue sets the next due time.
func (p *period) setDue(at time.Time) { p.due, p.nominal = at, at }

// fire sets the next due time of a period that is due, and reports whether the work
// may start: not while the last one runs (TM-01). Due times in the past are
// skipped, so that there is never a burst (TM-07).
func (p *period) fire(now time.Time) bool {
	p.advanceDue(now)
	if p.running {
		p.skipped++
		return false
	}
	return true
}

// advanceDue sets the next due time by TM-03: the previous one + interval.
func (p *period) advanceDue(now time.Time) {
	next := p.nominal.Add(p.interval)
	if !next.After(now) {
		missed := now.Sub(next)/p.interval + 1
		next = next.Add(missed * p.interval)
	}
	p.setDue(next)
}

// postpone moves the next due time without moving the ones after it (PL-01).
func (p *period) postpone(to time.Time) { p.due = to }

// begin records that the work has started.
func (p *period) begin(now time.Time) { p.running, p.started = true, now }

// end records that the work has finished.
func (p *period) end() { p.running = false }

// dueAfterAnswer sets the due time after the answer that completed its work: now +
// the interval, new or old (TM-02).
func (p *period) dueAfterAnswer(now time.Time) { p.setDue(now.Add(p.interval)) }

// changeInterval sets a new interval from an answer to other work. Due becomes the
// last start + the new interval, or now if that is in the past (TM-02). Without
// mayPush the due time does not become later.
func (p *period) changeInterval(now time.Time, interval time.Duration, mayPush bool) {
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
		p.setDue(due)
	}
}

// adjustToClock corrects the due time after the wall clock was set: it is at most
// one interval away, and at most one missed run is made (TM-07).
func (p *period) adjustToClock(now time.Time) {
	if latest := now.Add(p.interval); p.due.After(latest) {
		p.setDue(latest)
	}
	if p.due.Before(now) {
		p.setDue(now)
	}
	if p.started.After(now) {
		p.started = now
	}
}

// PullDecision is the decision about a pull that is due (PL-01 to PL-03).
type PullDecision struct {
	Pull   bool
	Again  time.Time // the pull is postponed to this time, if not zero
	Reason string    // why there is no pull now
}

// DecidePull decides about a pull that is due: not within avoid of a scan.
func (s *Schedule) DecidePull(now time.Time, avoid time.Duration) PullDecision {
	return decidePull(now, s.lastCheck, s.periods[ScanPeriod].due, avoid)
}

func decidePull(now, lastCheck, scanDue time.Time, avoid time.Duration) PullDecision {
	if lastCheck.IsZero() {
		return PullDecision{Reason: "never scanned"}
	}
	if since := now.Sub(lastCheck); since >= 0 && since < avoid {
		return PullDecision{Again: lastCheck.Add(avoid), Reason: "a scan has just started"}
	}
	if scanDue.Sub(now) < avoid {
		return PullDecision{Reason: "a scan is about to start"}
	}
	return PullDecision{Pull: true}
}
