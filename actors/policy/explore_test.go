package policy

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// ruleID names a rule of the table: its phase and its place there.
type ruleID struct {
	phase PhaseKind
	row   int
}

func (id ruleID) String() string {
	r := table[id.phase][id.row]
	if r.when.words == "" {
		return fmt.Sprintf("%s: %s", id.phase, r.on)
	}
	return fmt.Sprintf("%s: %s, %s", id.phase, r.on, r.when.words)
}

// search visits all nodes that plugins can reach.
type search struct {
	nodes  []*node
	places map[nodeKey]int
	steps  [][]edge // by node
	from   []origin // the first step to each node
	faults map[string]string
}

// edge is one step of the search.
type edge struct {
	to   int32
	rule ruleID
	fact FactKind // factCount: only time passes
}

type origin struct {
	node int
	fact Fact
	pass time.Duration // no fact: only time passes
}

func (s *search) add(n *node, from origin) int32 {
	k := n.key()
	i, known := s.places[k]
	if !known {
		i = len(s.nodes)
		s.places[k] = i
		s.nodes, s.from = append(s.nodes, n), append(s.from, from)
	}
	return int32(i)
}

// explore visits every node breadth-first, and applies every fact that is possible
// there.
func explore() *search {
	s := &search{places: map[nodeKey]int{}, faults: map[string]string{}}
	for _, n := range startNodes() {
		s.add(n, origin{node: -1})
	}
	for i := 0; i < len(s.nodes); i++ {
		s.steps = append(s.steps, s.visit(i))
	}
	return s
}

func (s *search) visit(i int) (edges []edge) {
	n := s.nodes[i]
	before := n.key()
	for _, f := range n.possibleFacts() {
		rule, ok := n.findRule(f)
		next, effects, faults := n.applyFact(f)
		if ok {
			faults = append(faults, checkStep(n, f, next, effects)...)
		}
		for _, fault := range faults {
			s.report(fault, i, describe(f))
		}
		if ok {
			edges = append(edges, edge{s.add(next, origin{node: i, fact: f}), rule, f.Kind})
		}
	}
	for _, d := range []time.Duration{passHeartbeat, passHang} {
		later := &node{n.l, n.world, n.now.Add(d), n.seq}
		edges = append(edges, edge{s.add(later, origin{node: i, pass: d}), ruleID{}, factCount})
	}
	if n.key() != before {
		s.report("a step changed the node where it began", i, "")
	}
	for _, fault := range checkState(n) {
		s.report(fault, i, "")
	}
	return edges
}

// report stores the first and shortest way to a fault.
func (s *search) report(fault string, i int, last string) {
	id := fault + " (" + s.nodes[i].l.Phase().String() + ", " + last + ")"
	if _, known := s.faults[id]; known {
		return
	}
	way := last
	for ; i >= 0; i = s.from[i].node {
		what := describe(s.from[i].fact)
		switch from := s.from[i]; {
		case from.node < 0:
			what = "begins"
		case from.pass > 0:
			what = from.pass.String() + " pass"
		}
		way = fmt.Sprintf("%s [%s]\n\t\t%s", what, s.nodes[i].l.Phase(), way)
	}
	s.faults[id] = way
}

func describe(f Fact) string {
	words := f.Kind.String()
	switch f.Kind {
	case SeenRunning, SeenDead:
		words += fmt.Sprintf(" scan %v refresh %v held %v", f.Scan, f.Refresh, f.LockHeld)
	case Exited:
		words += fmt.Sprintf(" run %d held %v", f.Exit.RunID, f.Exit.LockHeld)
	case Recorded:
		words += " " + f.Plugin.Version + " " + f.Plugin.Type.String()
	case StartFailed, StopFailed:
		words += ", then " + f.Probe.Status.String()
		if f.HostFault {
			words += ", by a fault of the host"
		}
		if f.Gone {
			words += ", its record is gone"
		}
	case ChangeGranted:
		words += " " + f.Change.String()
	case ChangeCompleted:
		words += fmt.Sprintf(" %s %s %s, %v", f.Result.Plugin.Version, f.Result.Plugin.Type, f.Result.Status, f.Result.Err)
	case OperatorChange:
		words += " " + string(f.Request)
	}
	return words
}

// findRule returns the rule of the table that a fact matches.
func (n *node) findRule(f Fact) (ruleID, bool) {
	phase := n.l.Phase()
	t := &turn{l: n.l, env: n.env(), f: f}
	row := slices.IndexFunc(table[phase], func(r rule) bool {
		return r.on == f.Kind && (r.when.holds == nil || r.when.holds(t))
	})
	return ruleID{phase, row}, row >= 0
}

// checkStep returns the faults of one step.
func checkStep(n *node, f Fact, next *node, effects []Effect) (faults []string) {
	fault := func(is bool, what string) {
		if is {
			faults = append(faults, what)
		}
	}
	l, w, phase := next.l, next.world, next.l.Phase()
	saved, forgotten, disarmed, started, status, state := false, false, false, false, plugin.StatusUnknown, n.l.State()
	for _, e := range effects {
		switch e := e.(type) {
		case Save:
			fault(forgotten, "a plugin is saved after it was forgotten")
			saved = true
		case Disarm:
			disarmed = disarmed || e.Timer == TimerRefresh
		case Forget:
			fault(!disarmed, "a plugin is forgotten and its timers are not stopped")
			forgotten = true
		case Report:
			status = e.Status
		case Spawn:
			started = n.l.currentAttempt().id == 0 && e.Attempt.Kind == messages.KindStart
		case Moved:
			fault(e.From != state, "Moved.From is not the state of the plugin")
			state = e.To
		}
	}
	fault(forgotten != (phase == Removed), "a plugin is forgotten that is not removed, or the other way round")
	fault(!sameRecord(n.l.Record, l.Record) && !saved && !forgotten, "the durable record changed and is not saved")
	fault(state != l.State(), "the state changed without Moved")
	fault(started && (f.Kind == Exited && f.Exit.LockHeld || f.Kind == ExitMissed && f.LockHeld), "EV-21: a plugin is started by an exit while another program worked on it")
	fault(w.attempt == attemptEnded, "an attempt has finished and is not released")
	fault(w.change == changeApplied != (phase == Changing), "a change is made in another phase")
	if status == plugin.StatusRunning && f.Kind != StopFailed { // a failed stop: it still runs, and that is reported
		ph, cancels := l.phase.(cancelling)
		fault(phase != Running && phase != Degraded && !(cancels && ph.then.kind == thenRunning), "a plugin is reported as running in the phase "+phase.String())
	}
	return faults
}

func sameRecord(a, b plugin.RestartRecord) bool {
	if len(a.Processes) != len(b.Processes) {
		return false
	}
	return a.Count == b.Count && a.Failures == b.Failures && a.Last == b.Last && a.Cause == b.Cause && a.Stopped == b.Stopped &&
		a.StopPending == b.StopPending && a.Requested == b.Requested && a.RunningSince == b.RunningSince
}

// checkState returns the faults of a node: it contradicts an operator's command, or
// has no way out.
func checkState(n *node) (faults []string) {
	fault := func(is bool, what string) {
		if is {
			faults = append(faults, what)
		}
	}
	l, w, r, phase := n.l, n.world, n.l.Record, n.l.Phase()
	alive := w.attempt != noAttempt
	fault(alive != (l.AttemptID() != 0) || alive && l.AttemptID() != w.id, "another attempt is alive than the plugin knows of")
	fault(alive && l.AttemptVerb() != w.verb, "the attempt has another verb than the plugin knows of")
	fault(alive && l.HasBegun() != (w.attempt == attemptBegun || w.attempt == attemptBegunCancelled), "the plugin does not know whether its attempt has begun")

	// The way out.
	switch phase {
	case Waiting, Working: // by the result of the attempt
		fault(!alive || w.verb == messages.KindStop, "nothing starts the plugin")
	case Stopping:
		fault(!alive || w.verb != messages.KindStop, "nothing stops the plugin")
	case Cancelling: // by the answer of the Restarter
		fault(w.attempt != attemptCancelled && w.attempt != attemptBegunCancelled, "nothing is being cancelled")
	case Changing: // by the result of the change
		fault(w.change != changeApplied, "nothing changes the plugin")
	case Running, Degraded: // by an exit, or the next scan
		fault(!l.Plugin.IsProbed(), "a plugin counts as running that is never probed")
		fault(r.RunningSince.IsZero(), "a plugin runs, and the saved record says that it does not")
	case Installed: // by the next scan; an unsupervised plugin may stay
	case Left: // by the next scan
		fault(!r.RunningSince.IsZero(), "a plugin is down, and the saved record says that it runs")
	case Stopped: // by an operator; a stop that is pending by the next scan
		fault(!r.RunningSince.IsZero() && !r.StopPending, "a plugin is stopped, and the saved record says that it runs")
	}
	ph, cancels := l.phase.(cancelling)
	waits := cancels && ph.then.kind == thenChange
	fault(waits != (w.change == changeGranted), "a change that was granted is lost, or one is awaited that was not")

	fault(r.Requested != plugin.RequestNone && phase != Changing, "a request waits for a change that is not made")

	// An operator's stop.
	fault(r.StopPending && !r.Stopped, "a stop is pending without a command")
	starts := phase == Waiting || phase == Working || phase == Running || phase == Degraded ||
		cancels && (ph.then.kind == thenRunning || ph.then.kind == thenRestart || ph.then.kind == thenCommand && ph.then.verb != messages.KindStop)
	fault(r.Stopped && starts, "a plugin is to run that an operator stopped")
	fault(r.Stopped && (phase == Installed || phase == Left), "an operator's stop is forgotten")
	return faults
}

// mayStay reports whether a plugin may stay in this node for ever.
func (n *node) mayStay() bool {
	switch n.l.Phase() {
	case Running, Removed:
		return true
	case Stopped:
		return !n.l.Record.StopPending
	case Installed:
		return !n.l.isSupervised()
	default:
		return false
	}
}

// findTrapped returns the nodes from which the supervisor alone does not bring a
// plugin to a node where it may stay: without an operator, a change of its record, or
// another program that starts it.
func (s *search) findTrapped() (all []int) {
	out := make([]bool, len(s.nodes))
	for i, n := range s.nodes {
		out[i] = n.mayStay()
	}
	for changed := true; changed; {
		changed = false
		for i, edges := range s.steps {
			if !out[i] && slices.ContainsFunc(edges, func(e edge) bool { return out[e.to] && isInternal(e.fact) }) {
				out[i], changed = true, true
			}
		}
	}
	for i, ok := range out {
		if !ok {
			all = append(all, i)
		}
	}
	return all
}

func isInternal(k FactKind) bool {
	switch k {
	case OperatorStart, OperatorStop, OperatorRestart, OperatorChange, ChangeGranted, Recorded, RecordGone, SeenRunning, Reattached:
		return false
	default:
		return true
	}
}

// defensive holds the rules that no fact of the model matches, with the reason why
// the table has them.
var defensive = map[string]string{}

func TestExplore(t *testing.T) {
	s := explore()
	for _, i := range s.findTrapped() {
		s.report("no way out", i, "")
	}
	for fault, way := range s.faults {
		t.Errorf("%s:\n\t\t%s", fault, way)
	}
	c := s.measureCoverage()
	for id, used := range c.rules {
		_, known := defensive[id.String()]
		if used == known {
			t.Errorf("rule %q: used %v, listed as defensive %v", id, used, known)
		}
	}
	for id := range c.rules {
		for _, to := range table[id.phase][id.row].to {
			if c.rules[id] && !c.targets[target{id, to}] {
				t.Errorf("rule %q never leads to %s", id, to)
			}
		}
	}
	t.Logf("explored %d states, %d pairs of phase and fact, %d rules, %d transitions, %d pairs of consecutive rules",
		len(s.nodes), len(c.facts), len(c.rules)-len(defensive), c.transitions, len(c.pairs))
}

// coverage is the part of the table that the search has used.
type coverage struct {
	facts       map[phaseFact]bool
	rules       map[ruleID]bool // used or not
	targets     map[target]bool
	pairs       map[[2]ruleID]bool // one directly after the other, or when time has passed
	transitions int
}

type target struct {
	rule ruleID
	to   PhaseKind
}

type phaseFact struct {
	phase PhaseKind
	fact  FactKind
}

func (s *search) measureCoverage() coverage {
	c := coverage{map[phaseFact]bool{}, map[ruleID]bool{}, map[target]bool{}, map[[2]ruleID]bool{}, 0}
	for phase := range table {
		for row := range table[phase] {
			c.rules[ruleID{PhaseKind(phase), row}] = false
		}
	}
	after := s.nextRules()
	type reached struct {
		by ruleID
		at int32
	}
	seen := map[reached]bool{}
	for _, edges := range s.steps {
		for _, e := range edges {
			if e.fact == factCount {
				continue
			}
			c.transitions++
			c.facts[phaseFact{e.rule.phase, e.fact}] = true
			c.rules[e.rule] = true
			c.targets[target{e.rule, s.nodes[e.to].l.Phase()}] = true
			if r := (reached{e.rule, e.to}); !seen[r] {
				seen[r] = true
				for _, next := range after[e.to] {
					c.pairs[[2]ruleID{e.rule, next}] = true
				}
			}
		}
	}
	return c
}

// nextRules returns by node the rules that may apply next, at once or when time has
// passed.
func (s *search) nextRules() [][]ruleID {
	all := make([][]ruleID, len(s.nodes))
	for i, edges := range s.steps {
		rules := map[ruleID]bool{}
		for _, e := range edges {
			if e.fact != factCount {
				rules[e.rule] = true
				continue
			}
			for _, later := range s.steps[e.to] {
				if later.fact != factCount {
					rules[later.rule] = true
				}
			}
		}
		all[i] = slices.Collect(maps.Keys(rules))
	}
	return all
}
