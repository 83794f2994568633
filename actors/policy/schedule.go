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

// Schedule says when scans, pulls, update checks and inventories are due, and
// whose interval counts.
type Schedule struct {
	configured plugin.Intervals
	periods    [PeriodCount]period
	fromServer [PeriodCount]time.Duration // 0: the control plane set none
	lastCheck  time.Time                  // start of the last scan (SC-01)
}

// NewSchedule returns a schedule with the configured intervals, or those that
// the control plane set for an earlier process: a configuration that changed
// since wins.
func NewSchedule(configured plugin.Intervals, s plugin.Settings) *Schedule {
	sc := &Schedule{configured: configured, lastCheck: s.LastCheck}
	set := func(p Period, told, then, now time.Duration) {
		sc.periods[p].interval = now
		if told > 0 && then == now {
			sc.periods[p].interval = told
		}
		if sc.periods[p].interval != now {
			sc.fromServer[p] = told
		}
	}
	set(ScanPeriod, s.ServerIntervals.Scan, s.Configured.Scan, configured.Scan)
	set(PullPeriod, s.ServerIntervals.Pull, s.Configured.Pull, configured.Pull)
	set(UpdatePeriod, s.ServerIntervals.Update, s.Configured.Update, configured.Update)
	set(InventoryPeriod, 0, 0, configured.Inventory)
	return sc
}

// SaveSettings fills in what has to survive the process.
func (s *Schedule) SaveSettings(to *plugin.Settings) {
	to.LastCheck, to.Configured = s.lastCheck, s.configured
	to.ServerIntervals = plugin.Intervals{Scan: s.fromServer[ScanPeriod], Pull: s.fromServer[PullPeriod], Update: s.fromServer[UpdatePeriod]}
}

// SetDue sets when a period is due for the first time, or next.
func (s *Schedule) SetDue(p Period, at time.Time) { s.periods[p].setDue(at) }

// DueAt returns when a period is due next.
func (s *Schedule) DueAt(p Period) time.Time { return s.periods[p].due }

// IsRunning reports whether the work of a period has not ended.
func (s *Schedule) IsRunning(p Period) bool { return s.periods[p].running }

// IntervalOf returns how often a period is due.
func (s *Schedule) IntervalOf(p Period) time.Duration { return s.periods[p].interval }

// LastCheck returns the start of the last scan; zero: there was none.
func (s *Schedule) LastCheck() time.Time { return s.lastCheck }

// Fire notes that a period is due, sets its next due time, and reports whether
// its work may start: not while the last still runs (TM-01).
func (s *Schedule) Fire(p Period, now time.Time) bool { return s.periods[p].fire(now) }

// Begin notes that the work of a period has started (SC-01).
func (s *Schedule) Begin(p Period, now time.Time) {
	s.periods[p].begin(now)
	if p == ScanPeriod {
		s.lastCheck = now
	}
}

// End notes that the work of a period has ended.
func (s *Schedule) End(p Period) { s.periods[p].end() }

// MarkAnswered notes the answer that ended the own work of a period: due is now +
// interval (TM-02).
func (s *Schedule) MarkAnswered(p Period, now time.Time) { s.periods[p].dueAfterAnswer(now) }

// Postpone makes the present due time come later without moving the ones after
// it (PL-01).
func (s *Schedule) Postpone(p Period, to time.Time) { s.periods[p].postpone(to) }

// AdjustToClock is called when the wall clock jumped or the host slept (TM-07). It
// reports whether the durable settings changed.
func (s *Schedule) AdjustToClock(now time.Time) (changed bool) {
	if s.lastCheck.After(now) {
		s.lastCheck, changed = now, true
	}
	for p := range s.periods {
		s.periods[p].adjustToClock(now)
	}
	return changed
}

// Interval is what came of an interval from the control plane (TM-04).
type Interval struct {
	Used    time.Duration
	Clamped bool // it was out of bounds
	Changed bool // it is another one than before
}

// SetInterval applies an interval from the control plane to one period (TM-02,
// TM-04). own: its answer ended this period's work; mayPush: it may make the
// due time later.
func (s *Schedule) SetInterval(p Period, said time.Duration, own, mayPush bool, now time.Time) (i Interval) {
	pe := &s.periods[p]
	used, ok := clampInterval(said)
	if ok {
		i = Interval{Used: used, Clamped: used != said, Changed: used != s.fromServer[p] || used != pe.interval}
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

// SkippedCount returns how often a period was due while its work ran (TM-01).
func (s *Schedule) SkippedCount(p Period) int { return s.periods[p].skipped }

// clampInterval returns an interval from the server within bounds. ok is false
// when there is none (TM-04).
func clampInterval(d time.Duration) (clamped time.Duration, ok bool) {
	if d <= 0 {
		return 0, false
	}
	return min(max(d, plugin.MinInterval), plugin.MaxInterval), true
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

// setDue sets the first due time.
func (p *period) setDue(at time.Time) { p.due, p.nominal = at, at }

// fire sets the next due time of a period that is due, and reports whether the work may start: not while the last still runs (TM-01). Due times
// that are past already are left out, so that there is never a burst (TM-07).
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

// postpone makes the present due time come later without moving the ones after it (PL-01).
func (p *period) postpone(to time.Time) { p.due = to }

// begin notes that the work started.
func (p *period) begin(now time.Time) { p.running, p.started = true, now }

// end notes that it ended.
func (p *period) end() { p.running = false }

// dueAfterAnswer sets the due time after the answer that its own work ended with:
// now + the interval, new or old (TM-02).
func (p *period) dueAfterAnswer(now time.Time) { p.setDue(now.Add(p.interval)) }

// changeInterval sets a new interval from an answer that is not its own. Due becomes
// the last start + new interval, at once if that is past (TM-02); an answer
// that must not push it later only pulls it in.
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

// adjustToClock corrects the due time after the wall clock jumped: it is never
// further off than one interval, and one run at most is made up for (TM-07).
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

// PullDecision is what becomes of a pull that is due (PL-01 to PL-03).
type PullDecision struct {
	Pull   bool
	Again  time.Time // postponed to then, if not zero
	Reason string    // why it is not pulled now
}

// DecidePull keeps a pull away from the scans around it.
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
