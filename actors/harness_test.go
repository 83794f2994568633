package actors

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"pluginsupervisor/plugin"
)

// ------------------------------------------------------------------ probe --

// probeActor is a stand-in: it records every user message with its virtual
// time and may answer.
type probeActor struct {
	mu   sync.Mutex
	got  []seen
	then func(c actor.Context, m any)
}

type seen struct {
	at  time.Time
	msg any
}

func (p *probeActor) Receive(c actor.Context) {
	switch c.Message().(type) {
	case *actor.Started, *actor.Stopping, *actor.Stopped, *actor.Restarting:
		return
	}
	p.mu.Lock()
	p.got = append(p.got, seen{time.Now(), c.Message()})
	p.mu.Unlock()
	if p.then != nil {
		p.then(c, c.Message())
	}
}

func (p *probeActor) props() *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return p }, withPanicLogging)
}

// take waits until everybody is idle and hands over what was recorded.
func (p *probeActor) take() []seen {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.got
	p.got = nil
	return got
}

func of[T any](all []seen) (ms []T) {
	for _, s := range all {
		if m, ok := s.msg.(T); ok {
			ms = append(ms, m)
		}
	}
	return ms
}

// ----------------------------------------------------------------- bubble --

// testConfig has no randomness in its first runs and staggers nothing.
func testConfig() Config {
	cfg := DefaultConfig()
	cfg.FirstRun = FirstRun{Scan: time.Minute, Pull: 3 * time.Minute, Update: 1000 * time.Hour, Inventory: 1000 * time.Hour}
	cfg.Restart.Stagger = 0
	cfg.LocalArch, cfg.LocalOS = "x64", "linux"
	return cfg
}

func (w *world) ports() Ports {
	log := logrus.New()
	log.SetOutput(io.Discard)
	p := Ports{
		Manager: w, Heartbeats: w, ControlPlane: w, Memory: w, Clock: w,
		Rand: rand.New(rand.NewPCG(1, 2)), Log: log,
	}
	if w.watched != nil {
		p.Watcher, p.HeartbeatEvents = exits{w}, pulses{w}
	}
	if w.others != nil {
		p.OtherPrograms = w.others
	}
	return p
}

// inBubble runs fn against a supervisor in virtual time, drains it, and
// proves that nothing is left of it.
func inBubble(t *testing.T, w *world, cfg Config, fn func(t *testing.T, s *System)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, err := Start(cfg, w.saved, w.ports())
		if err != nil {
			t.Fatal(err)
		}
		fn(t, s)
		drainAll(t, s)
	})
}

// pass lets virtual time pass, and everybody finish what it brings.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func drainAll(t *testing.T, s *System) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Drain(ctx); err != nil {
		t.Error(err)
	}
	time.Sleep(time.Minute) // futures (10 s) and dead letter throttles (1 s) run out
	synctest.Wait()
	if left := alive(s.actors); len(left) > 0 {
		t.Errorf("actors left behind: %v", left)
	}
}

// bareBubble runs fn on a bare actor system in virtual time.
func bareBubble(t *testing.T, fn func(t *testing.T, sys *actor.ActorSystem)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &System{done: make(chan struct{})}
		s.actors = quietSystem()
		fn(t, s.actors)
		pass(time.Minute)
		synctest.Wait()
		if left := alive(s.actors); len(left) > 0 {
			t.Errorf("actors left behind: %v", left)
		}
		s.actors.Shutdown()
	})
}

func alive(sys *actor.ActorSystem) (ids []string) {
	for _, b := range sys.ProcessRegistry.LocalPIDs.LocalPIDs {
		for _, id := range b.Keys() {
			if id != "eventstream" && id != "deadletter" && !strings.HasPrefix(id, "guardian") {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// status asks the running supervisor.
func status(t *testing.T, s *System) plugin.Snapshot {
	t.Helper()
	synctest.Wait()
	got, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func view(t *testing.T, s *System, name string) plugin.View {
	t.Helper()
	for _, v := range status(t, s).Plugins {
		if v.Name == name {
			return v
		}
	}
	t.Fatalf("no plugin %s in status\n%s", name, debug.Stack())
	return plugin.View{}
}

func wantState(t *testing.T, s *System, name string, want plugin.State) {
	t.Helper()
	if v := view(t, s, name); v.State != want {
		t.Errorf("%s is %s (%s), want %s", name, v.State, v.Why, want)
	}
}

func wantReports(t *testing.T, got []sentReport, want ...string) {
	t.Helper()
	if !slices.Equal(shorts(got), want) {
		t.Errorf("reports %q, want %q", shorts(got), want)
	}
}

func intervals(scan, pull time.Duration) func(int) (plugin.Answer, error) {
	return func(int) (plugin.Answer, error) {
		return plugin.Answer{ScanInterval: scan, PullInterval: pull}, nil
	}
}

func quietSystem() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
}

const minute = time.Minute
