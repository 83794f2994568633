package process

import (
	"time"

	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/plugin"
)

const (
	// partialWait is the delay before the exit of one process is reported. If all processes exit
	// within it, only the exit of the plugin is reported.
	partialWait = 100 * time.Millisecond
	// partialAge is the age from which the exit of a process counts that is not the oldest of its
	// plugin.
	partialAge = 10 * time.Second
	// partialGap is the shortest time between two reports about one run. It doubles up to
	// partialGapMax.
	partialGap    = time.Second
	partialGapMax = time.Minute
)

// partial is the exit of one process of a plugin that is not reported yet.
type partial struct {
	process plugin.Process
	at      time.Time
	runID   uint64
	timer   *time.Timer
}

// partialReports describes what was reported about one run.
type partialReports struct {
	runID uint64
	last  time.Time
	gap   time.Duration
}

// notePartial records the exit of a member before it is removed. The exit is reported soon if other
// processes live on (EV-23): that of the oldest watched process, and that of any process that ran
// for long. Helper processes that run for a short time are ignored.
func (t *Tracker) notePartial(m *member, at time.Time) {
	tr := m.plugin
	if tr.daemonCommands > 0 { // a command changes the processes
		return
	}
	old := procfs.BootTicks()-m.StartTicks >= uint64(partialAge/time.Second)*procfs.TicksPerSecond
	for _, other := range tr.watched {
		if compareAge(other.Process, m.Process) < 0 && !old {
			return
		}
	}
	if tr.pendingPartial != nil {
		if tr.pendingPartial.runID == tr.runID && compareAge(tr.pendingPartial.process, m.Process) < 0 {
			return
		}
		tr.pendingPartial.timer.Stop()
	}
	if tr.reportedPartials.runID != tr.runID {
		tr.reportedPartials = partialReports{runID: tr.runID}
	}
	p := &partial{process: m.Process, at: at, runID: tr.runID}
	wait := max(partialWait, time.Until(tr.reportedPartials.last.Add(tr.reportedPartials.gap)))
	p.timer = time.AfterFunc(wait, func() { t.reportPartial(tr, p) })
	tr.pendingPartial = p
}

// reportPartial reports the exit of one process, unless the whole plugin has exited meanwhile or a
// command of the plugin is running.
func (t *Tracker) reportPartial(tr *tracked, p *partial) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tr.pendingPartial != p || t.isClosed() {
		return
	}
	tr.pendingPartial = nil
	if !tr.alive || tr.runID != p.runID || tr.daemonCommands > 0 {
		return
	}
	tr.reportedPartials.last, tr.reportedPartials.gap = time.Now(), min(max(2*tr.reportedPartials.gap, partialGap), partialGapMax)
	e := plugin.Exit{Name: tr.name, RunID: tr.runID, At: p.at, PID: p.process.PID, Partial: true}
	for i := range tr.exits {
		if how := &tr.exits[i]; how.Process == p.process {
			t.queryExit(how)
			setCause(&e, how.status, how.known)
		}
	}
	t.enqueueExit(e)
}
