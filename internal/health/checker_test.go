package health

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pluginsupervisor/internal/hostfault"
	"pluginsupervisor/plugin"
)

// world is a Checker in virtual time with checks that a test answers.
type world struct {
	*Checker
	mu      sync.Mutex
	loadErr error
	check   loaded
	answer  map[string]error         // of the check, by plugin
	takes   map[string]time.Duration // how long a check takes
	at      map[string][]time.Duration
	running int
	most    int
	events  []string
	began   time.Time
}

func newPlugin(name string) plugin.Plugin {
	return plugin.Plugin{Name: name, Version: "1.0", Type: plugin.Persist, RunPath: plugin.Shim}
}

func inBubble(t *testing.T, o Options, fn func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			Checker: New(o), check: loaded{interval: 10 * time.Second, timeout: 2 * time.Second, failures: 3},
			answer: map[string]error{}, takes: map[string]time.Duration{}, at: map[string][]time.Duration{}, began: time.Now(),
		}
		w.load = func(p plugin.Plugin) (loaded, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			c := w.check
			c.run = func(ctx context.Context) error { return w.runCheck(ctx, p.Name) }
			return c, w.loadErr
		}
		stop := w.followUntil(t)
		fn(t, w)
		stop()
	})
}

// followUntil follows until stop is called.
func (w *world) followUntil(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- w.Follow(ctx, func(e plugin.HealthEvent) {
			w.mu.Lock()
			defer w.mu.Unlock()
			text := fmt.Sprintf("%s %d passed", e.Plugin.Name, e.Gen)
			if e.Failed {
				text = fmt.Sprintf("%s %d failed: %s", e.Plugin.Name, e.Gen, e.Cause)
			}
			w.events = append(w.events, text)
		})
	}()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		synctest.Wait()
	}
}

func (w *world) runCheck(ctx context.Context, name string) error {
	w.mu.Lock()
	w.at[name] = append(w.at[name], time.Since(w.began))
	takes := w.takes[name]
	w.running++
	w.most = max(w.most, w.running)
	w.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running--
	return w.answer[name]
}

// takeEvents returns the events since the last call.
func (w *world) takeEvents() (events []string) {
	synctest.Wait()
	w.set(func() { events, w.events = w.events, nil })
	return events
}

// count returns the number of checks of a plugin so far.
func (w *world) count(name string) (n int) {
	synctest.Wait()
	w.set(func() { n = len(w.at[name]) })
	return n
}

func (w *world) set(do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do()
}

func (w *world) wantEvents(t *testing.T, want ...string) {
	t.Helper()
	if got := w.takeEvents(); !slices.Equal(got, want) {
		t.Errorf("after %v: events %q, want %q", time.Since(w.began), got, want)
	}
}

func TestEvents(t *testing.T) {
	t.Run("AP-05 failures in a row, and recovery", func(t *testing.T) {
		inBubble(t, Options{}, func(t *testing.T, w *world) {
			w.Watch(newPlugin("p"), 7)
			time.Sleep(30 * time.Second)
			w.wantEvents(t, "p 7 passed")
			w.set(func() { w.answer["p"] = errors.New("answered 500") })
			time.Sleep(20 * time.Second) // two checks
			w.set(func() { w.answer["p"] = nil })
			time.Sleep(11 * time.Second)
			w.wantEvents(t)
			w.set(func() { w.answer["p"] = errors.New("answered 500") })
			time.Sleep(35 * time.Second)
			w.wantEvents(t, "p 7 failed: answered 500")
			time.Sleep(32 * time.Second)
			w.wantEvents(t, "p 7 failed: answered 500") // three more
			w.set(func() { w.answer["p"] = nil })
			time.Sleep(11 * time.Second)
			w.wantEvents(t, "p 7 passed")
		})
	})
	t.Run("AP-02 watched again: the next check that passes is reported", func(t *testing.T) {
		inBubble(t, Options{}, func(t *testing.T, w *world) {
			w.Watch(newPlugin("p"), 1)
			time.Sleep(30 * time.Second)
			w.wantEvents(t, "p 1 passed")
			w.Watch(newPlugin("p"), 1)
			time.Sleep(11 * time.Second)
			w.wantEvents(t, "p 1 passed")
		})
	})
	t.Run("a new gen begins anew, and Unwatch ends the checks", func(t *testing.T) {
		inBubble(t, Options{}, func(t *testing.T, w *world) {
			w.set(func() { w.answer["p"] = errors.New("down") })
			w.Watch(newPlugin("p"), 1)
			time.Sleep(22 * time.Second) // two or three checks
			w.takeEvents()
			w.Watch(newPlugin("p"), 2)
			time.Sleep(20 * time.Second) // at most two checks
			w.wantEvents(t)
			time.Sleep(20 * time.Second)
			w.wantEvents(t, "p 2 failed: down")
			w.set(func() { w.takes["p"] = time.Second })
			n := w.count("p")
			for w.count("p") == n {
				time.Sleep(100 * time.Millisecond)
			}
			w.Unwatch(newPlugin("p")) // while a check runs
			time.Sleep(time.Minute)
			w.wantEvents(t)
			if w.count("p") != n+1 {
				t.Errorf("checks at %v, want none after Unwatch", w.at["p"])
			}
		})
	})
	t.Run("EV-24 a check that the host cannot run does not count", func(t *testing.T) {
		inBubble(t, Options{}, func(t *testing.T, w *world) {
			w.set(func() { w.answer["p"] = hostfault.New("too many open files") })
			w.Watch(newPlugin("p"), 1)
			time.Sleep(5 * time.Minute)
			w.wantEvents(t)
			w.set(func() { w.answer["p"] = errors.New("down") })
			time.Sleep(35 * time.Second)
			w.wantEvents(t, "p 1 failed: down")
		})
	})
}

func TestTimers(t *testing.T) {
	t.Run("AP-05 each plugin at its interval, with jitter", func(t *testing.T) {
		inBubble(t, Options{}, func(t *testing.T, w *world) {
			w.Watch(newPlugin("p"), 1)
			w.Watch(newPlugin("q"), 1)
			w.Watch(plugin.Plugin{Name: "other", RunPath: "run"}, 1)
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			distinct := map[time.Duration]bool{}
			for _, name := range []string{"p", "q"} {
				at := w.at[name]
				if len(at) < 27 || len(at) > 33 || at[0] > 11*time.Second {
					t.Fatalf("%s: %d checks in 5m, the first after %v; want about 30, within 11s", name, len(at), at[0])
				}
				for i := range at[1:] {
					pause := at[i+1] - at[i]
					distinct[pause] = true
					if pause < 9500*time.Millisecond || pause > 10500*time.Millisecond {
						t.Errorf("%s: %v between two checks, want 10s ± 5%%", name, pause)
					}
				}
			}
			if len(distinct) < 30 {
				t.Errorf("%d different pauses, want jitter", len(distinct))
			}
			if len(w.at["other"]) > 0 {
				t.Error("a plugin without a shim is checked")
			}
		})
	})
	t.Run("AP-05 a limited number at once; one that hangs does not delay the others", func(t *testing.T) {
		inBubble(t, Options{Parallel: 2}, func(t *testing.T, w *world) {
			w.set(func() {
				w.check.interval = time.Second
				for i := range 10 {
					w.takes[fmt.Sprint(i)] = 100 * time.Millisecond
				}
			})
			for i := range 10 {
				w.Watch(newPlugin(fmt.Sprint(i)), 1)
			}
			time.Sleep(20 * time.Second)
			if synctest.Wait(); w.most != 2 {
				t.Errorf("%d checks at once, want 2", w.most)
			}
			w.set(func() { w.takes["0"], w.takes["1"] = time.Hour, time.Hour })
			time.Sleep(20 * time.Second)
			w.set(func() { w.at["5"] = nil })
			time.Sleep(20 * time.Second)
			if synctest.Wait(); len(w.at["5"]) < 15 {
				t.Errorf("%d checks in 20s beside two that hang, want about 20", len(w.at["5"]))
			}
			if got := len(w.at["0"]); got > 45 {
				t.Errorf("%d checks of one that hangs", got)
			}
		})
	})
	t.Run("no health check", func(t *testing.T) {
		inBubble(t, Options{}, func(t *testing.T, w *world) {
			w.set(func() { w.check.interval = 0 })
			w.Watch(newPlugin("p"), 1)
			time.Sleep(time.Hour)
			if synctest.Wait(); len(w.at) > 0 {
				t.Errorf("checked at %v", w.at)
			}
		})
	})
	t.Run("a service.yaml that cannot be read is read again", func(t *testing.T) {
		inBubble(t, Options{}, func(t *testing.T, w *world) {
			w.set(func() { w.loadErr = errors.New("input/output error") })
			w.Watch(newPlugin("p"), 1)
			time.Sleep(time.Minute)
			w.wantEvents(t)
			w.set(func() { w.loadErr = nil })
			time.Sleep(21 * time.Second)
			w.wantEvents(t, "p 1 passed")
		})
	})
	t.Run("a second Follow begins anew", func(t *testing.T) {
		inBubble(t, Options{}, func(t *testing.T, w *world) {
			w.Watch(newPlugin("p"), 1)
			time.Sleep(11 * time.Second)
			w.wantEvents(t, "p 1 passed")
			stop := w.followUntil(t)
			time.Sleep(11 * time.Second)
			w.wantEvents(t, "p 1 passed")
			stop()
			n := w.count("p")
			time.Sleep(time.Minute)
			if w.count("p") != n {
				t.Error("checks run without Follow")
			}
			w.Watch(newPlugin("q"), 1)
			w.Unwatch(newPlugin("q"))
		})
	})
}
