package actors

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// withRestarter runs fn with one Restarter, whose parent grants it a slot when
// grant says so.
func withRestarter(t *testing.T, w *world, a messages.Attempt, grant func(request any) bool, fn func(t *testing.T, parent *probeActor, order func(m any))) {
	t.Helper()
	bareBubble(t, func(t *testing.T, sys *actor.ActorSystem) {
		var child *actor.PID
		parent := &probeActor{}
		parent.then = func(c actor.Context, m any) {
			switch m.(type) {
			case string:
				child = c.Spawn(newRestarter(a, w, w))
			case messages.SlotRequested, messages.CheckRequested:
				if grant(m) {
					c.Send(child, messages.SlotGranted{Attempt: a.ID})
				}
			}
		}
		self := sys.Root.Spawn(parent.props())
		sys.Root.Send(self, "spawn")
		synctest.Wait()
		fn(t, parent, func(m any) {
			sys.Root.RequestWithCustomSender(child, m, self)
			synctest.Wait()
		})
		_ = sys.Root.StopFuture(self).Wait()
	})
}

func always(any) bool { return true }
func never(any) bool  { return false }

// starts grants a slot for the verb, and none for the check after it.
func starts(request any) bool {
	_, start := request.(messages.SlotRequested)
	return start
}

// of7 returns attempt 7, which does not wait.
func of7(kind messages.AttemptKind) messages.Attempt {
	return messages.Attempt{ID: 7, Plugin: persist(1, "a"), Kind: kind}
}

// start7 returns attempt 7 that starts the plugin after 5 s.
func start7() messages.Attempt {
	a := of7(messages.KindStart)
	a.Delay = 5 * time.Second
	return a
}

func TestRestarter(t *testing.T) {
	a := start7()
	t.Run("RS-01 RS-03 asks for its slot when the wait is over, again for the check, and reports", func(t *testing.T) {
		w := deadWorld("a")
		w.startTime["a"] = 3 * time.Second
		withRestarter(t, w, a, always, func(t *testing.T, parent *probeActor, _ func(any)) {
			pass(10 * time.Second)
			var order []string
			for _, s := range parent.take() {
				switch m := s.msg.(type) {
				case messages.SlotRequested:
					order = append(order, "slot requested at "+s.at.Sub(epoch).String())
				case messages.SlotReturned:
					order = append(order, "slot returned at "+s.at.Sub(epoch).String())
				case messages.CheckRequested:
					order = append(order, "check requested at "+s.at.Sub(epoch).String())
				case messages.RestartSucceeded:
					order = append(order, "succeeded at "+s.at.Sub(epoch).String())
					if m.Attempt != 7 || m.Key != "a" || m.Probe.Status != plugin.StatusRunning {
						t.Errorf("succeeded %+v", m)
					}
				}
			}
			want := []string{"slot requested at 5s", "slot returned at 6s", "check requested at 8s", "succeeded at 8s"}
			if !slices.Equal(order, want) {
				t.Errorf("got %q, want %q", order, want)
			}
		})
	})
	t.Run("RS-03 checks without a slot when it gets none within 10 s", func(t *testing.T) {
		w := deadWorld("a")
		w.startTime["a"] = 100 * time.Millisecond
		withRestarter(t, w, a, starts, func(t *testing.T, parent *probeActor, _ func(any)) {
			pass(15 * time.Second)
			if n := w.count("--status", "a"); n != 0 {
				t.Errorf("%d checks before its slot", n)
			}
			pass(time.Second)
			got := parent.take()
			returned, ended := of[messages.SlotReturned](got), of[messages.RestartSucceeded](got)
			if len(returned) != 1 || len(ended) != 1 || w.count("--status", "a") != 1 {
				t.Errorf("got %v", got)
			}
		})
	})
	t.Run("RS-03 does nothing without its slot", func(t *testing.T) {
		w := deadWorld("a")
		withRestarter(t, w, a, never, func(t *testing.T, _ *probeActor, _ func(any)) {
			pass(time.Hour)
			if n := w.count("--start", "a"); n != 0 {
				t.Errorf("%d starts", n)
			}
		})
	})
}

func TestRestarterConfirms(t *testing.T) {
	a := start7()
	t.Run("RS-06 a start is confirmed, whatever its outcome, a stop is checked", func(t *testing.T) {
		for kind, want := range map[messages.AttemptKind]int{messages.KindStart: 1, messages.KindRestart: 1, messages.KindStop: 0} {
			w := deadWorld("a")
			w.starts = func(string) bool { return false }
			withRestarter(t, w, of7(kind), always, func(t *testing.T, _ *probeActor, _ func(any)) {
				if n := w.count("confirm start", "a"); n != want {
					t.Errorf("%s: confirmed %d times, want %d", kind, n, want)
				}
				if n := w.count("--status", "a"); n != 1 {
					t.Errorf("%s: %d runs of --status", kind, n)
				}
			})
		}
	})
	t.Run("RS-06 a confirmation that takes long gives its slot back", func(t *testing.T) {
		w := deadWorld("a")
		w.probeTime["a"] = 4400 * time.Millisecond
		withRestarter(t, w, of7(messages.KindStart), always, func(t *testing.T, parent *probeActor, _ func(any)) {
			pass(4 * time.Second)
			if got := parent.take(); len(of[messages.SlotReturned](got)) != 1 || len(of[messages.RestartSucceeded](got)) != 0 {
				t.Errorf("got %v", got)
			}
			pass(time.Second)
			if got := of[messages.RestartSucceeded](parent.take()); len(got) != 1 {
				t.Errorf("succeeded %v", got)
			}
		})
	})
	t.Run("RS-06 RS-07 a failed start says why", func(t *testing.T) {
		w := deadWorld("a")
		w.starts = func(string) bool { return false }
		withRestarter(t, w, a, always, func(t *testing.T, parent *probeActor, _ func(any)) {
			pass(time.Minute)
			got := of[messages.RestartFailed](parent.take())
			if len(got) != 1 || got[0].Cause != "start: exit 3" || got[0].Probe.Status != plugin.StatusFailed {
				t.Errorf("failed %+v", got)
			}
		})
	})
	t.Run("RS-06 a stop that leaves it running has failed", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.says = map[string]plugin.Status{"a": plugin.StatusRunning}
		withRestarter(t, w, of7(messages.KindStop), always, func(t *testing.T, parent *probeActor, _ func(any)) {
			got := of[messages.RestartFailed](parent.take())
			if len(got) != 1 || got[0].Kind != messages.KindStop || got[0].Cause != "still running after stop" {
				t.Errorf("failed %+v", got)
			}
		})
	})
}

func TestRestarterFindsItRunning(t *testing.T) {
	t.Run("EV-07 running already: not started, and with a doubt asked for 2 s before that is believed", func(t *testing.T) {
		for doubt, want := range map[bool]time.Duration{false: 0, true: confirmFor} {
			w := newWorld(persist(1, "a"))
			attempt := messages.Attempt{ID: 7, Plugin: persist(1, "a"), Kind: messages.KindStart, Delay: time.Second, CheckFirst: true, ConfirmRunning: doubt}
			withRestarter(t, w, attempt, always, func(t *testing.T, parent *probeActor, _ func(any)) {
				pass(time.Minute)
				got := parent.take()
				ended := of[messages.RestartSucceeded](got)
				if len(ended) != 1 || !ended[0].Outcome.Skipped || w.count("--start", "a") != 0 {
					t.Fatalf("doubt %v: got %v", doubt, got)
				}
				if took := ended[0].At.Sub(epoch) - time.Second; took != want {
					t.Errorf("doubt %v: believed after %v, want %v", doubt, took, want)
				}
			})
		}
	})
	t.Run("EV-07 a doubt that is right: started", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		attempt := messages.Attempt{ID: 7, Plugin: persist(1, "a"), Kind: messages.KindStart, Delay: time.Second, CheckFirst: true, ConfirmRunning: true}
		withRestarter(t, w, attempt, always, func(t *testing.T, parent *probeActor, _ func(any)) {
			pass(1600 * time.Millisecond)
			w.set(func() { w.running["a"] = false })
			pass(time.Minute)
			if n := w.count("--start", "a"); n != 1 || len(of[messages.RestartSucceeded](parent.take())) != 1 {
				t.Errorf("did %v", w.did)
			}
		})
	})
}

func TestRestarterCancelled(t *testing.T) {
	a := start7()
	for name, test := range map[string]struct {
		after   time.Duration
		grant   func(any) bool
		started int
	}{
		"it waits": {time.Second, never, 0}, "it asks for a slot": {6 * time.Second, never, 0}, "its verb runs": {6 * time.Second, always, 1},
	} {
		t.Run("RS-09 RS-10 cancelled while "+name, func(t *testing.T) {
			w := deadWorld("a")
			w.startTime["a"], w.lingers = 30*time.Second, 3*time.Second
			withRestarter(t, w, a, test.grant, func(t *testing.T, parent *probeActor, order func(any)) {
				pass(test.after)
				order(messages.Cancel{Attempt: 99}) // of another attempt
				order(messages.Cancel{Attempt: a.ID})
				if got := of[messages.RestartCancelled](parent.take()); len(got) != 1-test.started {
					t.Errorf("cancelled %v while its processes end", got)
				}
				pass(time.Hour)
				if got := of[messages.RestartCancelled](parent.take()); len(got) != test.started {
					t.Errorf("cancelled %v", got)
				}
				if n := w.count("--start", "a"); n != test.started || w.running["a"] {
					t.Errorf("%d starts, running %v", n, w.running["a"])
				}
			})
		})
	}
}
