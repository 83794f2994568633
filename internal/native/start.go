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
	return m.hold(ctx, p, plugin.VerbStart, func(p plugin.Plugin, touched bool) plugin.Outcome {
		if touched {
			switch probe := m.Check(ctx, p); probe.Status {
			case plugin.StatusRunning:
				return m.running(p, plugin.Outcome{Verb: plugin.VerbStart, Skipped: true})
			case plugin.StatusUnknown:
				return failed(plugin.VerbStart, verb.Unanswered(ctx, probe))
			}
		}
		switch runs, err := m.makeRoom(ctx, p); {
		case err != nil:
			return failed(plugin.VerbStart, err)
		case runs:
			return m.running(p, plugin.Outcome{Verb: plugin.VerbStart, Skipped: true})
		}
		return m.do(ctx, order{plugin: p, verb: plugin.VerbStart})
	})
}

// Stop runs `--stop`, and gives a plugin whose `--stop` returns early the
// grace to be gone. Whether it is, the caller asks `--status`.
func (m *Manager) Stop(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return m.hold(ctx, p, plugin.VerbStop, func(p plugin.Plugin, _ bool) plugin.Outcome {
		outcome := m.do(ctx, order{plugin: p, verb: plugin.VerbStop})
		if outcome.HostFault { // it was not asked to stop: nothing of it is killed (EV-24)
			return outcome
		}
		if outcome.Err == nil {
			if err := m.gone(ctx, p, m.grace); hostfault.Is(err) {
				return failed(plugin.VerbStop, err)
			}
		}
		if err := m.clear(ctx, p); err != nil && outcome.Err == nil {
			outcome = failed(plugin.VerbStop, err)
		}
		return outcome
	})
}

// Restart ends the plugin and starts it again (PL-17). It is not started while
// `--status` still says running: the outcome is then that of `--stop`.
func (m *Manager) Restart(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return m.hold(ctx, p, plugin.VerbRestart, func(p plugin.Plugin, _ bool) plugin.Outcome {
		if stopped := m.end(ctx, p); stopped.Err != nil {
			return stopped
		}
		return m.do(ctx, order{plugin: p, verb: plugin.VerbStart})
	})
}

// end runs `--stop` and waits until the plugin is gone. The outcome's Err is
// nil when it is, however `--stop` itself ended.
func (m *Manager) end(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	outcome := m.do(ctx, order{plugin: p, verb: plugin.VerbStop})
	if outcome.Err != nil && (ctx.Err() != nil || outcome.HostFault) {
		return outcome
	}
	err := m.gone(ctx, p, max(verb.Deadline(p), m.grace))
	if hostfault.Is(err) { // nothing is killed of what could not be asked (EV-24)
		return failed(plugin.VerbStop, err)
	}
	if err != nil && m.byProcess {
		outcome.Err = err
		return outcome
	}
	if left, failed := m.left(p); len(left) > 0 || failed != nil {
		if killed := m.clear(ctx, p); killed != nil {
			err = killed
		} else {
			err = m.gone(ctx, p, m.grace)
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

// gone asks `--status` until it says not running, or for the given time.
func (m *Manager) gone(ctx context.Context, p plugin.Plugin, within time.Duration) error {
	over := time.Now().Add(within)
	for pauses := pause.NewDoubling(firstPause, lastPause); ; {
		if m.byProcess {
			if left, err := m.left(p); err == nil && len(left) == 0 {
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

// failed returns the outcome of a verb that was not run because of err.
func failed(v plugin.Verb, err error) plugin.Outcome {
	return plugin.Outcome{Verb: v, ExitCode: -1, Err: err, HostFault: hostfault.Is(err)}
}
