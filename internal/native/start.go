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
// or recorded another version meanwhile, `--status` is asked first, and a
// plugin that runs already is left alone (RS-11).
func (m *Manager) Start(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return m.withNameLock(ctx, p, plugin.VerbStart, func(l *nameLock, p plugin.Plugin, touched bool) plugin.Outcome {
		return m.startAlone(ctx, l, p, touched)
	})
}

// ForceStart is Start that does not wait for the name lock: `--status` is asked,
// and a plugin that does not run is started, whatever program holds the lock.
func (m *Manager) ForceStart(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	p, err := m.findRecorded(ctx, p)
	if err != nil {
		return failedOutcome(plugin.VerbStart, err)
	}
	return m.startAlone(ctx, nil, p, true)
}

// startAlone runs `--start` unless the plugin runs already. What it learns of the
// plugin holds as long as the lock is exclusive: else it begins anew (RS-11).
func (m *Manager) startAlone(ctx context.Context, l *nameLock, p plugin.Plugin, touched bool) plugin.Outcome {
	for look := 1; ; look++ {
		if !l.isExclusive() {
			err := l.reacquire(ctx)
			if err == nil {
				l.scheduleShare()
				p, err = m.findRecorded(ctx, p)
			}
			if err != nil {
				return failedOutcome(plugin.VerbStart, err)
			}
			touched = true
		}
		if touched {
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
		if l.isExclusive() || look == maxRechecks {
			return m.callVerbLogged(ctx, verbCall{plugin: p, verb: plugin.VerbStart})
		}
	}
}

// Stop runs `--stop`, and gives a plugin whose `--stop` returns early the
// grace to be gone. Whether it is, the caller asks `--status`.
func (m *Manager) Stop(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return m.withNameLock(ctx, p, plugin.VerbStop, func(_ *nameLock, p plugin.Plugin, _ bool) plugin.Outcome {
		outcome := m.callVerbLogged(ctx, verbCall{plugin: p, verb: plugin.VerbStop})
		if outcome.HostFault { // it was not asked to stop: nothing of it is killed (EV-24)
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

// Restart ends the plugin and starts it again (PL-17). It is not started while
// `--status` still says running: the outcome is then that of `--stop`.
func (m *Manager) Restart(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return m.withNameLock(ctx, p, plugin.VerbRestart, func(l *nameLock, p plugin.Plugin, _ bool) plugin.Outcome {
		if stopped := m.stopAndWait(ctx, p); stopped.Err != nil {
			return stopped
		}
		return m.startAlone(ctx, l, p, false)
	})
}

// stopAndWait runs `--stop` and waits until the plugin is gone. The outcome's Err is
// nil when it is, however `--stop` itself ended.
func (m *Manager) stopAndWait(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	outcome := m.callVerbLogged(ctx, verbCall{plugin: p, verb: plugin.VerbStop})
	if outcome.Err != nil && (ctx.Err() != nil || outcome.HostFault) {
		return outcome
	}
	err := m.waitUntilStopped(ctx, p, max(verb.Deadline(p), m.grace))
	if hostfault.Is(err) { // nothing is killed of what could not be asked (EV-24)
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

// The wait between two questions whether a plugin is gone grows from the first to the last.
const (
	firstPause = 25 * time.Millisecond
	lastPause  = time.Second
)

// waitUntilStopped asks `--status` until it says not running, or for the given time.
func (m *Manager) waitUntilStopped(ctx context.Context, p plugin.Plugin, within time.Duration) error {
	over := time.Now().Add(within)
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
		if time.Now().After(over) {
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
