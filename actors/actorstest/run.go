package actorstest

import (
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Epoch is the virtual time at which each test begins.
var Epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Elapsed returns the virtual time since the test began.
func Elapsed() time.Duration { return time.Since(Epoch) }

// Advance lets virtual time pass, and waits until all actors are idle.
func Advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Run runs fn with a new actor system in virtual time. At the end it fails the
// test for all that fn leaves behind: actors and dead letters (CheckEmpty,
// CountDeadLetters). A goroutine that does not return is a deadlock, which
// [synctest.Test] reports.
func Run(t *testing.T, fn func(t *testing.T, system *actor.ActorSystem)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		system := NewSystem()
		deadLetters := CountDeadLetters(system)
		fn(t, system)
		CheckEmpty(t, system)
		if n := deadLetters(); n > 0 {
			t.Errorf("%d dead letters, want 0: messages were sent to actors that had stopped", n)
		}
		system.Shutdown()
	})
}

// Spawn starts an actor as the child of parent, and waits until it is idle. The
// parent gets what the actor sends to its parent, and each answer to what send
// sends. stop stops both; the caller calls it before the test ends.
func Spawn(system *actor.ActorSystem, parent *Probe, props *actor.Props) (send func(msg any), stop func()) {
	var child *actor.PID
	self := system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if _, started := c.Message().(*actor.Started); started {
			child = c.Spawn(props)
		}
		parent.Receive(c)
	}))
	synctest.Wait()
	send = func(msg any) {
		system.Root.RequestWithCustomSender(child, msg, self)
		synctest.Wait()
	}
	stop = func() {
		system.Root.Stop(self)
		synctest.Wait()
	}
	return send, stop
}

// NewSystem returns an actor system that logs nothing.
func NewSystem() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
}

// CountDeadLetters returns a function that returns how many messages found no
// receiver since the call. Not counted are messages whose type implements
// IgnoreDeadLetterLogging, which may come late, and those of the actor library
// itself.
func CountDeadLetters(system *actor.ActorSystem) func() int {
	var n atomic.Int64
	system.EventStream.Subscribe(func(e any) {
		letter, ok := e.(*actor.DeadLetterEvent)
		if !ok {
			return
		}
		switch letter.Message.(type) {
		case actor.IgnoreDeadLetterLogging, actor.SystemMessage, *actor.DeadLetterResponse:
		default:
			n.Add(1)
		}
	})
	return func() int { return int(n.Load()) }
}

// CheckEmpty fails the test if an actor is left a minute after the call. An idle
// actor has no goroutine, so nothing else would show it. A timer that still
// sends to a stopped actor makes a dead letter in that minute.
func CheckEmpty(t testing.TB, system *actor.ActorSystem) {
	t.Helper()
	Advance(time.Minute) // futures (10 s) and the limit of dead letter logging (1 s) expire
	if left := Alive(system); len(left) > 0 {
		t.Errorf("%d actors left behind, want 0: %s", len(left), strings.Join(left, ", "))
	}
}

// Alive returns the names of the actors that have not stopped, sorted, without
// those that each actor system has.
func Alive(system *actor.ActorSystem) (names []string) {
	for _, bucket := range system.ProcessRegistry.LocalPIDs.LocalPIDs {
		for _, id := range bucket.Keys() {
			if id != "eventstream" && id != "deadletter" && !strings.HasPrefix(id, "guardian") {
				names = append(names, id)
			}
		}
	}
	slices.Sort(names)
	return names
}
