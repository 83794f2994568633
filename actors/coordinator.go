package actors

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// crew are the actors the Coordinator works with; tests put probes in their place.
type crew struct {
	scanner   *actor.Props // carries out the periods' scans
	prober    *actor.Props // a second Scanner, for single plugins between the periods
	puller    *actor.Props
	inventory *actor.Props
	upgrader  *actor.Props
	reporter  *actor.Props
	watcher   *actor.Props
	restarter func(messages.Attempt) *actor.Props
}

// worker is one of the crew, and the order it has not answered yet.
type worker struct {
	pid *actor.PID
	gen uint64 // 0: idle
}

// coordinator owns everything that is decided by: when the last check was,
// the intervals, whether reports are lazy, what the control plane knows and
// is owed, and what every plugin is doing. All else is orders to its crew.
//
// Handling a message has three steps: the handler changes what is known and
// notes what is to be done; what has to survive is saved; then it is done
// (EV-11). So nothing happens that a successor would not know of.
type coordinator struct {
	cfg    Config
	crew   crew
	memory Memory
	clock  Clock
	meter  Meter
	rand   *rand.Rand
	log    *logrus.Entry

	now     time.Time // of the message being handled
	saving  *changes
	refused bool                  // the last save was
	effects []func(actor.Context) // done after saving, in order
	alarms  alarms
	armed   [len(periodNames)]time.Time // for when each period's alarm is set
	self    *actor.PID
	gen     uint64 // last number of an order or attempt

	scanner, prober, puller, inventory, upgrader, watcher worker
	reporter                                              *actor.PID

	periods   [len(periodNames)]period
	told      plugin.Intervals // by the control plane; 0 where it never did
	lastCheck time.Time
	lazy      bool
	ledger    *ledger
	outbox    *outbox
	units     map[string]*unit           // by plugin.Key
	idle      map[string]plugin.Restarts // remembered of plugins that were not seen yet
	slots     *slots
	budget    *budget
	broke     []uint64 // attempts that wait for the budget, in order
	together  together
	recording recording

	follows  bool            // something is told by event
	watches  bool            // somebody is there to tell what plugins run as
	how      plugin.Watch    // how the ends of plugins are noticed at best
	beating  []plugin.Plugin // whose heartbeats are followed
	regroup  bool            // what is installed may have changed since then
	taking   bool            // what runs already is still looked for …
	scanHeld bool            // … and the first scan waits for that

	listed    bool                   // the scan under way has told its Once plugins
	owing     bool                   // … has something to report
	inventing bool                   // the inventory under way is to be reported
	reporting *reportWish            // a report to send when this message is handled
	asking    map[string]probeReason // single plugins to probe next
	asked     map[string]probeReason // … that the prober works on
	restarted map[string]bool        // to be reported once more (SC-25)
	offers    offers

	damaged  []plugin.Damage
	problems map[string]plugin.Problem
	delivery plugin.Reports
	counters plugin.Counters
}

// The periods, in the order of their alarmKind.
var periodNames = [...]string{"scan", "pull", "update", "inventory"}

// newCoordinator makes the Props of the Coordinator. It begins with what an
// earlier process remembered.
func newCoordinator(cfg Config, m plugin.Memory, p Ports, crew crew) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor {
		saving := &changes{}
		c := &coordinator{
			cfg: cfg, crew: crew, memory: p.Memory, clock: p.Clock, meter: p.Meter, rand: p.Rand, log: logrus.NewEntry(p.Log),
			saving: saving, ledger: newLedger(m, saving), outbox: newOutbox(m, saving),
			units: map[string]*unit{}, idle: m.Restarts, slots: newSlots(max(cfg.Restart.Parallel, 1)), budget: newBudget(cfg.Restart.Burst, cfg.Restart.Rate),
			recording: recording{last: m.Entries}, follows: p.Watcher != nil || p.Pulses != nil, taking: p.Watcher != nil, watches: p.Watcher != nil,
			asking: map[string]probeReason{}, restarted: map[string]bool{}, problems: map[string]plugin.Problem{},
			lastCheck: m.Settings.LastCheck, lazy: m.Settings.Lazy,
		}
		c.remember(m.Settings)
		return c
	}, guarded)
}

func (c *coordinator) Receive(ctx actor.Context) {
	c.now = c.clock.Now()
	switch m := ctx.Message().(type) {
	case *actor.Started:
		c.started(ctx)
	case *actor.Stopping, *actor.Restarting:
		c.alarms.stopAll()
		return
	case messages.ScanDue:
		c.onScanDue(m)
	case messages.PullDue:
		c.onPullDue(m)
	case messages.UpdateDue:
		c.onUpdateDue(m)
	case messages.InventoryDue:
		c.onInventoryDue(m)
	case messages.RefreshDue:
		c.onRefreshDue(m)
	case messages.HealthyDue:
		c.onHealthyDue(m)
	case messages.SilenceDue:
		c.onSilenceDue(m)
	case messages.BudgetDue:
		c.onBudgetDue(m)
	case messages.PluginExited:
		c.onPluginExited(m)
	case messages.HeartbeatLost:
		c.onHeartbeatLost(m)
	case messages.HeartbeatSeen:
		c.onHeartbeatSeen(m)
	case messages.Adopted:
		c.onAdopted(m)
	case messages.WatchFailed:
		c.onWatchFailed(m)
	case messages.SaveDue:
		c.alarms.rings(alarmKey{kind: alarmSave}, m.Gen) // the commit below tries again
	case messages.OwedDue:
		c.onOwedDue(m)
	case messages.ClockStepped:
		c.onClockStepped()
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
	case messages.SlotReturned:
		c.releaseSlot(m.Attempt)
	case messages.RestartSucceeded:
		c.onRestartSucceeded(m)
	case messages.RestartFailed:
		c.onRestartFailed(m)
	case messages.RestartCancelled:
		c.onRestartCancelled(m)
	case messages.ReportDelivered:
		c.onReportDelivered(m)
	case messages.ReportFailed:
		c.onReportFailed(m)
	case messages.ReportReplaced:
		c.ledger.replaced(m.Gen)
	case messages.EventDelivered:
		c.outbox.delivered(m.Gen)
	case messages.EventFailed:
		c.onEventFailed(m)
	case reporterLost:
		c.onReporterLost()
	case messages.UpdatesOffered:
		c.onUpdatesOffered(m)
	case messages.UpgradeCompleted:
		c.onUpgradeCompleted(m)
	case messages.GetStatus:
		ctx.Respond(messages.Status{Snapshot: c.snapshot()})
		return
	case messages.StartPlugin:
		c.answer(c.onStartPlugin(m.Name))
	case messages.StopPlugin:
		c.answer(c.onStopPlugin(m.Name))
	case messages.RestartPlugin:
		c.answer(c.onRestartPlugin(m.Name))
	case messages.ChangePlugin:
		c.answer(c.onChangePlugin(m.Offer))
	case messages.LookForUpdates:
		c.periods[alarmUpdate].first(c.now)
		c.answer(messages.Accepted{What: "update check"})
	default:
		return
	}
	c.commit(ctx)
}

func (c *coordinator) started(ctx actor.Context) {
	c.self = ctx.Self()
	c.scanner.pid = c.employ(ctx, c.crew.scanner, "scanner")
	c.prober.pid = c.employ(ctx, c.crew.prober, "prober")
	c.puller.pid = c.employ(ctx, c.crew.puller, "puller")
	c.inventory.pid = c.employ(ctx, c.crew.inventory, "inventory")
	c.upgrader.pid = c.employ(ctx, c.crew.upgrader, "upgrader")
	c.reporter = c.employ(ctx, c.crew.reporter, "reporter")
	c.watcher.pid = c.employ(ctx, c.crew.watcher, "watcher")

	first := [...]time.Duration{c.cfg.FirstRun.Scan, c.cfg.FirstRun.Pull, c.cfg.FirstRun.Update, c.cfg.FirstRun.Inventory}
	for kind := range c.periods {
		c.periods[kind].first(c.now.Add(first[kind] + within(c.cfg.FirstRun.Jitter, c.rand)))
	}
	if len(c.ledger.owed)+len(c.outbox.events) > 0 {
		c.outbox.held = true
		c.alarms.arm(ctx, alarmKey{kind: alarmOwed}, within(min(c.cfg.FirstRun.Jitter, owedSpread), c.rand),
			func(gen uint64) any { return messages.OwedDue{Gen: gen} })
	}
	if !c.taking {
		c.recordHost(plugin.EntrySupervisor, "supervisor "+c.cfg.About.Version+" started", "")
	}
	// What is installed is looked up at once, so that status can tell.
	c.order(&c.inventory, func(gen uint64) any { return messages.CollectInventory{Gen: gen} })
}

func (c *coordinator) employ(ctx actor.Context, props *actor.Props, name string) *actor.PID {
	pid, err := ctx.SpawnNamed(props, name)
	if err != nil {
		panic(fmt.Errorf("spawn %s: %w", name, err))
	}
	return pid
}

// then notes something to be done once what has changed is saved.
func (c *coordinator) then(do func(actor.Context)) { c.effects = append(c.effects, do) }

// answer answers an operator once what was said to be done is saved: what was
// accepted survives the supervisor (EV-14).
func (c *coordinator) answer(with any) { c.then(func(ctx actor.Context) { ctx.Respond(with) }) }

// order gives a worker something to do; message gets the number its answer carries.
func (c *coordinator) order(w *worker, message func(gen uint64) any) {
	c.gen++
	w.gen = c.gen
	m := message(w.gen)
	c.then(func(ctx actor.Context) { ctx.Request(w.pid, m) })
}

// answers tells whether gen is the worker's outstanding order, and settles it.
func (w *worker) answers(gen uint64) bool {
	if w.gen == 0 || w.gen != gen {
		return false
	}
	w.gen = 0
	return true
}

// commit saves what the message changed, then does what it brought about.
func (c *coordinator) commit(ctx actor.Context) {
	c.askProber()
	c.sendReport()
	c.sendEvent()
	c.takeUp()
	c.finishEntries()
	c.save(ctx)
	for len(c.effects) > 0 {
		do := c.effects[0]
		c.effects = c.effects[1:]
		do(ctx)
	}
	c.effects = nil
	c.rearm(ctx)
}

// saveAgain is how long it waits before a refused write is tried again, at the latest.
const saveAgain = 10 * time.Second

func (c *coordinator) save(ctx actor.Context) {
	batch, dirty := c.saving.pending(c.settings)
	if !dirty && !c.refused {
		return
	}
	if err := c.memory.Save(batch); err != nil {
		c.refused = true
		c.saving.batch.Entries = nil // the journal keeps them itself
		c.problem("state file", err)
		c.alarms.arm(ctx, alarmKey{kind: alarmSave}, saveAgain, func(gen uint64) any { return messages.SaveDue{Gen: gen} })
		return
	}
	c.saving.written()
	c.refused = false
	c.solved("state file")
}

// rearm lets the periods' alarms follow their due times.
func (c *coordinator) rearm(ctx actor.Context) {
	for kind := range c.periods {
		p, key := &c.periods[kind], alarmKey{kind: alarmKind(kind)}
		if c.armed[kind].Equal(p.due) && c.alarms.armed(key) {
			continue
		}
		c.armed[kind] = p.due
		c.alarms.arm(ctx, key, p.due.Sub(c.clock.Now()), func(gen uint64) any { return dueMessage(alarmKind(kind), gen) })
	}
}

func dueMessage(kind alarmKind, gen uint64) any {
	switch kind {
	case alarmScan:
		return messages.ScanDue{Gen: gen}
	case alarmPull:
		return messages.PullDue{Gen: gen}
	case alarmUpdate:
		return messages.UpdateDue{Gen: gen}
	default:
		return messages.InventoryDue{Gen: gen}
	}
}

// onClockStepped recomputes all due times: at most one run each is made up for (TM-07).
func (c *coordinator) onClockStepped() {
	c.log.Info("Wall clock stepped or host resumed, due times recomputed")
	c.recordHost(plugin.EntryHost, "wall clock stepped or host resumed", "due times recomputed")
	if c.lastCheck.After(c.now) {
		c.lastCheck = c.now
		c.saving.settings()
	}
	for kind := range c.periods {
		c.periods[kind].stepped(c.now)
		c.armed[kind] = time.Time{}
	}
}

// problem notes something that does not work, in status and, when it is new, in the log.
func (c *coordinator) problem(what string, err error) {
	p, known := c.problems[what]
	if !known {
		p.Since = c.now
	}
	if !known || p.Why != err.Error() {
		c.log.WithError(err).WithField("what", what).Error("Does not work, will be tried again")
		c.recordHost(plugin.EntryHost, what+" does not work: "+err.Error(), "will be tried again")
	}
	p.What, p.Why = what, err.Error()
	c.problems[what] = p
}

// solved notes that it works.
func (c *coordinator) solved(what string) {
	if p, known := c.problems[what]; known {
		c.log.WithFields(logrus.Fields{"what": what, "since": p.Since}).Info("Works again")
		c.recordHost(plugin.EntryHost, what+" works again", "")
		delete(c.problems, what)
	}
}
