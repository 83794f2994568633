package policy

import (
	"errors"
	"math/rand/v2"
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// world is the part outside of a plugin's lifecycle that decides which facts are
// possible: its Restarter, its change, its timers, and whether it runs.
type world struct {
	attempt attemptState
	id      uint64 // of the attempt
	verb    messages.AttemptKind
	change  changeStep
	kind    plugin.ChangeKind
	armed   [2]bool // TimerHealthy, TimerSilence
	gone    bool    // its record is gone
	runs    bool    // by the facts so far
}

type attemptState uint8

const (
	noAttempt attemptState = iota
	attemptWaits
	attemptBegun
	attemptCancelled      // before it began
	attemptBegunCancelled // while its verb ran
	attemptEnded          // Release has to follow in the same step
)

type changeStep uint8

const (
	noChange changeStep = iota
	changeGranted
	changeApplied
)

// node is one state of the search: a plugin and its world.
type node struct {
	l     *Lifecycle
	world world
	now   plugin.Moment
	seq   uint64
}

// The times that may pass in a node: long enough to be healthy and to miss a
// heartbeat, and long enough to hang.
const (
	passHeartbeat = 70 * time.Second
	passHang      = 200 * time.Second
)

var (
	exploreConfig = RestartConfig{BackoffInitial: time.Second, BackoffMax: 5 * time.Minute, HealthyAfter: time.Minute, OnHang: true}
	exploreRand   = rand.New(rand.NewPCG(1, 1))
	exploreStart  = plugin.Moment{Wall: time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC), BootID: "b", Uptime: time.Hour}
	daemon        = []plugin.Process{{PID: 7, StartTicks: 1, BootID: "b"}}
)

// clone returns a copy that Apply may change. The data of a phase is not changed in
// place, so it is shared.
func (l *Lifecycle) clone() *Lifecycle {
	c := *l
	return &c
}

// startNodes returns the plugins with which the search begins.
func startNodes() (all []*node) {
	persist := plugin.Plugin{ID: 1, Name: "a", Version: "1.0", Type: plugin.Persist, HeartbeatInterval: time.Minute}
	once, duplicate := persist, persist
	once.Type, duplicate.Duplicate = plugin.Once, true
	was := plugin.RestartRecord{Last: exploreStart, RunningSince: exploreStart, Processes: daemon}
	stopped := plugin.RestartRecord{Stopped: true, Cause: "stopped by an operator"}
	pending := was
	pending.Stopped, pending.StopPending, pending.Cause = true, true, stopped.Cause
	requested := pending
	requested.Requested = plugin.RequestStop
	add := func(l *Lifecycle) *node {
		l.run = 1
		n := &node{l: l, now: exploreStart, seq: 1}
		all = append(all, n)
		return n
	}
	for _, r := range []plugin.RestartRecord{{}, was, pending, stopped, {Failures: 3, Last: exploreStart}} {
		add(NewLifecycle(persist, r, 1, exploreStart.Wall))
	}
	// An earlier process was to stop it after a change; that change is resumed first.
	resume := plugin.Change{Name: "a", Kind: plugin.ChangeResume, Origin: plugin.FromRecovery, Version: "2.0"}
	resumed := add(NewLifecycle(persist, requested, 1, exploreStart.Wall))
	next, _, _ := resumed.applyFact(Fact{Kind: ChangeGranted, Change: resume})
	*resumed = *next
	add(NewLifecycle(duplicate, plugin.RestartRecord{}, 1, exploreStart.Wall))
	add(NewLifecycle(once, plugin.RestartRecord{}, 1, exploreStart.Wall))
	add(NewAbsent(plugin.Plugin{Name: "a", Version: "1.0", Type: plugin.Unknown}, exploreStart.Wall))
	return all
}

// possibleFacts returns every fact that is possible now.
func (n *node) possibleFacts() (all []Fact) {
	add := func(fs ...Fact) { all = append(all, fs...) }
	l, w := n.l, n.world
	if l.Phase() == Removed { // it is about to be installed
		return n.grantFacts()
	}
	add(n.recordFacts()...)
	if l.Plugin.IsProbed() {
		add(
			Fact{Kind: SeenRunning}, Fact{Kind: SeenRunning, Scan: true}, Fact{Kind: SeenRunning, Refresh: true},
			Fact{Kind: SeenDead, Cause: "exit 3"}, Fact{Kind: SeenDead, Cause: "exit 3", Scan: true},
			Fact{Kind: SeenDead, Cause: "exit 3", LockHeld: true}, Fact{Kind: SeenDead, Cause: "exit 3", Scan: true, LockHeld: true},
			Fact{Kind: HeartbeatSeen}, n.heartbeatFact(HeartbeatSeen, 0), n.heartbeatFact(HeartbeatLate, passHeartbeat), n.heartbeatFact(HeartbeatLate, passHang),
			Fact{Kind: HeartbeatSeen, Heartbeat: plugin.Heartbeat{Found: true, Err: errors.New("not a number")}},
			Fact{Kind: HealthPassed}, Fact{Kind: HealthFailed, Cause: "exit 1"},
		)
	}
	add(Fact{Kind: RefreshDue})
	if w.armed[TimerHealthy] {
		add(Fact{Kind: HealthyDue})
	}
	if w.armed[TimerSilence] {
		add(Fact{Kind: SilenceDue})
	}
	if l.Plugin.Duplicate { // it has no other facts
		return all
	}
	add(n.processFacts()...)
	add(n.attemptFacts()...)
	if l.Plugin.Type == plugin.Persist && w.change != changeGranted { // the Coordinator drops that first
		add(
			Fact{Kind: OperatorStart, Cause: "started by an operator"}, Fact{Kind: OperatorStop, Cause: "stopped by an operator"},
			Fact{Kind: OperatorRestart, Cause: "restarted by an operator"},
		)
	}
	add(n.grantFacts()...)
	add(n.changeFacts()...)
	return all
}

func (n *node) heartbeatFact(kind FactKind, age time.Duration) Fact {
	return Fact{Kind: kind, Heartbeat: plugin.Heartbeat{Plugin: n.l.Plugin, Found: true}, Age: age, ByEvent: true}
}

// recordFacts returns the possible facts of a list of plugins.
func (n *node) recordFacts() []Fact {
	same, other := n.l.Plugin, n.otherVersion()
	same.Publisher = "another"
	all := []Fact{{Kind: RecordGone}, {Kind: Recorded, Plugin: same}, {Kind: Recorded, Plugin: other}}
	if !n.l.Plugin.Duplicate {
		other.Type = plugin.Once
		if n.l.Plugin.Type == plugin.Once {
			other.Type = plugin.Persist
		}
		all = append(all, Fact{Kind: Recorded, Plugin: other})
	}
	return all
}

func (n *node) otherVersion() plugin.Plugin {
	p := n.l.Plugin
	p.Version = map[string]string{"1.0": "2.0", "2.0": "1.0"}[p.Version]
	if p.Type == plugin.Unknown { // it was not installed
		p.Type, p.HeartbeatInterval = plugin.Persist, time.Minute
	}
	return p
}

// processFacts returns the possible facts of the Watcher. It may find at any time
// processes from before the start of the supervisor.
func (n *node) processFacts() []Fact {
	run := n.l.run
	all := []Fact{
		{Kind: Exited, Exit: plugin.Exit{RunID: run - 1}},
		{Kind: Exited, Exit: plugin.Exit{RunID: run, CauseKnown: true}},
		{Kind: Exited, Exit: plugin.Exit{RunID: run, CauseKnown: true, LockHeld: true}},
		{Kind: Exited, Exit: plugin.Exit{RunID: run + 1}},
		{Kind: Exited, Exit: plugin.Exit{RunID: run + 1, LockHeld: true}},
		{Kind: ProcessExited, Exit: plugin.Exit{RunID: run - 1, Partial: true}},
		{Kind: ProcessExited, Exit: plugin.Exit{RunID: run, Partial: true}},
		{Kind: ProcessExited, Exit: plugin.Exit{RunID: run + 1, Partial: true}},
		{Kind: ExitExplained, Exit: plugin.Exit{RunID: run, CauseKnown: true}},
	}
	all = append(all, Fact{Kind: Reattached, RunID: run + 1, Processes: daemon}, Fact{Kind: ExitMissed, RunID: run}, Fact{Kind: ExitMissed, RunID: run, LockHeld: true})
	switch n.l.Phase() {
	case Installed:
		all = append(all, Fact{Kind: InstalledNow})
	case Left:
		all = append(all, Fact{Kind: LockFreed})
	}
	if n.l.Plugin.IsProbed() && n.l.IsObservable() {
		all = append(all, Fact{Kind: ProcessesSeen, RunID: run, Processes: daemon}, Fact{Kind: ProcessesSeen, RunID: run + 1, Processes: daemon})
	}
	return all
}

// attemptFacts returns the possible facts of the Restarter.
func (n *node) attemptFacts() []Fact {
	ended := func(kind FactKind, said plugin.Status) Fact {
		return Fact{Kind: kind, At: n.now, Cause: "failed", Probe: plugin.Probe{Status: said}}
	}
	succeeded, skipped := ended(StartSucceeded, plugin.StatusRunning), ended(StartSucceeded, plugin.StatusRunning)
	succeeded.Outcome = plugin.Outcome{RunID: n.l.run + 1, Processes: daemon}
	skipped.Outcome.Skipped = true
	failed, crashed := StartFailed, ended(StartFailed, plugin.StatusUnknown)
	ends := []Fact{succeeded, skipped, ended(failed, plugin.StatusFailed)}
	if n.world.verb == messages.KindStop {
		failed, crashed = StopFailed, ended(StopFailed, plugin.StatusUnknown)
		ends = []Fact{ended(StopSucceeded, plugin.StatusFailed), ended(failed, plugin.StatusRunning)}
	}
	ends = append(ends, ended(failed, plugin.StatusUnknown), ended(failed, plugin.StatusFailed))
	for i := range ends[len(ends)-2:] { // EV-24
		ends[len(ends)-1-i].HostFault = true
	}
	gone := ended(failed, plugin.StatusFailed)
	gone.Gone = true
	ends = append(ends, gone)
	switch n.world.attempt {
	case attemptWaits: // its actor may crash
		return []Fact{{Kind: AttemptBegun}, crashed}
	case attemptBegun:
		return append(ends, crashed)
	case attemptCancelled:
		return []Fact{{Kind: AttemptCancelled}, crashed}
	case attemptBegunCancelled: // it may have finished before the cancellation
		return append(ends, crashed, Fact{Kind: AttemptCancelled})
	default:
		return nil
	}
}

// grantFacts returns the possible grants of changes: at most one a plugin.
func (n *node) grantFacts() (all []Fact) {
	if n.world.change != noChange {
		return nil
	}
	for _, c := range []plugin.Change{
		{Kind: plugin.ChangeUpgrade, Version: "2.0"},
		{Kind: plugin.ChangeResume, Origin: plugin.FromRecovery, Version: "2.0"},
		{Kind: plugin.ChangeRemove, Origin: plugin.FromOperator},
	} {
		c.Name = "a"
		absent := n.l.Phase() == Removed
		if absent && c.Kind == plugin.ChangeRemove || c.Kind == plugin.ChangeUpgrade && n.l.Record.Stopped { // the Coordinator refuses it
			continue
		}
		all = append(all, Fact{Kind: ChangeGranted, Change: c})
	}
	return all
}

// changeFacts returns the possible results of a change, and the commands meanwhile.
func (n *node) changeFacts() []Fact {
	switch n.world.change {
	case noChange:
		return nil
	case changeGranted:
		return []Fact{{Kind: ChangeDropped}}
	}
	old, other, once := n.l.Plugin, n.otherVersion(), n.otherVersion()
	once.Type = plugin.Once
	if old.Type == plugin.Unknown {
		old = plugin.Plugin{}
	}
	gone := old
	gone.Removed = true
	left := plugin.Outcome{RunID: n.l.run + 1, Processes: daemon}
	failed := plugin.Outcome{Err: errors.New("exit 3")}
	stopped := plugin.Outcome{Err: plugin.ErrInterrupted}
	back := left
	back.Err = failed.Err
	var all []Fact
	for _, done := range []plugin.ChangeResult{
		{Plugin: other, Previous: "1.0", Status: plugin.StatusRunning, Outcome: left},  // it runs
		{Plugin: other, Previous: "1.0", Status: plugin.StatusFailed, Outcome: failed}, // it does not, and there is nothing to go back to
		{Plugin: old, Status: plugin.StatusRunning, Outcome: back, RolledBack: true},   // rolled back
		{Plugin: old, Status: plugin.StatusFailed, Outcome: failed, RolledBack: true},  // … but that does not run either
		{Plugin: old, Outcome: failed},                                                              // not touched
		{Outcome: failed},                                                                           // … and no record was read
		{Outcome: failed, Status: plugin.StatusFailed},                                              // failed without a record
		{Plugin: gone, Status: plugin.StatusRemoved},                                                // removed
		{Plugin: once, Previous: "1.0", Status: plugin.StatusInstalled},                             // a Once plugin now
		{Plugin: old, Status: plugin.StatusRunning, Outcome: stopped, RolledBack: true},             // an operator interrupted it
		{Plugin: old, Status: plugin.StatusFailed, Outcome: stopped, RolledBack: true},              // … to have it stopped
		{Plugin: plugin.Plugin{Name: "a", Version: "2.0", Type: plugin.Commander}, Previous: "1.0"}, // there is no status of it
	} {
		isDaemon := done.Plugin.Type == plugin.Persist
		if !isDaemon && (done.RolledBack || done.Plugin.Name != "" && (done.Status == plugin.StatusRunning || done.Status == plugin.StatusFailed)) {
			continue // there was no version to go back to, or there is no such status of it
		}
		all = append(all, Fact{Kind: ChangeCompleted, At: n.now, Change: plugin.Change{Name: "a", Kind: n.world.kind, Version: "2.0"}, Result: done})
	}
	if n.world.kind != plugin.ChangeRemove {
		all = append(all, Fact{Kind: OperatorChange, Request: plugin.RequestRemove}, Fact{Kind: OperatorChange, Request: plugin.RequestCancel})
	}
	if !n.l.Record.Stopped {
		all = append(all, Fact{Kind: OperatorChange, Request: plugin.RequestRollback})
	}
	return all
}

// applyFact applies a fact to a copy of the node and to its world.
func (n *node) applyFact(f Fact) (next *node, effects []Effect, faults []string) {
	next = &node{l: n.l.clone(), world: n.world, now: n.now, seq: n.seq + 1}
	effects, err := next.l.Apply(n.env(), f)
	if err != nil {
		faults = append(faults, err.Error())
	}
	next.world.applyFact(n, f)
	for _, e := range effects {
		faults = append(faults, next.world.carryOut(next, e)...)
	}
	return next, effects, faults
}

func (n *node) env() Env {
	return Env{Now: n.now, Seq: n.seq + 1, Pending: func() int { return 1 }, Config: exploreConfig, Rand: exploreRand}
}

// applyFact updates the world by a fact itself.
func (w *world) applyFact(n *node, f Fact) {
	switch f.Kind {
	case AttemptBegun:
		w.attempt = attemptBegun
	case StartSucceeded, StartFailed, StopSucceeded, StopFailed, AttemptCancelled:
		w.attempt = attemptEnded
	case ChangeDropped:
		w.change, w.kind = noChange, 0
	case ChangeGranted:
		w.change, w.kind = changeGranted, f.Change.Kind
	case ChangeCompleted:
		w.change, w.kind = noChange, 0
	case HealthyDue:
		w.armed[TimerHealthy] = false
	case SilenceDue:
		w.armed[TimerSilence] = false
	case RecordGone:
		w.gone = w.gone || n.l.Phase() != Changing
	case Recorded:
		leaves := n.l.Plugin.Type == plugin.Persist && f.Plugin.Type != plugin.Persist // what is installed then is another plugin
		w.gone = leaves && n.l.Phase() != Changing
	}
	w.updateRuns(n, f)
}

// updateRuns updates whether the plugin runs by a fact.
func (w *world) updateRuns(n *node, f Fact) {
	exit := n.l.currentAttempt().exit
	if ph, ok := n.l.phase.(changing); ok {
		exit = ph.exit
	}
	exited := exit != nil && exit.RunID >= max(n.l.run, f.Outcome.RunID, f.Result.RunID)
	switch f.Kind {
	case SeenRunning, Reattached:
		w.runs = true
	case SeenDead, StopSucceeded, ExitMissed, InstalledNow:
		w.runs = false
	case Exited:
		if f.Exit.RunID >= n.l.run {
			w.runs = false
		}
	case StartSucceeded, StartFailed, StopFailed:
		w.setRuns(f.Probe.Status, exited)
	case ChangeCompleted:
		w.setRuns(f.Result.Status, exited)
	case AttemptCancelled:
		if n.world.attempt == attemptBegunCancelled {
			w.runs = false
		}
	}
}

func (w *world) setRuns(s plugin.Status, exited bool) {
	w.runs = s == plugin.StatusRunning && !exited
}

// carryOut applies an effect to the world, and returns its faults.
func (w *world) carryOut(n *node, e Effect) (faults []string) {
	fault := func(is bool, what string) {
		if is {
			faults = append(faults, what)
		}
	}
	switch e := e.(type) {
	case Spawn:
		fault(w.attempt != noAttempt, "a second attempt is made")
		w.attempt, w.id, w.verb = attemptWaits, e.Attempt.ID, e.Attempt.Kind
		fault(!n.l.isSupervised(), "an attempt is made at a plugin that is not supervised")
		if e.Attempt.Kind != messages.KindStop {
			fault(n.l.Record.Stopped, "a plugin is started that an operator stopped")
			fault(w.gone, "a plugin is started whose record is gone")
			fault(w.change == changeApplied, "a plugin is started whose version is being changed")
		}
		fault(e.Attempt.Kind == messages.KindStart && !e.Attempt.CheckFirst && w.runs, "a plugin is started that runs, without asking it")
	case Cancel:
		fault(w.id != e.Attempt || w.attempt != attemptWaits && w.attempt != attemptBegun, "an attempt is cancelled that is not alive")
		fault(e.Begun != (w.attempt == attemptBegun), "an attempt is cancelled in the wrong way")
		w.attempt = map[bool]attemptState{false: attemptCancelled, true: attemptBegunCancelled}[e.Begun]
	case Release:
		fault(w.id != e.Attempt || w.attempt != attemptEnded, "an attempt is released that has not ended")
		w.attempt, w.verb = noAttempt, 0
	case ApplyChange:
		fault(w.attempt != noAttempt, "a change is made while an attempt is alive")
		fault(w.change != changeGranted, "a change is made that was not granted")
		w.change, w.gone = changeApplied, false
	case Arm:
		if e.Timer != TimerRefresh {
			w.armed[e.Timer] = true
		}
	case Disarm:
		if e.Timer != TimerRefresh {
			w.armed[e.Timer] = false
		}
	case Report:
		fault(w.gone && e.Status != plugin.StatusRemoved, "a plugin is reported whose record is gone")
	}
	return faults
}
