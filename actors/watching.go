package actors

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// takeUp has everything that is new watched: its processes once, and whose
// heartbeats are followed whenever the set changes.
func (c *coordinator) takeUp() {
	if !c.follows || !c.regroup {
		return
	}
	c.regroup = false
	var all []plugin.Plugin
	for _, key := range slices.Sorted(maps.Keys(c.units)) {
		u := c.units[key]
		if u.plugin.Probed() && !u.plugin.Duplicate && !u.removed {
			all = append(all, u.plugin)
		}
	}
	if slices.EqualFunc(all, c.beating, samePulse) {
		return
	}
	c.beating = all
	c.then(func(ctx actor.Context) { ctx.Send(c.watcher.pid, messages.WatchBeats{Plugins: all}) })
	if c.how == plugin.WatchScan { // there was nothing yet by which to know better
		c.lookAgain(func(string) bool { return true })
	}
}

// samePulse tells whether the heartbeat of both is watched in the same way.
func samePulse(a, b plugin.Plugin) bool {
	return a.Name == b.Name && a.Version == b.Version && a.HeartbeatInterval == b.HeartbeatInterval
}

// takeOver looks for what an earlier life of the supervisor left running. The
// first scan waits for the answer (EV-07).
func (c *coordinator) takeOver() { c.sight(c.beating) }

// lookAgain asks what plugins run as by now: launchers end, workers come and go.
func (c *coordinator) lookAgain(which func(key string) bool) {
	if c.taking || !c.watches || c.watcher.gen != 0 {
		return
	}
	var some []plugin.Plugin
	for _, p := range c.beating {
		if _, known := c.units[p.Key()]; known && which(p.Key()) {
			some = append(some, p)
		}
	}
	if len(some) > 0 {
		c.sight(some)
	}
}

func (c *coordinator) sight(ps []plugin.Plugin) {
	var targets []plugin.Target
	for _, p := range ps {
		targets = append(targets, plugin.Target{Plugin: p, Processes: c.units[p.Key()].restarts.Processes})
	}
	c.order(&c.watcher, func(gen uint64) any { return messages.Adopt{Gen: gen, Targets: targets} })
}

// onAdopted takes over what runs, and treats what has ended meanwhile as an
// exit (EV-07, EV-09).
func (c *coordinator) onAdopted(m messages.Adopted) {
	if !c.watcher.answers(m.Gen) {
		return
	}
	if !c.taking {
		c.sawAgain(m.Sightings)
		return
	}
	if m.Err != nil {
		c.log.WithError(m.Err).Error("What runs already is found by the scan only")
	}
	running, gone := 0, 0
	for _, s := range m.Sightings {
		u, ok := c.units[s.Name]
		if !ok {
			continue
		}
		c.how = max(c.how, s.Watch)
		u.life = s.Life
		switch {
		case len(s.Processes) > 0:
			running++
			c.adoptRunning(u, s)
		case len(u.restarts.Processes) > 0 && s.Watch > plugin.WatchScan && !u.restarts.Stopped: // else its end is the scan's to find (EV-04)
			gone++
			cause := "ended while the supervisor was away"
			first := len(c.recording.entries)
			decision := c.fell(u, cause, true)
			c.recordAt(first, u, plugin.Entry{Kind: plugin.EntryExit, Cause: cause, Decision: decision})
		}
	}
	c.recordHost(plugin.EntrySupervisor, "supervisor "+c.cfg.About.Version+" started",
		fmt.Sprintf("%d plugins adopted, %d had ended meanwhile", running, gone))
	c.log.WithFields(logrus.Fields{"adopted": running, "ended": gone, "watched": c.how.String()}).Info("Took over")
	c.takenOver()
}

// sawAgain notes what plugins that are watched run as by now.
func (c *coordinator) sawAgain(seen []plugin.Sighting) {
	for _, s := range seen {
		c.how = max(c.how, s.Watch)
		u, ok := c.units[s.Name]
		if !ok || u.attempt != nil || u.upgrading || len(s.Processes) == 0 || s.Life != u.life && len(u.processes) > 0 {
			continue
		}
		u.life, u.processes = s.Life, s.Processes
		if !u.runs.IsZero() {
			c.up(u, u.runs)
		}
	}
}

// takenOver lets the first scan begin.
func (c *coordinator) takenOver() {
	c.taking = false
	c.resume()
	if c.scanHeld {
		c.scanHeld = false
		c.periods[alarmScan].first(c.now)
	}
}

func (c *coordinator) adoptRunning(u *unit, s plugin.Sighting) {
	u.processes = s.Processes
	switch {
	case u.attempt != nil || u.upgrading:
		return // it is being worked on
	case u.restarts.Stopped: // an earlier life accepted that, and had no time for it (EV-14)
		c.want(u, messages.KindStop)
		return
	}
	u.ran, u.again, u.inherited = true, "", true
	u.runs = u.restarts.Up.Wall
	if u.runs.IsZero() || u.runs.After(c.now) {
		u.runs = c.now
	}
	u.probation = u.restarts.Failures > 0 || c.now.Sub(u.runs) < c.cfg.Restart.HealthyAfter
	c.move(u, plugin.StateRunning, "adopted after supervisor restart")
	c.up(u, u.runs)
	if u.probation {
		c.watchHealth(u)
	}
}

// up remembers durably that the plugin runs, and as what.
func (c *coordinator) up(u *unit, since time.Time) {
	if u.restarts.Up.Wall.Equal(since) && slices.Equal(u.restarts.Processes, u.processes) {
		return
	}
	u.restarts.Up.Wall, u.restarts.Processes = since, u.processes
	c.remembered(u, false)
}

// down remembers that it does not. What is known to run all the same, whatever
// `--status` says, is forgotten when its end is told.
func (c *coordinator) down(u *unit) {
	u.runs = time.Time{}
	if u.restarts.Up.Wall.IsZero() && u.restarts.Processes == nil {
		return
	}
	u.restarts.Up.Wall, u.restarts.Processes = time.Time{}, nil
	c.remembered(u, false)
}

// onPluginExited decides what becomes of a plugin whose last process ended.
func (c *coordinator) onPluginExited(m messages.PluginExited) {
	e := m.Exit
	u, ok := c.units[e.Name]
	switch {
	case !ok:
		return
	case e.Late:
		c.explained(u, e)
	case e.Life < u.life:
		c.about(u).WithField("life", e.Life).Debug("Exit of an earlier life")
	case u.attempt != nil && u.attempt.begun && e.Life > u.life:
		u.gone = &e // of what the attempt has just started: its end tells more
	default:
		c.exited(u, e)
	}
}

// exited handles the end of a plugin that was running.
func (c *coordinator) exited(u *unit, e plugin.Exit) {
	u.life, u.processes, u.inherited = e.Life, nil, false
	c.measured(plugin.MeasureDetection, e.At)
	c.counters.Exits++
	cause, first := e.Cause(), len(c.recording.entries)
	var decision string
	switch {
	case u.upgrading:
		decision = "none, it is being upgraded"
	case u.attempt != nil && u.attempt.begun:
		decision = "none, a " + u.attempt.kind.String() + " is under way"
	case u.restarts.Stopped:
		decision = "none, " + u.restarts.Cause
		c.down(u)
	case u.attempt != nil:
		decision = "none, a " + u.attempt.kind.String() + " is planned already"
		c.down(u)
	case u.plugin.Duplicate || u.removed || u.plugin.Type != plugin.Persist:
		decision = "none"
		c.down(u)
	default:
		u.fell = e.At
		decision = c.fell(u, cause, false)
	}
	c.recordAt(first, u, plugin.Entry{Kind: plugin.EntryExit, Cause: cause, Decision: decision, Exit: &e, Output: e.Output})
	c.about(u).WithFields(logrus.Fields{"cause": cause, "pid": e.PID, "decision": decision}).Warn("Plugin exited")
}

// explained notes the cause of an exit that was told before (EV-10).
func (c *coordinator) explained(u *unit, e plugin.Exit) {
	cause := e.Cause()
	if u.why == unexplained {
		u.why = cause
	}
	if u.restarts.Cause == unexplained {
		u.restarts.Cause = cause
		c.remembered(u, false)
	}
	c.record(u, plugin.Entry{Kind: plugin.EntryExit, Cause: "the exit before: " + cause, Exit: &e, Output: e.Output})
}

// unexplained is the cause of an exit as long as the kernel has not told it.
var unexplained = plugin.Exit{}.Cause()

// betweenEvents is by how much each restart that is pending widens the random
// wait of a further one (EV-05).
const betweenEvents = 50 * time.Millisecond

// fell brings a plugin back whose end was told by an event, and says how that
// was decided: the first time since it was healthy, or since it was first
// started, at once; then after its backoff (EV-05). doubt: whether it really
// ended is to be asked of it first.
func (c *coordinator) fell(u *unit, cause string, doubt bool) (decision string) {
	if u.debut {
		u.debut, u.probation = false, false
	}
	if !u.mayMend() {
		c.down(u)
		return "none"
	}
	n := c.failed(u, cause)
	wait := c.eventStagger()
	decision = "restart at once"
	if n > 0 {
		wait = nthBackoff(n, c.cfg.Restart.BackoffInitial, c.cfg.Restart.BackoffMax, c.rand)
		decision = fmt.Sprintf("restart after a backoff of %v, %d in a row without being healthy", wait.Round(time.Millisecond), n+1)
		c.owe(u.plugin, plugin.StatusFailed, plugin.SysTagNone) // it is down for a while: to be told
		c.report(purposeOther, nil)
	} else if wait > 0 {
		decision = fmt.Sprintf("restart in %v, with others", wait.Round(time.Millisecond))
	}
	c.bringBack(u, messages.Attempt{Kind: messages.KindStart, After: wait, Check: n > 0 || doubt, Doubt: doubt}, cause)
	return decision
}

// eventStagger is the wait before a restart that follows an event (EV-05).
func (c *coordinator) eventStagger() time.Duration {
	pending := 0
	for _, u := range c.units {
		if a := u.attempt; a != nil && !a.operator && a.kind != messages.KindStop {
			pending++
		}
	}
	return within(min(c.cfg.Restart.Stagger, time.Duration(pending)*betweenEvents), c.rand)
}

// onHeartbeatLost notices that a plugin fell silent, at its deadline (EV-06).
func (c *coordinator) onHeartbeatLost(m messages.HeartbeatLost) {
	u := c.pulsing(m.Pulse)
	if u == nil {
		return
	}
	u.vouched = false
	if u.attempt != nil || (u.state != plugin.StateRunning && u.state != plugin.StateDegraded) {
		return
	}
	if started := u.restarts.Last.Wall; !started.IsZero() && c.now.Sub(started) <= u.plugin.HeartbeatInterval+plugin.HeartbeatGrace {
		c.watchSilence(u) // it had no time to beat since
		return
	}
	u.beat = m.Pulse.Beat
	silent := u.beat.Silent(c.now)
	if u.state == plugin.StateRunning {
		c.move(u, plugin.StateDegraded, "no heartbeat for "+silent.String())
	}
	c.record(u, plugin.Entry{Kind: plugin.EntryHeartbeat, Cause: "no heartbeat for " + silent.String(), Decision: "ask --status"})
	c.owe(u.plugin, plugin.StatusFailed, plugin.SysTagNone)
	c.report(purposeOther, nil)
	c.probe(u.plugin.Key(), probeDoubt)
	c.watchSilence(u)
}

// watchSilence has a plugin that does not beat looked at when it has been
// silent for so long that it hangs (PL-17).
func (c *coordinator) watchSilence(u *unit) {
	key := u.plugin.Key()
	since := u.beat.Last
	if u.restarts.Last.Wall.After(since) {
		since = u.restarts.Last.Wall
	}
	at := since.Add(hangsAfter*u.plugin.HeartbeatInterval + time.Second) // beats are whole seconds
	c.then(func(ctx actor.Context) {
		c.alarms.arm(ctx, alarmKey{alarmSilence, key}, at.Sub(c.now), func(gen uint64) any { return messages.SilenceDue{Gen: gen, Key: key} })
	})
}

func (c *coordinator) onSilenceDue(m messages.SilenceDue) {
	u, ok := c.units[m.Key]
	if c.alarms.rings(alarmKey{alarmSilence, m.Key}, m.Gen) && ok && u.hangs(c.now) {
		c.probe(m.Key, probeDoubt)
	}
}

// onHeartbeatSeen notes a beat between the pulls.
func (c *coordinator) onHeartbeatSeen(m messages.HeartbeatSeen) {
	u := c.pulsing(m.Pulse)
	if u == nil {
		return
	}
	was := u.state
	u.vouched = m.Pulse.Beat.Found && m.Pulse.Beat.Err == nil
	c.alarms.stop(alarmKey{alarmSilence, u.plugin.Key()})
	c.sawBeat(u, m.Pulse.Beat, c.now)
	if was == plugin.StateDegraded && u.state == plugin.StateRunning {
		c.record(u, plugin.Entry{Kind: plugin.EntryHeartbeat, Cause: "beats again"})
		c.owe(u.plugin, plugin.StatusRunning, plugin.SysTagNone)
		c.report(purposeOther, nil)
	}
}

// pulsing is the plugin a pulse is of, unless it is of another version.
func (c *coordinator) pulsing(p plugin.Pulse) *unit {
	u, ok := c.units[p.Beat.Plugin.Key()]
	if !ok || u.upgrading || u.plugin.Version != p.Beat.Plugin.Version {
		return nil
	}
	return u
}

func (c *coordinator) onWatchFailed(m messages.WatchFailed) {
	if m.Err != nil {
		for _, u := range c.units {
			u.vouched = false
		}
		c.problem(m.What, m.Err)
	} else {
		c.solved(m.What)
	}
}

// noteFailure notices when many plugins fail together (EV-13).
func (c *coordinator) noteFailure(u *unit) {
	n := c.together.note(c.now, u.plugin.Key())
	if n == 0 {
		return
	}
	cause := fmt.Sprintf("%d plugins failed within %v", n, togetherWithin)
	c.counters.HostEvents++
	c.log.WithField("cause", cause).Error("Many plugins fail together")
	c.recordHost(plugin.EntryHost, cause, "restarts go through the host's budget")
}
