package actorstest_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/actors/actorstest"
)

func TestAdvance(t *testing.T) {
	began := time.Now()
	actorstest.Run(t, func(t *testing.T, _ *actor.ActorSystem) {
		if d := actorstest.Elapsed(); d != 0 {
			t.Errorf("a test begins after %v, want 0", d)
		}
		actorstest.Advance(24 * time.Hour)
		if d := actorstest.Elapsed(); d != 24*time.Hour {
			t.Errorf("%v have passed, want 24h", d)
		}
	})
	if took := time.Since(began); took > time.Hour {
		t.Errorf("a virtual day took %v of real time", took)
	}
}

// lateMessage may arrive late.
type lateMessage struct{}

func (lateMessage) IgnoreDeadLetterLogging() {}

func TestCheckEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system := actorstest.NewSystem()
		defer system.Shutdown()
		check := func(t testing.TB) { actorstest.CheckEmpty(t, system) }
		if lines := catchFailures(check); len(lines) != 0 {
			t.Errorf("a new system: %q, want no failure", lines)
		}
		probe := &actorstest.Probe{}
		pid, err := system.Root.SpawnNamed(probe.Props(), "forgotten")
		if err != nil {
			t.Fatal(err)
		}
		if lines := catchFailures(check); len(lines) != 1 || !strings.Contains(lines[0], "1 actors left behind, want 0: forgotten") {
			t.Errorf("with an actor left: %q, want one failure that names it", lines)
		}
		if names := actorstest.Alive(system); !slices.Equal(names, []string{"forgotten"}) {
			t.Errorf("alive are %q, want the one that was spawned", names)
		}
		system.Root.Stop(pid)
		if lines := catchFailures(check); len(lines) != 0 {
			t.Errorf("after the stop: %q, want no failure", lines)
		}
	})
}

func TestCountDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system := actorstest.NewSystem()
		defer system.Shutdown()
		deadLetters := actorstest.CountDeadLetters(system)
		send, stop := actorstest.Spawn(system, &actorstest.Probe{}, (&actorstest.Probe{}).Props())
		send("received")
		stop()
		if n := deadLetters(); n != 0 {
			t.Errorf("%d dead letters before any was sent, want 0", n)
		}
		send("to a stopped actor")
		send(lateMessage{})
		if n := deadLetters(); n != 1 {
			t.Errorf("%d dead letters, want 1: a late message is not counted", n)
		}
		actorstest.CheckEmpty(t, system)
	})
}

func TestSpawn(t *testing.T) {
	actorstest.Run(t, func(t *testing.T, system *actor.ActorSystem) {
		parent := &actorstest.Probe{}
		// The actor sends each message on to its parent, a second later.
		send, stop := actorstest.Spawn(system, parent, actor.PropsFromFunc(func(c actor.Context) {
			if text, ok := c.Message().(string); ok {
				root, to := c.ActorSystem().Root, c.Parent()
				time.AfterFunc(time.Second, func() { root.Send(to, text) })
			}
		}))
		defer stop()
		send("hello")
		if got := parent.Take(); len(got) != 0 {
			t.Errorf("the parent got %v at once, want nothing", got)
		}
		actorstest.Advance(time.Second)
		if text := actorstest.Expect[string](t, parent); text != "hello" {
			t.Errorf("the parent got %q, want hello", text)
		}
	})
}
