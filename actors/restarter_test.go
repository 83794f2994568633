package actors

import (
	"slices"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// withRestarter runs fn with one Restarter. Its parent grants each request for a
// slot for which grant returns true.
func withRestarter(t *testing.T, w *actorstest.World, a messages.Attempt, grant func(request any) bool, fn func(t *testing.T, parent *actorstest.Probe, order func(m any))) {
	t.Helper()
	actorstest.Run(t, func(t *testing.T, system *actor.ActorSystem) {
		parent := &actorstest.Probe{Answer: func(c actor.Context, m any) {
			switch m.(type) {
			case messages.SlotRequested, messages.CheckRequested:
				for _, restarter := range c.Children() { // none when it has stopped meanwhile
					if grant(m) {
						c.Send(restarter, messages.SlotGranted{Attempt: a.ID})
					}
				}
			}
		}}
		order, stop := actorstest.Spawn(system, parent, newRestarter(a, w, w))
		defer stop()
		fn(t, parent, order)
	})
}

// always grants each slot, never none.
func always(any) bool { return true }
func never(any) bool  { return false }

// onlyStarts grants a slot for the verb, and none for the check after it.
func onlyStarts(request any) bool {
	_, start := request.(messages.SlotRequested)
	return start
}

// attempt7 returns attempt 7, which does not wait.
func attempt7(kind messages.AttemptKind) messages.Attempt {
	return messages.Attempt{ID: 7, Plugin: actorstest.Persist(1, "a"), Kind: kind}
}

// start7 returns attempt 7 that starts the plugin after 5 s.
func start7() messages.Attempt {
	a := attempt7(messages.KindStart)
	a.Delay = 5 * time.Second
	return a
}

func TestRestarter(t *testing.T) {
	a := start7()
	t.Run("RS-01 RS-03 requests a slot after its wait, again for the check, then reports", func(t *testing.T) {
		w := stoppedWorld("a")
		w.VerbTime["a"] = 3 * time.Second
		withRestarter(t, w, a, always, func(t *testing.T, parent *actorstest.Probe, _ func(any)) {
			actorstest.Advance(10 * time.Second)
			var steps []string
			for _, s := range parent.Take() {
				switch m := s.Msg.(type) {
				case messages.SlotRequested:
					steps = append(steps, "slot requested at "+s.At.String())
				case messages.SlotReturned:
					steps = append(steps, "slot returned at "+s.At.String())
				case messages.CheckRequested:
					steps = append(steps, "check requested at "+s.At.String())
				case messages.RestartSucceeded:
					steps = append(steps, "succeeded at "+s.At.String())
					if m.Attempt != 7 || m.Key != "a" || m.Probe.Status != plugin.StatusRunning {
						t.Errorf("succeeded %+v; want attempt 7, key \"a\", status running", m)
					}
				}
			}
			want := []string{"slot requested at 5s", "slot returned at 6s", "check requested at 8s", "succeeded at 8s"}
			if !slices.Equal(steps, want) {
				t.Errorf("messages %q, want %q", steps, want)
			}
		})
	})
	t.Run("RS-03 runs the check without a slot when it gets none within 10 s", func(t *testing.T) {
		w := stoppedWorld("a")
		w.VerbTime["a"] = 100 * time.Millisecond
		withRestarter(t, w, a, onlyStarts, func(t *testing.T, parent *actorstest.Probe, _ func(any)) {
			actorstest.Advance(15 * time.Second)
			if n := w.CountCalls("--status", "a"); n != 0 {
				t.Errorf("%d checks before its slot, want 0", n)
			}
			actorstest.Advance(time.Second)
			got := parent.Take()
			returned, ended := actorstest.Messages[messages.SlotReturned](got), actorstest.Messages[messages.RestartSucceeded](got)
			if len(returned) != 1 || len(ended) != 1 || w.CountCalls("--status", "a") != 1 {
				t.Errorf("messages %v; want 1 SlotReturned, 1 RestartSucceeded, 1 call of --status", got)
			}
		})
	})
	t.Run("RS-03 does nothing without its slot", func(t *testing.T) {
		w := stoppedWorld("a")
		withRestarter(t, w, a, never, func(t *testing.T, _ *actorstest.Probe, _ func(any)) {
			actorstest.Advance(time.Hour)
			if n := w.CountCalls("--start", "a"); n != 0 {
				t.Errorf("%d starts, want 0", n)
			}
		})
	})
}

func TestRestarterConfirms(t *testing.T) {
	a := start7()
	t.Run("RS-06 a start is confirmed whatever its outcome, a stop is checked", func(t *testing.T) {
		for kind, want := range map[messages.AttemptKind]int{messages.KindStart: 1, messages.KindRestart: 1, messages.KindStop: 0} {
			w := stoppedWorld("a")
			w.StartWorks = func(string) bool { return false }
			withRestarter(t, w, attempt7(kind), always, func(t *testing.T, _ *actorstest.Probe, _ func(any)) {
				if n := w.CountCalls("confirm start", "a"); n != want {
					t.Errorf("%s: confirmed %d times, want %d", kind, n, want)
				}
				if n := w.CountCalls("--status", "a"); n != 1 {
					t.Errorf("%s: %d runs of --status, want 1", kind, n)
				}
			})
		}
	})
	t.Run("RS-06 a confirmation that takes long returns its slot", func(t *testing.T) {
		w := stoppedWorld("a")
		w.ProbeTime["a"] = 4400 * time.Millisecond
		withRestarter(t, w, attempt7(messages.KindStart), always, func(t *testing.T, parent *actorstest.Probe, _ func(any)) {
			actorstest.Advance(4 * time.Second)
			if got := parent.Take(); len(actorstest.Messages[messages.SlotReturned](got)) != 1 || len(actorstest.Messages[messages.RestartSucceeded](got)) != 0 {
				t.Errorf("messages %v; want 1 SlotReturned, no RestartSucceeded", got)
			}
			actorstest.Advance(time.Second)
			if got := actorstest.Messages[messages.RestartSucceeded](parent.Take()); len(got) != 1 {
				t.Errorf("succeeded %v, want 1", got)
			}
		})
	})
	t.Run("RS-06 RS-07 a failed start says why", func(t *testing.T) {
		w := stoppedWorld("a")
		w.StartWorks = func(string) bool { return false }
		withRestarter(t, w, a, always, func(t *testing.T, parent *actorstest.Probe, _ func(any)) {
			actorstest.Advance(time.Minute)
			got := actorstest.Messages[messages.RestartFailed](parent.Take())
			if len(got) != 1 || got[0].Cause != "start: exit 3" || got[0].Probe.Status != plugin.StatusFailed {
				t.Errorf("failed %+v; want 1, cause \"start: exit 3\", status failed", got)
			}
		})
	})
	t.Run("RS-06 a stop after which the plugin runs has failed", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.Statuses = map[string]plugin.Status{"a": plugin.StatusRunning}
		withRestarter(t, w, attempt7(messages.KindStop), always, func(t *testing.T, parent *actorstest.Probe, _ func(any)) {
			got := actorstest.Messages[messages.RestartFailed](parent.Take())
			if len(got) != 1 || got[0].Kind != messages.KindStop || got[0].Cause != "still running after stop" {
				t.Errorf("failed %+v; want 1, kind stop, cause \"still running after stop\"", got)
			}
		})
	})
}

func TestRestarterOfRunningPlugin(t *testing.T) {
	t.Run("EV-07 a plugin that runs is not started; to be confirmed, --status has to say so for 2 s", func(t *testing.T) {
		for confirm, want := range map[bool]time.Duration{false: 0, true: confirmFor} {
			w := actorstest.NewWorld(actorstest.Persist(1, "a"))
			attempt := messages.Attempt{ID: 7, Plugin: actorstest.Persist(1, "a"), Kind: messages.KindStart, Delay: time.Second, CheckFirst: true, ConfirmRunning: confirm}
			withRestarter(t, w, attempt, always, func(t *testing.T, parent *actorstest.Probe, _ func(any)) {
				actorstest.Advance(time.Minute)
				got := parent.Take()
				ended := actorstest.Messages[messages.RestartSucceeded](got)
				if len(ended) != 1 || !ended[0].Outcome.Skipped || w.CountCalls("--start", "a") != 0 {
					t.Fatalf("confirm %v: messages %v; want 1 RestartSucceeded, skipped, no call of --start", confirm, got)
				}
				if took := ended[0].At.Sub(actorstest.Epoch) - time.Second; took != want {
					t.Errorf("confirm %v: succeeded after %v, want %v", confirm, took, want)
				}
			})
		}
	})
	t.Run("EV-07 a plugin that stops while it is confirmed is started", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		attempt := messages.Attempt{ID: 7, Plugin: actorstest.Persist(1, "a"), Kind: messages.KindStart, Delay: time.Second, CheckFirst: true, ConfirmRunning: true}
		withRestarter(t, w, attempt, always, func(t *testing.T, parent *actorstest.Probe, _ func(any)) {
			actorstest.Advance(1600 * time.Millisecond)
			w.Set(func() { w.Running["a"] = false })
			actorstest.Advance(time.Minute)
			if n := w.CountCalls("--start", "a"); n != 1 || len(actorstest.Messages[messages.RestartSucceeded](parent.Take())) != 1 {
				t.Errorf("calls %v; want 1 --start, 1 RestartSucceeded", w.Calls)
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
		"it waits": {time.Second, never, 0}, "it requests a slot": {6 * time.Second, never, 0}, "its verb runs": {6 * time.Second, always, 1},
	} {
		t.Run("RS-09 RS-10 cancelled while "+name, func(t *testing.T) {
			w := stoppedWorld("a")
			w.VerbTime["a"], w.KillTime = 30*time.Second, 3*time.Second
			withRestarter(t, w, a, test.grant, func(t *testing.T, parent *actorstest.Probe, order func(any)) {
				actorstest.Advance(test.after)
				order(messages.Cancel{Attempt: 99}) // of another attempt
				order(messages.Cancel{Attempt: a.ID})
				if got := actorstest.Messages[messages.RestartCancelled](parent.Take()); len(got) != 1-test.started {
					t.Errorf("cancelled %v while its processes exit, want %d", got, 1-test.started)
				}
				actorstest.Advance(time.Hour)
				if got := actorstest.Messages[messages.RestartCancelled](parent.Take()); len(got) != test.started {
					t.Errorf("cancelled %v, want %d", got, test.started)
				}
				if n := w.CountCalls("--start", "a"); n != test.started || w.Running["a"] {
					t.Errorf("%d starts, running %v; want %d, false", n, w.Running["a"], test.started)
				}
			})
		})
	}
}
