package native

import (
	"context"
	"fmt"
	"time"

	"pluginsupervisor/internal/hostfault"
	"pluginsupervisor/internal/pause"
	"pluginsupervisor/internal/verb"
	"pluginsupervisor/plugin"
)

// Start runs `--start` (RS-02, RS-08). If another program held the name lock
// or recorded another version meanwhile, it runs `--status` first, and leaves a
// running plugin alone (RS-11).
func (m *Manager) Start(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return m.withNameLock(ctx, p, plugin.VerbStart, func(l *nameLock, p plugin.Plugin, changed bool) plugin.Outcome {
		return m.startOnce(ctx, l, p, changed)
	})
}

// ForceStart is Start that does not wait for the name lock: it runs `--status`,
// and starts a plugin that does not run, whatever program holds the lock.
func (m *Manager) ForceStart(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	p, err := m.findRecorded(ctx, p)
	if err != nil {
		return failedOutcome(plugin.VerbStart, err)
	}
	return m.startOnce(ctx, nil, p, true)
}

// startOnce runs `--start` unless the plugin runs already. Its checks are valid as
// long as the lock is exclusive: else it begins again (RS-11).
func (m *Manager) startOnce(ctx context.Context, l *nameLock, p plugin.Plugin, changed bool) plugin.Outcome {
	for check := 1; ; check++ {
		if !l.isExclusive() {
			err := l.reacquire(ctx)
			if err == nil {
				l.scheduleShare()
				p, err = m.findRecorded(ctx, p)
			}
			if err != nil {
				return failedOutcome(plugin.VerbStart, err)
			}
			changed = true
		}
		if changed {
			switch probe := m.Check(ctx, p); probe.Status {
			case plugin.StatusRunning:
				return m.addProcesses(p, plugin.Outcome{Verb: plugin.VerbStart, Skipped: true})
			case plugin.StatusUnknown:
				return failedOutcome(plugin.VerbStart, verb.Unanswered(ctx, probe))
			}
		}
		switch runs, err := m.waitForLeftovers(ctx, p); {
		case err != nil:
			return failedOutcome(plugin.VerbStart, err)
		case runs:
			return m.addProcesses(p, plugin.Outcome{Verb: plugin.VerbStart, Skipped: true})
		}
		if l.isExclusive() || check == maxRechecks {
			return m.callVerbLogged(ctx, verbCall{plugin: p, verb: plugin.VerbStart})
		}
	}
}

// Stop runs `--stop`, and waits for the grace until the plugin has stopped. The
// caller runs `--status` to find out whether it has.
func (m *Manager) Stop(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return m.withNameLock(ctx, p, plugin.VerbStop, func(_ *nameLock, p plugin.Plugin, _ bool) plugin.Outcome {
		outcome := m.callVerbLogged(ctx, verbCall{plugin: p, verb: plugin.VerbStop})
		if outcome.HostFault { // --stop was not run: none of its processes is killed (EV-24)
			return outcome
		}
		if outcome.Err == nil {
			if err := m.waitUntilStopped(ctx, p, m.grace); hostfault.Is(err) {
				return failedOutcome(plugin.VerbStop, err)
			}
		}
		if err := m.killLeftovers(ctx, p); err != nil && outcome.Err == nil {
			outcome = failedOutcome(plugin.VerbStop, err)
		}
		return outcome
	})
}

// Restart stops the plugin and starts it again (PL-17). It is not started while
// `--status` still reports running: the outcome is then that of `--stop`.
func (m *Manager) Restart(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return m.withNameLock(ctx, p, plugin.VerbRestart, func(l *nameLock, p plugin.Plugin, _ bool) plugin.Outcome {
		if stopped := m.stopAndWait(ctx, p); stopped.Err != nil {
			return stopped
		}
		return m.startOnce(ctx, l, p, false)
	})
}

// stopAndWait runs `--stop` and waits until the plugin has stopped. The outcome's Err
// is nil when it has, even if `--stop` itself failed.
func (m *Manager) stopAndWait(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	outcome := m.callVerbLogged(ctx, verbCall{plugin: p, verb: plugin.VerbStop})
	if outcome.Err != nil && (ctx.Err() != nil || outcome.HostFault) {
		return outcome
	}
	err := m.waitUntilStopped(ctx, p, max(verb.Deadline(p), m.grace))
	if hostfault.Is(err) { // --status was not run: none of its processes is killed (EV-24)
		return failedOutcome(plugin.VerbStop, err)
	}
	if err != nil && m.byProcess {
		outcome.Err = err
		return outcome
	}
	if left, failed := m.listLeftovers(p); len(left) > 0 || failed != nil {
		if killed := m.killLeftovers(ctx, p); killed != nil {
			err = killed
		} else {
			err = m.waitUntilStopped(ctx, p, m.grace)
		}
	}
	if err != nil && outcome.Err != nil {
		err = fmt.Errorf("%w: %w", outcome.Err, err)
	}
	outcome.Err = err
	return outcome
}

// The pause between two checks doubles from the first to the last.
const (
	firstPause = 25 * time.Millisecond
	lastPause  = time.Second
)

// waitUntilStopped runs `--status` until it reports not running, for the given time
// at most.
func (m *Manager) waitUntilStopped(ctx context.Context, p plugin.Plugin, within time.Duration) error {
	deadline := time.Now().Add(within)
	for pauses := pause.NewDoubling(firstPause, lastPause); ; {
		if m.byProcess {
			if left, err := m.listLeftovers(p); err == nil && len(left) == 0 {
				return nil
			}
		}
		switch probe := m.Check(ctx, p); probe.Status {
		case plugin.StatusFailed:
			return nil
		case plugin.StatusUnknown:
			return verb.Unanswered(ctx, probe)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("still running %s after --stop", within)
		}
		if err := pauses.Sleep(ctx); err != nil {
			return err
		}
	}
}

// failedOutcome returns the outcome of a verb that was not run because of err.
func failedOutcome(v plugin.Verb, err error) plugin.Outcome {
	return plugin.Outcome{Verb: v, ExitCode: -1, Err: err, HostFault: hostfault.Is(err)}
}
