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
	provePause = 100 * time.Millisecond
	askFirst   = 500 * time.Millisecond
	askLast    = 10 * time.Second
)

// preflight runs `--status` of the new version before anything is touched: any
// answer in time will do, that it can be run at all is the point (SPEC 11).
func (c *change) preflight(ctx context.Context) error {
	p := c.t.To.Plugin()
	if p.Type != plugin.Persist { // nothing is known of what others do when they are asked
		return nil
	}
	r := c.status(ctx, order{plugin: p, verb: plugin.VerbStatus})
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

// prove watches the new version for the window, and tells what is wrong with
// it: a process that ended, a `--status` that fails, a heartbeat overdue.
func (c *change) prove(ctx context.Context) error {
	if c.window <= 0 {
		return nil
	}
	p, began := c.result.Plugin, time.Now()
	over := time.NewTimer(c.window)
	defer over.Stop()
	look := time.NewTicker(provePause)
	defer look.Stop()
	before, life, _ := c.tracked(p)
	ask := askFirst
	for next := began.Add(ask); ; {
		last := false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-over.C:
			last = true
		case <-look.C:
		}
		if left, now, err := c.tracked(p); err == nil && before > 0 && (left == 0 || now != life) {
			return fmt.Errorf("%s ended %s after it was started", p.Version, time.Since(began).Round(10*time.Millisecond))
		}
		if !last && time.Now().Before(next) {
			continue
		}
		ask = min(2*ask, askLast)
		next = time.Now().Add(ask)
		if probe := c.Check(ctx, p); ctx.Err() == nil && probe.Status != plugin.StatusRunning {
			return fmt.Errorf("%s does not run any more after %s: %s", p.Version, time.Since(began).Round(10*time.Millisecond), probe.Cause)
		}
		if c.t.Beat && time.Since(began) > p.HeartbeatInterval+plugin.HeartbeatGrace && !c.beats(ctx, p) {
			return fmt.Errorf("%s does not beat, %s did", p.Version, c.t.From.Version)
		}
		if last {
			return nil
		}
	}
}

// tracked is how many processes of a plugin run, and its life; none where
// nobody follows them.
func (c *change) tracked(p plugin.Plugin) (n int, life uint64, err error) {
	if c.tracker == nil {
		return 0, 0, nil
	}
	ps, life, err := c.tracker.Alive(p.Name)
	return len(ps), life, err
}

// beats tells whether a plugin's heartbeat is in time.
func (c *change) beats(ctx context.Context, p plugin.Plugin) bool {
	if c.heartbeats == nil {
		return false
	}
	now := time.Now()
	beats := c.heartbeats.Read(ctx, []plugin.Plugin{p}, now)
	return len(beats) == 1 && beats[0].Found && beats[0].Err == nil && beats[0].Status(now) == plugin.StatusRunning
}

// bringUp sees to it that a Persist plugin runs: `--status`, and if that
// fails `--start` and `--status` again. Without a failure the outcome has no Err.
func (m *Manager) bringUp(ctx context.Context, p plugin.Plugin) (plugin.Outcome, plugin.Status) {
	switch p.Type {
	case plugin.Persist:
	case plugin.Once:
		return plugin.Outcome{}, plugin.StatusInstalled
	default:
		return plugin.Outcome{}, plugin.StatusUnknown
	}
	switch m.Check(ctx, p).Status {
	case plugin.StatusRunning:
		return plugin.Outcome{}, plugin.StatusRunning
	case plugin.StatusUnknown:
		return failed(plugin.VerbStatus, cutShort(ctx)), plugin.StatusUnknown
	}
	switch runs, err := m.makeRoom(ctx, p); {
	case err != nil:
		return failed(plugin.VerbStart, err), plugin.StatusFailed
	case runs:
		return plugin.Outcome{}, plugin.StatusRunning
	}
	outcome := m.do(ctx, order{plugin: p, verb: plugin.VerbStart})
	probe := m.Check(ctx, p)
	switch {
	case probe.Status == plugin.StatusRunning: // it has the last word
		outcome.Err = nil
	case outcome.Err == nil:
		outcome.Err = fmt.Errorf("not running afterwards: %s", probe.Cause)
	}
	return outcome, probe.Status
}
