package actors

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// withWorkers runs a supervisor in which change replaces some workers by mocks.
func withWorkers(t *testing.T, w *actorstest.World, cfg Config, change func(*workerProps), fn func(t *testing.T, s *System)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ports := worldPorts(w)
		c := newWorkers(ports)
		change(&c)
		s, err := start(cfg, w.Saved, ports, c)
		if err != nil {
			t.Fatal(err)
		}
		fn(t, s)
		drainAll(t, s)
	})
}

// A worker that crashes loses one order: the next period sends it another.
func TestWorkersCrash(t *testing.T) {
	crash := func(n int, then func(c actor.Context, m any)) *actorstest.Probe {
		p := &actorstest.Probe{}
		p.Answer = func(c actor.Context, m any) {
			if n--; n >= 0 {
				panic("bug")
			}
			then(c, m)
		}
		return p
	}
	t.Run("Scanner", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		scanner := crash(1, func(c actor.Context, m any) {
			list, _ := w.List(t.Context())
			c.Respond(messages.ScanCompleted{Gen: m.(messages.Scan).Gen, Listed: true, List: list})
		})
		withWorkers(t, w, testConfig(), func(c *workerProps) { c.scanner = scanner.Props() }, func(t *testing.T, s *System) {
			actorstest.Advance(time.Hour)
			if n := len(actorstest.Messages[messages.Scan](scanner.Take())); n != 4 {
				t.Errorf("%d scans, want 4", n)
			}
			if got := status(t, s); got.Timers[0].Running || got.Counters.ScanErrors != 1 {
				t.Errorf("status %+v; want not running, scan errors 1", got)
			}
		})
	})
	t.Run("Reporter: its reports are sent to it again", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		reporter := crash(1, func(c actor.Context, m any) {
			if r, ok := m.(messages.Report); ok {
				c.Respond(messages.ReportDelivered{Gen: r.Gen})
			}
		})
		withWorkers(t, w, testConfig(), func(c *workerProps) { c.reporter = reporter.Props() }, func(t *testing.T, s *System) {
			actorstest.Advance(2 * time.Minute)
			if got := status(t, s).Reports; got.Pending != 0 {
				t.Errorf("reports %+v, want none pending", got)
			}
		})
	})
	t.Run("Restarter: the next one restarts its plugin", func(t *testing.T) {
		w := stoppedWorld("a")
		n := 0
		withWorkers(t, w, testConfig(), func(c *workerProps) {
			real := c.restarter
			c.restarter = func(a messages.Attempt) *actor.Props {
				if n++; n <= 2 {
					return actor.PropsFromFunc(func(c actor.Context) {
						if _, ok := c.Message().(*actor.Started); ok {
							panic("bug")
						}
					}, withPanicLogging)
				}
				return real(a)
			}
		}, func(t *testing.T, s *System) {
			actorstest.Advance(2 * time.Minute)
			wantState(t, s, "a", plugin.StateRunning)
			if n != 3 {
				t.Errorf("%d Restarters, want 3", n)
			}
		})
	})
	t.Run("Puller, Inventory, Upgrader", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		var made []*actorstest.Probe
		newMock := func(answer func(c actor.Context, m any)) *actor.Props {
			p := crash(1, answer)
			made = append(made, p)
			return p.Props()
		}
		cfg := testConfig()
		cfg.FirstRun.Update, cfg.FirstRun.Inventory = time.Minute, time.Minute
		withWorkers(t, w, cfg, func(c *workerProps) {
			c.puller = newMock(func(c actor.Context, m any) {
				c.Respond(messages.PullCompleted{Gen: m.(messages.Pull).Gen})
			})
			c.inventory = newMock(func(c actor.Context, m any) {
				c.Respond(messages.InventoryCollected{Gen: m.(messages.CollectInventory).Gen})
			})
			c.upgrader = newMock(func(c actor.Context, m any) {
				c.Respond(messages.UpdatesOffered{Gen: m.(messages.CheckUpdates).Gen})
			})
		}, func(t *testing.T, s *System) {
			actorstest.Advance(30 * time.Hour)
			for i, p := range made {
				if n := len(p.Take()); n < 2 {
					t.Errorf("worker %d got %d orders, want at least 2", i, n)
				}
			}
			for _, timer := range status(t, s).Timers {
				if timer.Running {
					t.Errorf("%s still runs, want that it ended", timer.Name)
				}
			}
		})
	})
	t.Run("a panic of a port is a failed order", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		ports := worldPorts(w)
		ports.Manager = panicking{w}
		synctest.Test(t, func(t *testing.T) {
			s, err := Start(testConfig(), plugin.Memory{}, ports)
			if err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(40 * time.Minute)
			got := status(t, s)
			if got.Counters.ScanErrors != 3 || got.Timers[0].Running {
				t.Errorf("status %+v; want scan errors 3, not running", got)
			}
			drainAll(t, s)
		})
	})
}

type panicking struct{ *actorstest.World }

func (panicking) Probe(context.Context, []plugin.Plugin, func(plugin.Probe)) error { panic("bug") }

func TestWorkerBackoffIsExponentialAndCapped(t *testing.T) {
	actorstest.Run(t, func(t *testing.T, sys *actor.ActorSystem) {
		var starts []time.Duration
		child := actor.PropsFromFunc(func(c actor.Context) {
			if _, ok := c.Message().(*actor.Started); ok {
				starts = append(starts, actorstest.Elapsed())
				panic("bug")
			}
		})
		pid := sys.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
			if _, ok := c.Message().(*actor.Started); ok {
				c.Spawn(child)
			}
		}, actor.WithSupervisor(workerBackoff)))
		actorstest.Advance(5 * time.Minute)
		synctest.Wait()
		want := []time.Duration{0, 1, 3, 7, 15, 31, 63, 123, 183, 243}
		if len(starts) != len(want) {
			t.Fatalf("starts at %v, want %d starts", starts, len(want))
		}
		for i := range want {
			if starts[i] != want[i]*time.Second {
				t.Errorf("start %d at %v, want %v", i+1, starts[i], want[i]*time.Second)
				break
			}
		}
		_ = sys.Root.StopFuture(pid).Wait()
	})
}

// EV-19: a Coordinator that panicked has lost its state, and is not restarted.
func TestCoordinatorPanicEndsTheSystem(t *testing.T) {
	w := actorstest.NewWorld(actorstest.Persist(1, "a"))
	synctest.Test(t, func(t *testing.T) {
		ports := worldPorts(w)
		s, err := Start(testConfig(), plugin.Memory{}, ports)
		if err != nil {
			t.Fatal(err)
		}
		w.Set(func() { w.Saved.Pending = nil }) // Save writes to a nil map, and panics in the Coordinator
		actorstest.Advance(2 * time.Minute)
		select {
		case <-s.Done():
		default:
			t.Fatal("the system still runs, want that it stopped")
		}
		if err := s.Err(); err == nil || !strings.Contains(err.Error(), "coordinator panicked") {
			t.Errorf("error %v, want one with \"coordinator panicked\"", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Drain(ctx); err != nil {
			t.Error(err)
		}
		actorstest.Advance(time.Minute)
	})
}

// EV-11: when a save fails, the supervisor continues with its memory, reports the
// problem and tries again.
func TestSaveFails(t *testing.T) {
	w := actorstest.NewWorld(actorstest.Persist(1, "a"))
	w.SaveErr = errors.New("no space left on device")
	inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
		actorstest.Advance(2 * time.Minute)
		wantReports(t, w.TakeReports(), "a=running")
		if got := status(t, s).Problems; len(got) != 1 || got[0].What != "state file" {
			t.Errorf("problems %v; want 1 entry, what \"state file\"", got)
		}
		w.Set(func() { w.SaveErr = nil })
		actorstest.Advance(saveRetry)
		if got := status(t, s).Problems; len(got) != 0 {
			t.Errorf("problems %v, want none", got)
		}
		if w.Saved.Acked["a"].Status != plugin.StatusRunning || w.Saved.Settings.LastCheck.IsZero() {
			t.Errorf("saved %+v; want a running, a time of the last check", w.Saved)
		}
	})
}

// A pending report is saved before it is sent (EV-11).
func TestSavedBeforeSent(t *testing.T) {
	w := actorstest.NewWorld(actorstest.Persist(1, "a"))
	w.OnReport = func(int) (plugin.Answer, error) {
		w.Lock()
		defer w.Unlock()
		if w.Saved.Pending["a"].Status != plugin.StatusRunning {
			t.Error("a report was sent before it was saved, want it saved first")
		}
		return plugin.Answer{}, nil
	}
	inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
		actorstest.Advance(2 * time.Minute)
		wantReports(t, w.TakeReports(), "a=running")
	})
}

func TestOperatorCommands(t *testing.T) {
	w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Once(2, "o"))
	inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
		actorstest.Advance(2 * time.Minute)
		ctx := t.Context()
		for name, want := range map[string]string{"nosuch": "no such plugin", "o": "not a persistent plugin"} {
			if err := s.StopPlugin(ctx, name); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("stop %s: %v, want an error with %q", name, err, want)
			}
		}
		if err := s.RestartPlugin(ctx, "a"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if w.CountCalls("--restart", "a") != 1 {
			t.Errorf("calls %v, want 1 call of --restart of a", w.Calls)
		}
		if err := s.StopPlugin(ctx, "a"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		wantState(t, s, "a", plugin.StateStopped)
		actorstest.Advance(10 * time.Hour)
		wantState(t, s, "a", plugin.StateStopped)
	})
	if !w.Saved.Restarts["a"].Stopped {
		t.Error("the stop was not saved, want it saved")
	}
	w.Calls = nil
	inBubble(t, w, testConfig(), func(t *testing.T, s *System) { // EV-14: it stays stopped in the next process
		actorstest.Advance(10 * time.Hour)
		wantState(t, s, "a", plugin.StateStopped)
		if n := w.CountCalls("--start", "a"); n != 0 {
			t.Errorf("%d starts, want 0", n)
		}
		if err := s.StartPlugin(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		wantState(t, s, "a", plugin.StateRunning)
	})
}

// ST-06: damaged records are in status, and logged once.
func TestDamagedRecordsAreShown(t *testing.T) {
	w := actorstest.NewWorld(actorstest.Persist(1, "a"))
	w.Damaged = []plugin.Damage{{Where: "record 2", Why: "not a JSON object"}}
	inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
		actorstest.Advance(2 * time.Minute)
		if got := status(t, s).Damaged; len(got) != 1 || got[0] != w.Damaged[0] {
			t.Errorf("damaged %v; want 1 entry, got[0] = %v", got, w.Damaged[0])
		}
		wantReports(t, w.TakeReports(), "a=running")
	})
}
