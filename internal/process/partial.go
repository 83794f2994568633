package process

import (
	"time"

	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/plugin"
)

const (
	// partialWait is how long the exit of one process is kept back: when all
	// exit together, only that is reported.
	partialWait = 100 * time.Millisecond
	// partialAge is from which age the exit of a process counts that is not the
	// oldest of its plugin.
	partialAge = 10 * time.Second
	// partialGap is the least time between two reports about one run; it doubles
	// up to partialGapMax.
	partialGap    = time.Second
	partialGapMax = time.Minute
)

// partial is the exit of one process of a plugin, which is not reported yet.
type partial struct {
	process plugin.Process
	at      time.Time
	life    uint64
	timer   *time.Timer
}

// partials is what was reported of a run.
type partials struct {
	life uint64
	last time.Time
	gap  time.Duration
}

// notePartial notes that a member has exited, before it is taken out of the
// watching. It is reported soon if others live on (EV-23): that of the oldest
// which is watched, and of any that lived for long. Short-lived helpers come
// and go.
func (t *Tracker) notePartial(m *member, at time.Time) {
	tr := m.of
	if tr.verbs > 0 { // a command changes what runs
		return
	}
	old := procfs.BootTicks()-m.Born >= uint64(partialAge/time.Second)*procfs.TicksPerSecond
	for _, other := range tr.watched {
		if elder(other.Process, m.Process) < 0 && !old {
			return
		}
	}
	if tr.partial != nil {
		if tr.partial.life == tr.life && elder(tr.partial.process, m.Process) < 0 {
			return
		}
		tr.partial.timer.Stop()
	}
	if tr.partials.life != tr.life {
		tr.partials = partials{life: tr.life}
	}
	p := &partial{process: m.Process, at: at, life: tr.life}
	wait := max(partialWait, time.Until(tr.partials.last.Add(tr.partials.gap)))
	p.timer = time.AfterFunc(wait, func() { t.tellPartial(tr, p) })
	tr.partial = p
}

// tellPartial reports the exit of one process, unless all of the plugin has
// exited meanwhile, or a command runs that decides anyway.
func (t *Tracker) tellPartial(tr *tracked, p *partial) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tr.partial != p || t.isClosed() {
		return
	}
	tr.partial = nil
	if !tr.alive || tr.life != p.life || tr.verbs > 0 {
		return
	}
	tr.partials.last, tr.partials.gap = time.Now(), min(max(2*tr.partials.gap, partialGap), partialGapMax)
	e := plugin.Exit{Name: tr.name, Life: tr.life, At: p.at, PID: p.process.PID, Partial: true}
	for i := range tr.endings {
		if how := &tr.endings[i]; how.Process == p.process {
			t.ask(how)
			describe(&e, how.status, how.known)
		}
	}
	t.tell(e)
}
