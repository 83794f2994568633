package native

import (
	"context"
	"fmt"
	"time"

	"pluginsupervisor/internal/verb"
	"pluginsupervisor/plugin"
)

// While a new version proves itself, its processes are checked each proveInterval.
// `--status` runs after firstStatusCheck, then each time after twice as long, at
// most after lastStatusCheck.
const (
	proveInterval    = 100 * time.Millisecond
	firstStatusCheck = 500 * time.Millisecond
	lastStatusCheck  = 10 * time.Second
)

// runPreflight runs `--status` of the new version before anything is changed. It
// checks that this returns in time, with any status (SPEC 11).
func (c *change) runPreflight(ctx context.Context) error {
	p := c.t.To.Plugin()
	if p.Type != plugin.Persist { // others need not have a --status
		return nil
	}
	status := Run{Plugin: p, Args: []string{string(plugin.VerbStatus)}}
	if c.t.Replaces { // the package is not in its place yet
		status.Folder = c.staged.Dir
	}
	r := c.Run(ctx, status)
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

// watchNew watches the new version for proveWindow, and returns what is wrong with
// it: a process that exited, a `--status` that fails, an overdue heartbeat. It
// returns at once when an operator interrupts the change (UP-12).
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
	window := time.NewTimer(c.proveWindow)
	defer window.Stop()
	ticker := time.NewTicker(proveInterval)
	defer ticker.Stop()
	before, firstRun, _ := c.countProcesses(p)
	pause := firstStatusCheck
	for next := began.Add(pause); ; {
		last := false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-window.C:
			last = true
		case <-ticker.C:
		}
		if left, run, err := c.countProcesses(p); err == nil && before > 0 && (left == 0 || run != firstRun) {
			return fmt.Errorf("%s exited %s after its start", p.Version, time.Since(began).Round(10*time.Millisecond))
		}
		if !last && time.Now().Before(next) {
			continue
		}
		pause = min(2*pause, lastStatusCheck)
		next = time.Now().Add(pause)
		probe := c.Check(ctx, p)
		if probe.HostFault { // its processes run: the window ends with the next status (EV-24)
			if last {
				window.Reset(hostFaultPause)
			}
			continue
		}
		if ctx.Err() == nil && probe.Status != plugin.StatusRunning {
			return fmt.Errorf("--status of %s fails %s after its start: %s", p.Version, time.Since(began).Round(10*time.Millisecond), probe.Cause)
		}
		if c.t.HeartbeatFresh && time.Since(began) > p.HeartbeatInterval+plugin.HeartbeatGrace {
			switch inTime, unread := c.checkHeartbeat(ctx, p); {
			case unread && last:
				window.Reset(hostFaultPause)
				continue
			case !inTime && !unread:
				return fmt.Errorf("%s writes no heartbeat, %s did", p.Version, c.t.From.Version)
			}
		}
		if last {
			return nil
		}
	}
}

// checkHeartbeat reports whether a plugin's heartbeat is in time, and whether the
// host could not read it.
func (m *Manager) checkHeartbeat(ctx context.Context, p plugin.Plugin) (inTime, unread bool) {
	if m.heartbeats == nil {
		return false, false
	}
	now := time.Now()
	b := m.heartbeats.Read(ctx, []plugin.Plugin{p}, now)[0]
	return b.Found && b.Err == nil && b.StatusAt(now) == plugin.StatusRunning, b.HostFault
}

// ensureRunning makes sure that a Persist plugin runs, by `--status`, and if that
// fails `--start` and `--status` again. The outcome has no Err where it runs, and
// for plugins that are not Persist.
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
	case probe.Status == plugin.StatusRunning: // even if --start failed
		outcome.Err, outcome.HostFault = nil, false
	case probe.HostFault:
		return failedOutcome(plugin.VerbStatus, verb.Unanswered(ctx, probe))
	case outcome.Err == nil:
		outcome.Err = fmt.Errorf("--status fails after --start: %s", probe.Cause)
	}
	return outcome
}

// confirmDelays holds after how long `--status` runs again, after it failed for the
// first time, as long as a process of the plugin runs (RS-06).
var confirmDelays = [...]time.Duration{100 * time.Millisecond, 300 * time.Millisecond, time.Second, 3 * time.Second}

// ConfirmStart runs `--status` after `--start` has returned. That may be before the
// plugin reports running, perhaps before its pid file is there: as long as a process
// of it runs, `--status` runs again after 0.1, 0.3, 1 and 3 s (RS-06). A log line
// warns the plugin's author.
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
		logFor(m.log, p).WithField("after", time.Since(began).Round(time.Millisecond).String()).
			Warn("--start returned before the plugin was running; it should return when --status says so")
	}
	return probe
}
