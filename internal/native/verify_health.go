package native

import (
	"context"
	"fmt"
	"time"

	"pluginsupervisor/internal/verb"
	"pluginsupervisor/plugin"
)

// While a new version proves itself, its processes are looked at this often,
// and `--status` is asked at first after the first of these, then each time
// after twice as long, at most after the last.
const (
	proveInterval    = 100 * time.Millisecond
	firstStatusCheck = 500 * time.Millisecond
	lastStatusCheck  = 10 * time.Second
)

// runPreflight runs `--status` of the new version before anything is touched: any
// answer in time will do, that it can be run at all is the point (SPEC 11).
func (c *change) runPreflight(ctx context.Context) error {
	p := c.t.To.Plugin()
	if p.Type != plugin.Persist { // nothing is known of what others do when they are asked
		return nil
	}
	ask := Run{Plugin: p, Args: []string{string(plugin.VerbStatus)}}
	if c.t.Replaces { // it is not in its place before all is well
		ask.Folder = c.staged.Dir
	}
	r := c.Run(ctx, ask)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !r.Started:
		return fmt.Errorf("--status of %s cannot be run: %w", p.Version, r.Err)
	case r.TimedOut:
		return fmt.Errorf("--status of %s: no answer in %s", p.Version, verb.Deadline(p))
	}
	return nil
}

// watchNew watches the new version for the window, and returns what is wrong with
// it: a process that ended, a `--status` that fails, a heartbeat overdue. The
// interruption by an operator ends it at once (UP-12).
func (c *change) watchNew(ctx context.Context) error {
	if c.proveWindow <= 0 {
		return nil
	}
	if err := c.step.Before("prove"); err != nil {
		return err
	}
	ctx, stop := c.interrupt.newContext(ctx)
	defer stop()
	p, began := c.result.Plugin, time.Now()
	over := time.NewTimer(c.proveWindow)
	defer over.Stop()
	look := time.NewTicker(proveInterval)
	defer look.Stop()
	before, life, _ := c.countProcesses(p)
	ask := firstStatusCheck
	for next := began.Add(ask); ; {
		last := false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-over.C:
			last = true
		case <-look.C:
		}
		if left, now, err := c.countProcesses(p); err == nil && before > 0 && (left == 0 || now != life) {
			return fmt.Errorf("%s ended %s after it was started", p.Version, time.Since(began).Round(10*time.Millisecond))
		}
		if !last && time.Now().Before(next) {
			continue
		}
		ask = min(2*ask, lastStatusCheck)
		next = time.Now().Add(ask)
		probe := c.Check(ctx, p)
		if probe.HostFault { // it lives: the window ends with the next answer (EV-24)
			if last {
				over.Reset(hostFaultPause)
			}
			continue
		}
		if ctx.Err() == nil && probe.Status != plugin.StatusRunning {
			return fmt.Errorf("%s does not run any more after %s: %s", p.Version, time.Since(began).Round(10*time.Millisecond), probe.Cause)
		}
		if c.t.HeartbeatFresh && time.Since(began) > p.HeartbeatInterval+plugin.HeartbeatGrace {
			switch beats, unread := c.checkHeartbeat(ctx, p); {
			case unread && last:
				over.Reset(hostFaultPause)
				continue
			case !beats && !unread:
				return fmt.Errorf("%s does not beat, %s did", p.Version, c.t.From.Version)
			}
		}
		if last {
			return nil
		}
	}
}

// countProcesses is how many processes of a plugin run, and its life; none where
// nobody follows them.
func (c *change) countProcesses(p plugin.Plugin) (n int, life uint64, err error) {
	if c.tracker == nil {
		return 0, 0, nil
	}
	ps, life, err := c.tracker.ListProcesses(p.Name)
	return len(ps), life, err
}

// checkHeartbeat reports whether a plugin's heartbeat is in time, and whether the host
// could not read it.
func (m *Manager) checkHeartbeat(ctx context.Context, p plugin.Plugin) (beats, unread bool) {
	if m.heartbeats == nil {
		return false, false
	}
	now := time.Now()
	b := m.heartbeats.Read(ctx, []plugin.Plugin{p}, now)[0]
	return b.Found && b.Err == nil && b.StatusAt(now) == plugin.StatusRunning, b.HostFault
}

// ensureRunning makes sure that a Persist plugin runs: `--status`, and if that fails
// `--start` and `--status` again. The outcome has no Err where it runs, and for
// plugins that are not Persist.
func (m *Manager) ensureRunning(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	if p.Type != plugin.Persist {
		return plugin.Outcome{}
	}
	return retryHostFault(ctx, func() plugin.Outcome { return m.tryEnsureRunning(ctx, p) })
}

func (m *Manager) tryEnsureRunning(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	switch probe := m.Check(ctx, p); probe.Status {
	case plugin.StatusRunning:
		return plugin.Outcome{}
	case plugin.StatusUnknown:
		return failedOutcome(plugin.VerbStatus, verb.Unanswered(ctx, probe))
	}
	switch runs, err := m.waitForLeftovers(ctx, p); {
	case err != nil:
		return failedOutcome(plugin.VerbStart, err)
	case runs:
		return plugin.Outcome{}
	}
	outcome := m.callVerbLogged(ctx, verbCall{plugin: p, verb: plugin.VerbStart})
	probe := m.ConfirmStart(ctx, p)
	switch {
	case probe.Status == plugin.StatusRunning: // it has the last word
		outcome.Err, outcome.HostFault = nil, false
	case probe.HostFault:
		return failedOutcome(plugin.VerbStatus, verb.Unanswered(ctx, probe))
	case outcome.Err == nil:
		outcome.Err = fmt.Errorf("not running afterwards: %s", probe.Cause)
	}
	return outcome
}

// confirmDelays is when `--status` is asked again, after it said no for the
// first time, as long as something of the plugin lives (RS-06).
var confirmDelays = [...]time.Duration{100 * time.Millisecond, 300 * time.Millisecond, time.Second, 3 * time.Second}

// ConfirmStart runs `--status` after `--start` has ended. A `--start` may return
// before the plugin says that it runs, before its pid file is there perhaps: as
// long as something of it lives, it is asked again after 0.1, 0.3, 1 and 3 s
// (RS-06). The log tells the plugin's author.
func (m *Manager) ConfirmStart(ctx context.Context, p plugin.Plugin) plugin.Probe {
	began := time.Now()
	probe := m.Check(ctx, p)
	for _, after := range confirmDelays {
		if probe.Status != plugin.StatusFailed {
			break
		}
		if left, err := m.listLeftovers(p); err == nil && len(left) == 0 {
			break
		}
		select {
		case <-time.After(time.Until(began.Add(after))):
		case <-ctx.Done():
			return probe
		}
		probe = m.Check(ctx, p)
		probe.SlowStart = probe.Status == plugin.StatusRunning
	}
	if probe.SlowStart {
		m.logFor(p).WithField("after", time.Since(began).Round(time.Millisecond).String()).
			Warn("--start returned before the plugin was running; it should return when --status says so")
	}
	return probe
}

// queryStatus returns how a plugin is now: for a Persist plugin what `--status` says.
func (m *Manager) queryStatus(ctx context.Context, p plugin.Plugin) plugin.Status {
	switch p.Type {
	case plugin.Persist:
		return m.Check(ctx, p).Status
	case plugin.Once:
		return plugin.StatusInstalled
	default:
		return plugin.StatusUnknown
	}
}
