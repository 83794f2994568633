package actorstest_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/actors/actorstest"
)

// failures records what a check reports, instead of failing the test.
type failures struct {
	testing.TB
	lines []string
}

func (f *failures) Helper() {}

func (f *failures) Errorf(format string, args ...any) {
	f.lines = append(f.lines, fmt.Sprintf(format, args...))
}

func (f *failures) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}

// catchFailures runs check in a goroutine, which Fatalf may end, and returns what
// it reported.
func catchFailures(check func(t testing.TB)) []string {
	f := &failures{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		check(f)
	}()
	<-done
	return f.lines
}

// double answers a number with twice the number.
func double(c actor.Context, msg any) {
	if n, ok := msg.(int); ok {
		c.Respond(2 * n)
	}
}

func TestProbe(t *testing.T) {
	actorstest.Run(t, func(t *testing.T, system *actor.ActorSystem) {
		parent, child := &actorstest.Probe{}, &actorstest.Probe{Answer: double}
		send, stop := actorstest.Spawn(system, parent, child.Props())
		defer stop()
		send(1)
		actorstest.Advance(time.Hour)
		send("text")
		send(2)

		got := child.Take()
		want := []actorstest.Received{{0, 1}, {time.Hour, "text"}, {time.Hour, 2}}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the probe recorded %v, want %v", got, want)
		}
		if numbers := actorstest.Messages[int](got); fmt.Sprint(numbers) != "[1 2]" {
			t.Errorf("messages of type int: %v, want [1 2]", numbers)
		}
		if answers := actorstest.Messages[int](parent.Take()); fmt.Sprint(answers) != "[2 4]" {
			t.Errorf("the parent got the answers %v, want [2 4]", answers)
		}
		if again := child.Take(); len(again) != 0 {
			t.Errorf("a second Take returned %v, want nothing", again)
		}
	})
}

func TestExpect(t *testing.T) {
	actorstest.Run(t, func(t *testing.T, system *actor.ActorSystem) {
		probe := &actorstest.Probe{}
		send, stop := actorstest.Spawn(system, &actorstest.Probe{}, probe.Props())
		defer stop()
		expectInt := func(t testing.TB) { actorstest.Expect[int](t, probe) }

		if lines := catchFailures(expectInt); len(lines) != 1 || !strings.Contains(lines[0], "0 messages of type int, want 1") {
			t.Errorf("without a message: %q, want one failure that says 0 messages", lines)
		}
		send(1)
		send("text")
		send(2)
		if lines := catchFailures(expectInt); len(lines) != 1 || !strings.Contains(lines[0], "2 messages of type int, want 1") {
			t.Errorf("with two messages: %q, want one failure that says 2 messages", lines)
		}
		if text := actorstest.Expect[string](t, probe); text != "text" {
			t.Errorf("expected message %q, want text", text)
		}
		if left := probe.Take(); len(left) != 2 {
			t.Errorf("%v is left after Expect[string], want the two numbers", left)
		}
	})
}

func TestProbePanics(t *testing.T) {
	actorstest.Run(t, func(t *testing.T, system *actor.ActorSystem) {
		probe := &actorstest.Probe{Answer: func(_ actor.Context, msg any) {
			if msg == "crash" {
				panic("bug")
			}
		}}
		send, stop := actorstest.Spawn(system, &actorstest.Probe{}, probe.Props())
		defer stop()
		send("crash")
		send("next")
		if texts := actorstest.Messages[string](probe.Take()); len(texts) != 2 || texts[1] != "next" {
			t.Errorf("the probe recorded %q; want the message that crashed it and the one after its restart", texts)
		}
	})
}
