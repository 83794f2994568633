package policy

import (
	"math/rand/v2"
	"testing"
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

var epoch = time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)

const minute = time.Minute

// moment returns the moment d after the boot of the host.
func moment(d time.Duration) plugin.Moment {
	return plugin.Moment{Wall: epoch.Add(d), BootID: "b", Uptime: d}
}

func persist(id uint64, name string) plugin.Plugin {
	return plugin.Plugin{ID: id, Name: name, Version: "1.0", Type: plugin.Persist, HeartbeatInterval: minute}
}

func once(id uint64, name string) plugin.Plugin {
	return plugin.Plugin{ID: id, Name: name, Version: "1.0", Type: plugin.Once}
}

// subject is one plugin of a test, with the effects of its last fact.
type subject struct {
	*testing.T
	l       *Lifecycle
	now     plugin.Moment
	seq     uint64
	others  int // restarts of other plugins that are pending
	config  RestartConfig
	effects []Effect // of the last fact
}

func newSubject(t *testing.T, r plugin.RestartRecord) *subject {
	return &subject{
		T: t, l: NewLifecycle(persist(1, "a"), r, 1, epoch), now: moment(time.Hour), seq: 10,
		config: RestartConfig{Stagger: 10 * time.Second, BackoffInitial: time.Second, BackoffMax: 5 * minute, HealthyAfter: minute, OnHang: true},
	}
}

// apply hands facts over, one after the other, and keeps the effects of the
// last one.
func (s *subject) apply(facts ...Fact) *subject {
	s.Helper()
	for _, f := range facts {
		s.seq++
		var err error
		s.effects, err = s.l.Apply(Env{
			Now: s.now, Seq: s.seq, Pending: func() int { return s.others }, Config: s.config, Rand: rand.New(rand.NewPCG(1, 1)),
		}, f)
		if err != nil {
			s.Fatal(err)
		}
	}
	return s
}

func (s *subject) advance(d time.Duration) *subject {
	s.now = s.now.Add(d)
	return s
}

// setClock moves the wall clock alone.
func (s *subject) setClock(d time.Duration) *subject {
	s.now.Wall = s.now.Wall.Add(d)
	return s
}

func (s *subject) want(phase PhaseKind, state plugin.State) *subject {
	s.Helper()
	if s.l.Phase() != phase || s.l.State() != state {
		s.Fatalf("the plugin is %s (%s, %q), want %s (%s)", s.l.State(), s.l.Phase(), s.l.why, state, phase)
	}
	return s
}

// effect returns the last effect of a type.
func effect[E Effect](s *subject) (last E, found bool) {
	for _, e := range s.effects {
		if e, ok := e.(E); ok {
			last, found = e, true
		}
	}
	return last, found
}

// wantSpawn returns the attempt that was made.
func (s *subject) wantSpawn(kind messages.AttemptKind) messages.Attempt {
	s.Helper()
	e, ok := effect[Spawn](s)
	if !ok || e.Attempt.Kind != kind {
		s.Fatalf("no %s is spawned: %+v", kind, s.effects)
	}
	return e.Attempt
}

// wantReport checks the last report; StatusUnknown: there was none.
func (s *subject) wantReport(want plugin.Status) *subject {
	s.Helper()
	if e, _ := effect[Report](s); e.Status != want {
		s.Errorf("reported %s, want %s", e.Status, want)
	}
	return s
}

// The facts that tests use most.
var (
	seenRunning = Fact{Kind: SeenRunning, Scan: true}
	seenDead    = Fact{Kind: SeenDead, Scan: true, Cause: "--status: exit 3"}
	begun       = Fact{Kind: AttemptBegun}
	cancelled   = Fact{Kind: AttemptCancelled}
	startFails  = Fact{Kind: StartFailed, Cause: "start: exit 3", Probe: plugin.Probe{Status: plugin.StatusFailed}}
	stopFails   = Fact{Kind: StopFailed, Cause: "still running after stop", Probe: plugin.Probe{Status: plugin.StatusRunning}}
	operStart   = Fact{Kind: OperatorStart, Cause: "started by an operator"}
	operStop    = Fact{Kind: OperatorStop, Cause: "stopped by an operator"}
	operRestart = Fact{Kind: OperatorRestart, Cause: "restarted by an operator"}
	granted     = Fact{Kind: ChangeGranted, Change: plugin.Change{ID: 5, Name: "a", Version: "2.0"}}
)

func (s *subject) startSucceeds(run uint64) Fact {
	return Fact{Kind: StartSucceeded, At: s.now, Outcome: plugin.Outcome{RunID: run, Processes: daemon}, Probe: plugin.Probe{Status: plugin.StatusRunning}}
}

func exitOf(run uint64) Fact {
	return Fact{Kind: Exited, Exit: plugin.Exit{RunID: run, CauseKnown: true, Code: 3, At: epoch}}
}

func (s *subject) completed(done plugin.ChangeResult) Fact {
	return Fact{Kind: ChangeCompleted, At: s.now, Change: granted.Change, Result: done}
}

// newRunning returns a plugin that is running and healthy.
func newRunning(t *testing.T) *subject {
	s := newSubject(t, plugin.RestartRecord{})
	return s.apply(seenDead, begun, s.startSucceeds(1)).advance(2 * minute).apply(seenRunning)
}

func version2() plugin.Plugin {
	p := persist(1, "a")
	p.Version = "2.0"
	return p
}

func TestStaleAnswers(t *testing.T) {
	s := newSubject(t, plugin.RestartRecord{}) // listed by order 1, facts begin with 11
	s.apply(seenRunning)
	if s.l.IsStaleProbe(5, "1.0") {
		t.Error("EV-26 a check makes no answer stale")
	}
	s.apply(exitOf(1)) // 12
	if !s.l.IsStaleProbe(5, "1.0") || s.l.IsStaleProbe(12, "1.0") || !s.l.IsStaleProbe(12, "0.9") {
		t.Error("EV-26 a --status asked before an exit, or of another version, is stale")
	}
	if s.l.IsStaleRecord(1) || !s.l.IsStaleRecord(0) {
		t.Error("EV-26 a list that is older than the one that has the plugin is stale")
	}
	s.apply(Fact{Kind: Recorded, Plugin: version2(), Gen: 8})
	if !s.l.IsStaleRecord(7) || s.l.IsStaleRecord(8) {
		t.Error("EV-26 a list that is older than the one that has another version is stale")
	}
	s.apply(cancelled, granted) // 14, 15
	s.apply(cancelled, s.completed(plugin.ChangeResult{Plugin: version2(), Status: plugin.StatusRunning}))
	if !s.l.IsStaleRecord(16) || !s.l.IsStaleProbe(16, "2.0") || s.l.IsStaleRecord(18) {
		t.Error("EV-26 a list asked for before the end of a change is stale")
	}
}
