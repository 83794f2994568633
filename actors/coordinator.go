package actors

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"pluginsupervisor/actors/policy"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// workerProps holds the Props of the workers; tests use probes instead.
type workerProps struct {
	scanner   *actor.Props
	puller    *actor.Props
	inventory *actor.Props
	upgrader  *actor.Props
	reporter  *actor.Props
	watcher   *actor.Props
	restarter func(messages.Attempt) *actor.Props
}

// workers are the actors that carry out orders. Each gets one order at a time,
// except for the Scanner and the Upgrader.
type workers struct {
	scanner, puller, inventory, upgrader, reporter, watcher worker
}

// worker is one worker, with the order that it has not answered yet.
type worker struct {
	pid   *actor.PID
	gen   uint64        // 0: idle
	since plugin.Moment // when the order was given
}

// isAnswer reports whether gen is the worker's outstanding order, and completes it.
func (w *worker) isAnswer(gen uint64) bool {
	if w.gen == 0 || w.gen != gen {
		return false
	}
	w.gen = 0
	return true
}

// oldestOrder returns the number of the worker's outstanding order, or last + 1 if
// there is none.
func (w *worker) oldestOrder(last uint64) uint64 {
	if w.gen == 0 {
		return last + 1
	}
	return w.gen
}

// coordinator owns the state of the supervisor: the lifecycle of each plugin, the
// schedule, and the acknowledged and pending reports. Package policy decides; the
// Coordinator receives, saves and sends.
//
// It handles a message in three steps: policy decides and returns effects, the
// durable changes are saved, and the effects are carried out (EV-11). So the next
// process knows everything that happened.
type coordinator struct {
	cfg     Config
	ports   Ports
	props   workerProps
	workers workers
	log     *logrus.Entry

	now       plugin.Moment         // of the message that is handled
	seq       uint64                // number of the last order, attempt or fact (EV-26)
	batch     *policy.Batch         // changes to save
	unsaved   bool                  // the last save failed
	afterSave []func(actor.Context) // run after the save, in order
	timers    timers

	schedule *policy.Schedule
	starts   *policy.Starts
	reports  *policy.Reports
	events   *policy.Events
	changes  *policy.Changes
	blocked  *policy.Blocked
	lazy     bool // pulls report only changes (SC-23)

	plugins  map[string]*policy.Lifecycle // by plugin.Key
	absent   absentPlugins
	attempts attempts
	scans    scans
	watching watching
	journal  journal
	host     hostState
}

// newCoordinator returns the Props of the Coordinator. m is the state that an
// earlier process saved.
func newCoordinator(cfg Config, m plugin.Memory, p Ports, props workerProps) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor {
		batch := &policy.Batch{}
		c := &coordinator{
			cfg: cfg, ports: p, props: props, log: logrus.NewEntry(p.Log), batch: batch,
			schedule: policy.NewSchedule(cfg.Intervals, m.Settings),
			starts:   policy.NewStarts(cfg.Restart.Parallel, cfg.Restart.Burst, cfg.Restart.Rate),
			reports:  policy.NewReports(m, batch), events: policy.NewEvents(m, batch), changes: &policy.Changes{}, blocked: policy.NewBlocked(m, batch),
			lazy: m.Settings.Lazy, plugins: map[string]*policy.Lifecycle{}, absent: newAbsentPlugins(m.Restarts),
			attempts: attempts{live: map[uint64]*liveAttempt{}}, scans: newScans(),
			watching: watching{enabled: p.Watcher != nil || p.HeartbeatEvents != nil, processes: p.Watcher != nil, adopting: p.Watcher != nil},
		}
		c.journal = journal{log: c.log, now: &c.now, last: m.Entries, unreported: map[string]bool{}}
		c.host = hostState{journal: &c.journal, meter: p.Meter, problems: map[string]plugin.Problem{}}
		c.host.faults = &hostFaults{byPlugin: map[string]hostFault{}, host: &c.host, timers: &c.timers}
		return c
	}, withPanicLogging)
}

func (c *coordinator) Receive(ctx actor.Context) {
	c.now = c.ports.Clock.Moment()
	var answer any // to a command
	switch m := ctx.Message().(type) {
	case *actor.Started:
		c.startWorkers(ctx)
	case *actor.Stopping, *actor.Restarting:
		c.timers.stopAll()
		return
	case messages.ScanDue:
		c.onScanDue(m)
	case messages.PullDue:
		c.onPullDue(m)
	case messages.UpdateDue:
		c.onUpdateDue(m)
	case messages.InventoryDue:
		if c.timers.takeFired(timerKey{kind: timerInventory}, m.Gen) {
			c.collectInventory(false)
		}
	case messages.RefreshDue:
		c.onPluginTimer(timerKey{timerRefresh, m.Key}, m.Gen, policy.RefreshDue)
	case messages.HealthyDue:
		c.onPluginTimer(timerKey{timerHealthy, m.Key}, m.Gen, policy.HealthyDue)
	case messages.SilenceDue:
		c.onPluginTimer(timerKey{timerSilence, m.Key}, m.Gen, policy.SilenceDue)
	case messages.BudgetDue:
		c.onBudgetDue(m)
	case messages.SaveDue:
		c.timers.takeFired(timerKey{kind: timerSave}, m.Gen) // commit retries
	case messages.RecheckDue:
		if c.host.faults.recheck(m, &c.scans, c.plugins) && c.workers.inventory.gen == 0 {
			c.giveOrder(&c.workers.inventory, collectInventory)
		}
	case messages.ChecksDue:
		c.timers.takeFired(timerKey{kind: timerChecks}, m.Gen) // commit orders the gathered checks
	case messages.RecordsDue:
		if c.timers.takeFired(timerKey{kind: timerRecords}, m.Gen) {
			c.collectInventory(true)
		}
	case messages.PendingDue:
		c.onPendingDue(m)
	case messages.ClockStepped:
		c.onClockStepped()
	case messages.PluginExited:
		c.onExit(m.Exit)
	case messages.ProcessExited:
		c.onExit(m.Exit)
	case messages.HeartbeatLost:
		c.onHeartbeat(m.Event)
	case messages.HeartbeatSeen:
		c.onHeartbeat(m.Event)
	case messages.LockFreed:
		if l, ok := c.plugins[m.Name]; ok && l.Phase() == policy.Left { // EV-21
			c.applyFact(l, policy.Fact{Kind: policy.LockFreed})
		}
	case messages.RecordsChanged:
		c.timers.armOnce(timerKey{kind: timerRecords}, gatherRecords)
	case messages.Adopted:
		c.onAdopted(m)
	case messages.WatchFailed:
		c.onWatchFailed(m)
	case messages.ProblemNoted:
		c.host.noteProblem(m.What, m.Err)
	case messages.HostNoted:
		c.log.WithFields(logrus.Fields{"cause": m.Cause, "decision": m.Decision}).Info("Host event")
		c.journal.noteHost(plugin.EntryHost, m.Cause, m.Decision)
	case messages.ScanProgressed:
		c.onScanProgressed(m)
	case messages.ScanCompleted:
		c.onScanCompleted(m)
	case messages.PullCompleted:
		c.onPullCompleted(m)
	case messages.InventoryCollected:
		c.onInventoryCollected(m)
	case messages.SlotRequested:
		c.onSlotRequested(m)
	case messages.CheckRequested:
		c.grantSlots(c.starts.RequestCheck(m.Attempt), 0)
	case messages.SlotReturned:
		c.grantSlots(c.starts.Release(m.Attempt), 0)
	case messages.RestartSucceeded:
		c.onAttemptEnded(m.Attempt, successFact(m))
	case messages.RestartFailed:
		c.onAttemptEnded(m.Attempt, failureFact(m))
	case messages.RestartCancelled:
		c.onAttemptEnded(m.Attempt, policy.Fact{Kind: policy.AttemptCancelled})
	case messages.ReportDelivered:
		c.onReportDelivered(m)
	case messages.ReportFailed:
		c.onReportFailed(m)
	case messages.ReportReplaced:
		c.reports.Discard(m.Gen)
	case messages.EventDelivered:
		c.events.MarkDelivered(m.Gen)
		c.host.noteEvent(nil)
	case messages.EventFailed:
		c.onEventFailed(m)
	case reporterLost:
		c.events.ResendInFlight()
		c.reports.RequestReport(policy.ForChange, nil)
	case messages.UpdatesOffered:
		c.onUpdatesOffered(m)
	case messages.Fetched:
		c.onFetched(m)
	case messages.ChangeCompleted:
		c.onChangeCompleted(m)
	case messages.GetStatus:
		ctx.Respond(messages.Status{Snapshot: c.snapshot()})
		return
	case messages.StartPlugin:
		answer = c.onCommand(m.Name, policy.Fact{Kind: policy.OperatorStart, Cause: "started by an operator", Force: m.Force}, "start")
	case messages.StopPlugin:
		answer = c.onCommand(m.Name, policy.Fact{Kind: policy.OperatorStop, Cause: "stopped by an operator"}, "stop")
	case messages.RestartPlugin:
		answer = c.onCommand(m.Name, policy.Fact{Kind: policy.OperatorRestart, Cause: "restarted by an operator"}, "restart")
	case messages.ChangePlugin:
		answer = c.onChangePlugin(m.Change)
	case messages.CancelChange:
		answer = c.onCancelChange(m.Name)
	case messages.EnqueueReport:
		answer = enqueueReport(m.Report, c.reports, c.plugins[m.Report.Name], c.log)
	case messages.CheckUpdatesNow:
		c.schedule.SetDue(policy.UpdatePeriod, c.now.Wall)
		answer = messages.Accepted{What: "update check"}
	default:
		return
	}
	if answer != nil { // after the save: an accepted command survives the supervisor (EV-14)
		c.runAfterSave(func(ctx actor.Context) { ctx.Respond(answer) })
	}
	c.commit(ctx)
}

// startWorkers spawns the workers, sets the first due time of each period, and lists
// the plugins.
func (c *coordinator) startWorkers(ctx actor.Context) {
	c.timers.root, c.timers.self = ctx.ActorSystem().Root, ctx.Self()
	w := &c.workers
	w.scanner.pid = spawn(ctx, c.props.scanner, "scanner")
	w.puller.pid = spawn(ctx, c.props.puller, "puller")
	w.inventory.pid = spawn(ctx, c.props.inventory, "inventory")
	w.upgrader.pid = spawn(ctx, c.props.upgrader, "upgrader")
	w.reporter.pid = spawn(ctx, c.props.reporter, "reporter")
	w.watcher.pid = spawn(ctx, c.props.watcher, "watcher")

	first := [policy.PeriodCount]time.Duration{c.cfg.FirstRun.Scan, c.cfg.FirstRun.Pull, c.cfg.FirstRun.Update, c.cfg.FirstRun.Inventory}
	for p := range policy.PeriodCount {
		c.schedule.SetDue(p, c.now.Wall.Add(first[p]+policy.RandomWithin(c.cfg.FirstRun.Jitter, c.ports.Rand)))
	}
	if c.reports.Count()+c.events.Count() > 0 {
		c.events.HoldBack()
		c.timers.arm(timerKey{kind: timerPending}, policy.RandomWithin(min(c.cfg.FirstRun.Jitter, pendingSpread), c.ports.Rand))
	}
	if !c.watching.adopting {
		c.journal.noteHost(plugin.EntrySupervisor, "supervisor "+c.cfg.About.Version+" started", "")
	}
	// The plugins are listed at once, so that status can show them.
	c.giveOrder(&w.inventory, collectInventory)
}

// spawn starts a child of the Coordinator. The name must be new.
func spawn(ctx actor.Context, props *actor.Props, name string) *actor.PID {
	pid, err := ctx.SpawnNamed(props, name)
	if err != nil {
		panic(fmt.Errorf("spawn %s: %w", name, err)) // cannot happen: the name is new
	}
	return pid
}

// runAfterSave has do run after the changes are saved.
func (c *coordinator) runAfterSave(do func(actor.Context)) { c.afterSave = append(c.afterSave, do) }

// sendAfterSave sends a message to a worker after the changes are saved.
func (c *coordinator) sendAfterSave(to *actor.PID, m any) {
	c.runAfterSave(func(ctx actor.Context) { ctx.Request(to, m) })
}

// giveOrder sends an order to a worker; message gets the number that the answer
// carries.
func (c *coordinator) giveOrder(w *worker, message func(gen uint64) any) {
	c.seq++
	w.gen, w.since = c.seq, c.now
	c.sendAfterSave(w.pid, message(c.seq))
}

// applyFact applies a fact to the lifecycle of a plugin and carries out the effects.
// A fact that the transition table does not have is a defect: it is counted and
// logged, and changes nothing.
func (c *coordinator) applyFact(l *policy.Lifecycle, f policy.Fact) {
	c.seq++
	effects, err := l.Apply(policy.Env{
		Now: c.now, Seq: c.seq, Pending: c.attempts.countRestarts, Config: c.cfg.Restart.restartConfig(c.schedule.IntervalOf(policy.ScanPeriod)), Rand: c.ports.Rand,
	}, f)
	if err != nil {
		c.host.counters.Defects++
		c.log.WithError(err).WithField("plugin", l.Plugin.Key()).Error("Defect: unexpected fact about a plugin ignored")
	}
	for _, e := range effects {
		c.carryOut(l, e)
	}
}

// carryOut carries out one effect, or has that done after the save.
func (c *coordinator) carryOut(l *policy.Lifecycle, e policy.Effect) {
	key := l.Plugin.Key()
	switch e := e.(type) {
	case policy.Moved:
		c.publishMove(l, e)
	case policy.Note:
		c.journal.notePlugin(l, e.Entry)
	case policy.Save:
		record := l.Record
		c.batch.SetRestarts(key, &record, e.Sync)
	case policy.Forget:
		delete(c.plugins, key)
		delete(c.journal.unreported, key)
		c.absent.markRemoved(key, c.seq)
		c.host.faults.solve(key)
		c.batch.SetRestarts(key, nil, false)
	case policy.Spawn:
		live := c.attempts.add(e.Attempt.ID, l)
		c.runAfterSave(func(ctx actor.Context) {
			live.pid = spawn(ctx, c.props.restarter(e.Attempt), fmt.Sprintf("restarter-%d", e.Attempt.ID))
		})
	case policy.Cancel:
		if !e.Begun {
			c.grantSlots(c.starts.Release(e.Attempt), 0) // also removes it from a queue
		}
		c.runAfterSave(c.attempts.sendTo(e.Attempt, messages.Cancel{Attempt: e.Attempt}))
	case policy.Release:
		c.attempts.release(e.Attempt)
		c.grantSlots(c.starts.Release(e.Attempt), 0)
	case policy.Check:
		c.scans.requestCheck(key, e.Refresh)
	case policy.Report:
		c.reports.Add(c.now.Wall, l.Plugin, e.Status, e.SysTag)
		c.reports.RequestReport(policy.ForChange, nil)
		if e.Restarted {
			c.reports.MarkRestarted(key)
		}
	case policy.ReportRemoved:
		c.reports.AddRemoved(key, l.Plugin, e.Still, c.now.Wall)
	case policy.Arm:
		c.timers.arm(timerKey{pluginTimers[e.Timer], key}, e.After)
	case policy.Disarm:
		c.timers.stop(timerKey{pluginTimers[e.Timer], key})
	case policy.ApplyChange:
		c.changes.MarkApplying(e.Change.ID, c.now.Wall)
		c.sendAfterSave(c.workers.upgrader.pid, messages.ApplyChange{Change: e.Change, StatusBefore: e.Before})
	case policy.InterruptChange:
		c.sendAfterSave(c.workers.upgrader.pid, messages.InterruptChange{Change: e.Change, LeaveStopped: e.LeaveStopped})
	case policy.WatchChanged:
		c.watching.changed = true
	default:
		c.host.countEffect(l, e)
	}
}

// commit saves the changes of the message, then carries out what waits for that.
func (c *coordinator) commit(ctx actor.Context) {
	c.orderChecks()
	c.watchPlugins()
	c.sendPending()
	for _, entry := range c.journal.takeEntries() {
		c.batch.AddEntry(entry)
		c.runAfterSave(func(ctx actor.Context) { ctx.ActorSystem().EventStream.Publish(messages.Recorded{Entry: entry}) })
	}
	c.saveChanges()
	for len(c.afterSave) > 0 {
		do := c.afterSave[0]
		c.afterSave = c.afterSave[1:]
		do(ctx)
	}
	c.afterSave = nil
	for p, kind := range periodTimers {
		c.timers.armAt(timerKey{kind: kind}, c.schedule.DueAt(policy.Period(p)), c.ports.Clock.Now())
	}
}

// saveRetry is the longest time until a failed write is retried.
const saveRetry = 10 * time.Second

// saveChanges writes the batch to the durable state. Changes that cannot be written
// stay in it.
func (c *coordinator) saveChanges() {
	changes, dirty := c.batch.CollectChanges(func() plugin.Settings {
		s := plugin.Settings{Lazy: c.lazy}
		c.schedule.SaveSettings(&s)
		c.reports.SaveSettings(&s)
		return s
	})
	if !dirty && !c.unsaved {
		return
	}
	if err := c.ports.Memory.Save(changes); err != nil {
		c.unsaved = true
		c.batch.MarkFailed()
		c.host.addProblem("state file", err)
		c.timers.arm(timerKey{kind: timerSave}, saveRetry)
		return
	}
	c.batch.MarkWritten()
	c.unsaved = false
	c.host.solveProblem("state file")
}
