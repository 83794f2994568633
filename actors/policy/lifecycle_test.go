package policy

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

var epoch = time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)

const minute = time.Minute

// moment is that long after the host was booted.
func moment(d time.Duration) plugin.Moment {
	return plugin.Moment{Wall: epoch.Add(d), Boot: "b", Uptime: d}
}

func persist(id uint64, name string) plugin.Plugin {
	return plugin.Plugin{ID: id, Name: name, Version: "1.0", Type: plugin.Persist, HeartbeatInterval: minute}
}

func once(id uint64, name string) plugin.Plugin {
	return plugin.Plugin{ID: id, Name: name, Version: "1.0", Type: plugin.Once}
}

// subject is one plugin of a test, and what its facts led to.
type subject struct {
	*testing.T
	l       *Lifecycle
	now     plugin.Moment
	seq     uint64
	others  int // restarts of other plugins that are pending
	config  RestartConfig
	effects []Effect // of the last fact
}

func newSubject(t *testing.T, r plugin.Restarts) *subject {
	return &subject{
		T: t, l: NewLifecycle(persist(1, "a"), r, 1, epoch), now: moment(time.Hour), seq: 10,
		config: RestartConfig{Stagger: 10 * time.Second, BackoffInitial: time.Second, BackoffMax: 5 * minute, HealthyAfter: minute, OnHang: true},
	}
}

// tell hands facts over, one after the other, and keeps the effects of the
// last one.
func (s *subject) tell(facts ...Fact) *subject {
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

func (s *subject) pass(d time.Duration) *subject {
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
		s.Fatalf("it is %s (%s, %q), want %s (%s)", s.l.State(), s.l.Phase(), s.l.why, state, phase)
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

// spawned returns the attempt that was made.
func (s *subject) spawned(kind messages.Kind) messages.Attempt {
	s.Helper()
	e, ok := effect[Spawn](s)
	if !ok || e.Attempt.Kind != kind {
		s.Fatalf("no %s is spawned: %+v", kind, s.effects)
	}
	return e.Attempt
}

// reported checks the last report; StatusUnknown: there was none.
func (s *subject) reported(want plugin.Status) *subject {
	s.Helper()
	if e, _ := effect[Report](s); e.Status != want {
		s.Errorf("reported %s, want %s", e.Status, want)
	}
	return s
}

// The facts that tests tell most.
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

func (s *subject) starts(run uint64) Fact {
	return Fact{Kind: StartSucceeded, At: s.now, Outcome: plugin.Outcome{Life: run, Processes: daemon}, Probe: plugin.Probe{Status: plugin.StatusRunning}}
}

func exits(run uint64) Fact {
	return Fact{Kind: Exited, Exit: plugin.Exit{Life: run, Known: true, Code: 3, At: epoch}}
}

func (s *subject) completed(done plugin.Changed) Fact {
	return Fact{Kind: ChangeCompleted, At: s.now, Change: granted.Change, Changed: done}
}

func version2() plugin.Plugin {
	p := persist(1, "a")
	p.Version = "2.0"
	return p
}

func TestRestartDecisions(t *testing.T) {
	healthy := func(t *testing.T) *subject {
		s := newSubject(t, plugin.Restarts{})
		s.tell(seenDead, begun, s.starts(1)).pass(2 * minute).tell(seenRunning)
		return s.want(Running, plugin.StateRunning)
	}
	t.Run("RS-01 SC-14 not running: started after a random part of the stagger", func(t *testing.T) {
		s := newSubject(t, plugin.Restarts{}).tell(seenDead).want(Waiting, plugin.StateStarting).reported(plugin.StatusUnknown)
		if a := s.spawned(messages.KindStart); a.After <= 0 || a.After >= 10*time.Second || !a.Check {
			t.Errorf("%+v", a)
		}
	})
	t.Run("EV-05 an exit after healthy time: at once, and no word of it", func(t *testing.T) {
		s := healthy(t).tell(exits(1)).want(Waiting, plugin.StateStarting).reported(plugin.StatusUnknown)
		if a := s.spawned(messages.KindStart); a.After != 0 {
			t.Errorf("%+v", a)
		}
	})
	t.Run("EV-05 with others: spread over 50 ms for each, never beyond the stagger", func(t *testing.T) {
		for others, most := range map[int]time.Duration{4: 200 * time.Millisecond, 1000: 10 * time.Second} {
			s := healthy(t)
			s.others = others
			if a := s.tell(exits(1)).spawned(messages.KindStart); a.After <= 0 || a.After >= most {
				t.Errorf("%d others: after %v", others, a.After)
			}
		}
	})
	t.Run("EV-05 the first exit since first started is not backed off, the next are", func(t *testing.T) {
		s := newSubject(t, plugin.Restarts{})
		s.tell(seenDead, begun, s.starts(1), exits(1)).want(Waiting, plugin.StateStarting)
		s.tell(begun, s.starts(2), exits(2)).want(Waiting, plugin.StateCrashLoop).reported(plugin.StatusFailed)
		if a := s.spawned(messages.KindStart); a.After < 800*time.Millisecond || !a.Check {
			t.Errorf("%+v", a)
		}
	})
	t.Run("RS-05 healthy time forgets failures, a mere start does not", func(t *testing.T) {
		s := newSubject(t, plugin.Restarts{})
		s.tell(seenDead, begun, startFails, begun, startFails, begun, s.starts(1), seenRunning)
		if s.l.Record.Failures != 2 {
			t.Errorf("failures %d", s.l.Record.Failures)
		}
		s.pass(minute).tell(Fact{Kind: HealthyDue}, seenRunning)
		if _, ok := effect[Recovered](s); !ok || s.l.Record.Failures != 0 {
			t.Errorf("failures %d", s.l.Record.Failures)
		}
	})
	t.Run("RS-06 RS-07 a failed start is reported and tried again", func(t *testing.T) {
		s := newSubject(t, plugin.Restarts{}).tell(seenDead, begun, startFails).want(Waiting, plugin.StateCrashLoop).reported(plugin.StatusFailed)
		if a := s.spawned(messages.KindStart); a.After < 800*time.Millisecond || a.After > 1200*time.Millisecond {
			t.Errorf("%+v", a)
		}
	})
	t.Run("EV-05 an exit while the --status after a start is asked", func(t *testing.T) {
		s := healthy(t)
		s.tell(exits(1), begun, exits(2)).want(Working, plugin.StateStarting)
		s.tell(s.starts(2)).want(Waiting, plugin.StateCrashLoop).reported(plugin.StatusFailed)
	})
	t.Run("EV-05 an exit of an earlier run changes nothing", func(t *testing.T) {
		s := healthy(t)
		s.tell(exits(1), begun, s.starts(2)).tell(exits(1)).want(Running, plugin.StateRunning)
	})
	t.Run("EV-10 the cause is known later", func(t *testing.T) {
		s := healthy(t).tell(Fact{Kind: Exited, Exit: plugin.Exit{Life: 1}})
		s.tell(Fact{Kind: ExitExplained, Exit: plugin.Exit{Life: 1, Known: true, Signal: "SIGKILL"}})
		if v := s.l.View(plugin.WatchCgroup); v.Why != "killed by SIGKILL" || s.l.Record.Cause != v.Why {
			t.Errorf("why %q, saved %q", v.Why, s.l.Record.Cause)
		}
	})
	t.Run("RS-09 another version is recorded while its start waits", func(t *testing.T) {
		s := newSubject(t, plugin.Restarts{}).tell(seenDead, Fact{Kind: Recorded, Plugin: version2()}).want(Cancelling, plugin.StateStarting)
		if a := s.tell(cancelled).spawned(messages.KindStart); a.Plugin.Version != "2.0" {
			t.Errorf("%+v", a)
		}
	})
	t.Run("RS-09 … and while an operator's restart waits", func(t *testing.T) {
		s := healthy(t).tell(operRestart, Fact{Kind: Recorded, Plugin: version2()}).want(Cancelling, plugin.StateStarting)
		if a := s.tell(cancelled).spawned(messages.KindRestart); a.Plugin.Version != "2.0" {
			t.Errorf("%+v", a)
		}
	})
	t.Run("RS-09 found running while its start waits: not started", func(t *testing.T) {
		s := newSubject(t, plugin.Restarts{}).tell(seenDead, seenRunning).want(Cancelling, plugin.StateRunning).reported(plugin.StatusRunning)
		s.tell(cancelled).want(Running, plugin.StateRunning)
	})
	t.Run("ST-10 a duplicate is probed and never started", func(t *testing.T) {
		s := newSubject(t, plugin.Restarts{})
		s.l.Plugin.Duplicate = true
		s.tell(seenRunning).want(Running, plugin.StateRunning)
		s.tell(seenDead).want(Installed, plugin.StateInstalled)
	})
	t.Run("EV-12 a command ends a crash loop, and the move says so", func(t *testing.T) {
		s := newSubject(t, plugin.Restarts{}).tell(seenDead, begun, startFails).want(Waiting, plugin.StateCrashLoop)
		s.tell(operStart).want(Cancelling, plugin.StateStarting)
		if m, _ := effect[Moved](s); m.From != plugin.StateCrashLoop || m.To != plugin.StateStarting {
			t.Errorf("%+v", m)
		}
	})
}

func TestAdoption(t *testing.T) {
	up := plugin.Restarts{Up: moment(0), Last: moment(0), Processes: daemon}
	adopted := Fact{Kind: Adopted, Run: 1, Processes: daemon}
	t.Run("EV-07 what runs goes on running", func(t *testing.T) {
		newSubject(t, up).tell(adopted).want(Running, plugin.StateRunning).tell(seenRunning).want(Running, plugin.StateRunning)
	})
	t.Run("EV-07 a start under way gets the plugin's deadline, and is no failure", func(t *testing.T) {
		s := newSubject(t, up).tell(adopted, seenDead).want(Waiting, plugin.StateStarting)
		if a := s.spawned(messages.KindStart); a.After != 0 || s.l.Record.Failures != 0 {
			t.Errorf("%+v, %d failures", a, s.l.Record.Failures)
		}
	})
	t.Run("EV-09 what ended meanwhile is restarted, after it was asked", func(t *testing.T) {
		s := newSubject(t, up).tell(Fact{Kind: ExitMissed, Run: 1}).want(Waiting, plugin.StateStarting)
		if a := s.spawned(messages.KindStart); a.After != 0 || !a.Check || !a.Doubt {
			t.Errorf("%+v", a)
		}
	})
	t.Run("RS-05 the failures of the process before count", func(t *testing.T) {
		failed := up
		failed.Failures = 2
		s := newSubject(t, failed).tell(adopted, exits(1)).want(Waiting, plugin.StateCrashLoop)
		if s.l.Record.Failures != 3 {
			t.Errorf("failures %d", s.l.Record.Failures)
		}
	})
	t.Run("EV-07 the start lies in the future", func(t *testing.T) {
		future := up
		future.Up = plugin.Moment{Wall: epoch.Add(10 * time.Hour)}
		s := newSubject(t, future).tell(adopted)
		if !s.l.Record.Up.Equal(s.now) {
			t.Errorf("up since %v", s.l.Record.Up.Wall)
		}
	})
}

func TestStop(t *testing.T) {
	running := func(t *testing.T) *subject { return newSubject(t, plugin.Restarts{}).tell(seenRunning) }
	t.Run("EV-14 saved on the disk, then stopped, reported as failed", func(t *testing.T) {
		s := running(t).tell(operStop).want(Stopping, plugin.StateStopping)
		if e, ok := effect[Save](s); !ok || !e.Sync || !s.l.Record.StopPending {
			t.Errorf("%+v %+v", e, s.l.Record)
		}
		s.tell(begun, Fact{Kind: StopSucceeded}).want(Stopped, plugin.StateStopped).reported(plugin.StatusFailed)
		if s.l.Record.StopPending || !s.l.Record.Stopped {
			t.Errorf("%+v", s.l.Record)
		}
		s.tell(seenDead, exits(1)).want(Stopped, plugin.StateStopped)
	})
	t.Run("EV-14 a failed stop is tried again, ever later", func(t *testing.T) {
		s := running(t).tell(operStop)
		before := time.Duration(0)
		for range 4 {
			a := s.tell(begun, stopFails).want(Stopping, plugin.StateStopping).reported(plugin.StatusRunning).spawned(messages.KindStop)
			if a.After <= before {
				t.Errorf("after %v, before %v", a.After, before)
			}
			before = a.After
		}
		s.tell(seenDead).want(Cancelling, plugin.StateStopped).tell(cancelled).want(Stopped, plugin.StateStopped)
	})
	t.Run("EV-14 one that an earlier process accepted is carried out when it runs", func(t *testing.T) {
		for name, f := range map[string]Fact{"adopted": {Kind: Adopted, Run: 1, Processes: daemon}, "scanned": seenRunning} {
			s := newSubject(t, plugin.Restarts{Stopped: true, StopPending: true, Up: moment(0), Processes: daemon})
			s.tell(f).want(Stopping, plugin.StateStopping)
			if a := s.spawned(messages.KindStop); a.After != 0 {
				t.Errorf("%s: %+v", name, a)
			}
		}
	})
	t.Run("EV-14 also from a record of an earlier version", func(t *testing.T) {
		if s := newSubject(t, plugin.Restarts{Stopped: true, Up: moment(0)}); !s.l.Record.StopPending {
			t.Error("its stop was not carried out")
		}
	})
	t.Run("EV-14 started by another program after the stop: accepted, also in the next process", func(t *testing.T) {
		for name, s := range map[string]*subject{
			"same process": running(t).tell(operStop, begun, Fact{Kind: StopSucceeded}),
			"next process": newSubject(t, plugin.Restarts{Stopped: true}),
		} {
			s.tell(seenRunning).want(Running, plugin.StateRunning).reported(plugin.StatusRunning)
			if e, ok := effect[Save](s); !ok || !e.Sync || s.l.Record.Stopped {
				t.Errorf("%s: %+v", name, s.l.Record)
			}
		}
	})
	t.Run("RS-09 while a start runs: cancelled first", func(t *testing.T) {
		s := newSubject(t, plugin.Restarts{}).tell(seenDead, begun, operStop).want(Cancelling, plugin.StateStopping)
		if e, ok := effect[Cancel](s); !ok || !e.Begun {
			t.Errorf("%+v", e)
		}
		s.tell(cancelled).want(Stopping, plugin.StateStopping)
	})
}

func TestRecordGone(t *testing.T) {
	gone := Fact{Kind: RecordGone}
	t.Run("SC-17 what is pending of it becomes REMOVED, and it is forgotten", func(t *testing.T) {
		s := newSubject(t, plugin.Restarts{}).tell(seenRunning, gone).want(Removed, plugin.StateRemoved).reported(plugin.StatusUnknown)
		_, pending := effect[ReportGone](s)
		_, forgotten := effect[Forget](s)
		if _, saved := effect[Save](s); !pending || !forgotten || saved {
			t.Errorf("%+v", s.effects)
		}
	})
	t.Run("SC-17 the end of its attempt is not reported", func(t *testing.T) {
		for _, end := range []Fact{cancelled, startFails, {Kind: StartSucceeded}} {
			s := newSubject(t, plugin.Restarts{}).tell(seenDead, begun, gone).want(Cancelling, plugin.StateRemoved)
			s.tell(end).want(Removed, plugin.StateRemoved).reported(plugin.StatusUnknown)
		}
	})
	t.Run("SC-17 a command while it leaves starts nothing", func(t *testing.T) {
		newSubject(t, plugin.Restarts{}).tell(seenDead, gone, operStart, cancelled).want(Removed, plugin.StateRemoved)
	})
	t.Run("EV-14 a record that comes back does not start what was stopped", func(t *testing.T) {
		s := newSubject(t, plugin.Restarts{}).tell(seenRunning, operStop, gone, Fact{Kind: Recorded, Plugin: persist(1, "a")})
		s.tell(cancelled).want(Stopping, plugin.StateStopping)
	})
	t.Run("a plugin that is no longer Persist is forgotten", func(t *testing.T) {
		newSubject(t, plugin.Restarts{}).tell(seenRunning, Fact{Kind: Recorded, Plugin: once(1, "a")}).want(Removed, plugin.StateRemoved)
	})
}

func TestStaleAnswers(t *testing.T) {
	s := newSubject(t, plugin.Restarts{}) // listed by order 1, facts begin with 11
	s.tell(seenRunning)
	if s.l.StaleProbe(5, "1.0") {
		t.Error("EV-26 a mere look is no newer knowledge")
	}
	s.tell(exits(1)) // 12
	if !s.l.StaleProbe(5, "1.0") || s.l.StaleProbe(12, "1.0") || !s.l.StaleProbe(12, "0.9") {
		t.Error("EV-26 a --status asked before an exit, or of another version, is stale")
	}
	if s.l.StaleRecord(1) || !s.l.StaleRecord(0) {
		t.Error("EV-26 a list that is older than the one that has the plugin is stale")
	}
	s.tell(Fact{Kind: Recorded, Plugin: version2(), Gen: 8})
	if !s.l.StaleRecord(7) || s.l.StaleRecord(8) {
		t.Error("EV-26 a list that is older than the one that has another version is stale")
	}
	s.tell(cancelled, granted) // 14, 15
	s.tell(cancelled, s.completed(plugin.Changed{Plugin: version2(), Status: plugin.StatusRunning}))
	if !s.l.StaleRecord(16) || !s.l.StaleProbe(16, "2.0") || s.l.StaleRecord(18) {
		t.Error("EV-26 a list asked for before the end of a change is stale")
	}
}

func TestProcesses(t *testing.T) {
	running := []plugin.Process{{PID: 7, Born: 1, Boot: "b"}}
	s := newSubject(t, plugin.Restarts{}).tell(seenRunning, Fact{Kind: ProcessesSeen, Run: 3, Processes: running})
	if v := s.l.View(plugin.WatchCgroup); len(v.PIDs) != 1 {
		t.Errorf("not taken over: %+v", v)
	}
	s.tell(exits(3), Fact{Kind: Adopted, Run: 2, Processes: running})
	if v := s.l.View(plugin.WatchCgroup); len(v.PIDs) != 0 {
		t.Errorf("processes of an earlier run are taken for those of this one: %+v", v)
	}
}

func TestTimersOfAPluginThatLeaves(t *testing.T) {
	s := newSubject(t, plugin.Restarts{}).tell(seenRunning, Fact{Kind: RecordGone})
	stopped := map[TimerKind]bool{}
	for _, e := range s.effects {
		if d, ok := e.(Disarm); ok {
			stopped[d.Timer] = true
		}
	}
	if !stopped[TimerHealthy] || !stopped[TimerSilence] || !stopped[TimerRefresh] {
		t.Errorf("timers that go on: effects %v", s.effects)
	}
}

func TestUnexpected(t *testing.T) {
	has := map[PhaseKind][]FactKind{}
	for phase := range table {
		for _, r := range table[phase] {
			has[PhaseKind(phase)] = append(has[PhaseKind(phase)], r.on)
		}
	}
	for phase, subject := range map[PhaseKind]*Lifecycle{
		Installed:  newSubject(t, plugin.Restarts{}).l,
		Waiting:    newSubject(t, plugin.Restarts{}).tell(seenDead).l,
		Running:    newSubject(t, plugin.Restarts{}).tell(seenRunning).l,
		Stopped:    newSubject(t, plugin.Restarts{Stopped: true}).l,
		Changing:   newSubject(t, plugin.Restarts{}).tell(granted).l,
		Removed:    NewAbsent(persist(1, "a"), epoch),
		Working:    newSubject(t, plugin.Restarts{}).tell(seenDead, begun).l,
		Degraded:   newSubject(t, plugin.Restarts{}).tell(seenRunning, Fact{Kind: HealthFailed}).l,
		Stopping:   newSubject(t, plugin.Restarts{}).tell(operStop).l,
		Cancelling: newSubject(t, plugin.Restarts{}).tell(seenDead, operStop).l,
	} {
		for f := range factCount {
			if slices.Contains(has[phase], f) {
				continue
			}
			before := *subject
			effects, err := subject.Apply(Env{Now: moment(time.Hour), Seq: 99}, Fact{Kind: f})
			var unexpected *Unexpected
			if !errors.As(err, &unexpected) || unexpected.Phase != phase || unexpected.Fact != f || len(effects) != 0 {
				t.Errorf("%s in %s: %v %v", f, phase, effects, err)
			}
			if !sameRecord(before.Record, subject.Record) || before.phase != subject.phase || before.factAt != subject.factAt {
				t.Errorf("%s in %s changed something", f, phase)
			}
		}
	}
}
