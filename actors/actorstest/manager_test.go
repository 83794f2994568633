package actorstest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

func TestVerbs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := actorstest.Persist(1, "web")
		w := actorstest.NewWorld(web)
		if o := w.Stop(t.Context(), web); o.Err != nil || w.Running["web"] {
			t.Errorf("stop: %v, running %v; want no error, not running", o.Err, w.Running["web"])
		}
		if p := w.Check(t.Context(), web); p.Status != plugin.StatusFailed || p.Cause != "exit 1" {
			t.Errorf("--status of a stopped plugin: %v (%s), want failed (exit 1)", p.Status, p.Cause)
		}
		w.VerbTime["web"] = 3 * time.Second
		if o := w.Start(t.Context(), web); o.Err != nil || actorstest.Elapsed() != 3*time.Second {
			t.Errorf("start: %v after %v, want no error after 3s", o.Err, actorstest.Elapsed())
		}
		if p := w.ConfirmStart(t.Context(), web); p.Status != plugin.StatusRunning {
			t.Errorf("--status after a start: %v, want running", p.Status)
		}
		if len(w.Violations) != 0 {
			t.Errorf("violations %q, want none", w.Violations)
		}
		w.Start(t.Context(), web)
		if len(w.Violations) != 1 {
			t.Errorf("violations %q, want the start of a plugin that runs", w.Violations)
		}
	})
}

func TestVerbsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := actorstest.Persist(1, "a"), actorstest.Persist(2, "b")
		w := actorstest.NewWorld(a, b)
		w.VerbTime["a"], w.VerbTime["b"] = time.Second, time.Second
		go w.Restart(t.Context(), a)
		go w.Restart(t.Context(), b)
		actorstest.Advance(2 * time.Second)
		if w.MaxParallel != 2 || len(w.Violations) != 0 {
			t.Errorf("%d verbs at once, violations %q; want 2, none", w.MaxParallel, w.Violations)
		}
		go w.Restart(t.Context(), a)
		go w.Stop(t.Context(), a)
		actorstest.Advance(2 * time.Second)
		if len(w.Violations) != 1 {
			t.Errorf("violations %q, want one of two verbs of a at once", w.Violations)
		}
	})
}

func TestVerbsFail(t *testing.T) {
	web := actorstest.Persist(1, "web")
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for name, test := range map[string]struct {
		set  func(w *actorstest.World)
		ctx  context.Context
		want func(o plugin.Outcome) bool
	}{
		"--start exits with 3": {
			func(w *actorstest.World) { w.StartWorks = func(string) bool { return false } }, context.Background(),
			func(o plugin.Outcome) bool { return o.Err != nil && o.ExitCode == 3 && !o.HostFault },
		},
		"the host cannot run it": {
			func(w *actorstest.World) { w.HostFaults["--start"] = true }, context.Background(),
			func(o plugin.Outcome) bool { return o.Err != nil && o.HostFault },
		},
		"the plugin was removed": {
			func(w *actorstest.World) { w.NotInstalled["web"] = true }, context.Background(),
			func(o plugin.Outcome) bool { return errors.Is(o.Err, plugin.ErrNotInstalled) },
		},
		"cancelled": {
			func(w *actorstest.World) { w.VerbTime["web"] = time.Hour }, cancelled,
			func(o plugin.Outcome) bool { return errors.Is(o.Err, context.Canceled) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := actorstest.NewWorld(web)
				w.Running["web"] = false
				test.set(w)
				if o := w.Start(test.ctx, web); !test.want(o) || w.Running["web"] {
					t.Errorf("start: %+v, running %v; want the failure, not running", o, w.Running["web"])
				}
			})
		})
	}
}

func TestProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := actorstest.Persist(1, "a"), actorstest.Persist(2, "b"), actorstest.Persist(3, "c")
		w := actorstest.NewWorld(a, b, c)
		w.ProbeTime["b"] = time.Hour // longer than its timeout of a minute
		w.Statuses["c"] = plugin.StatusFailed
		w.ProbeErr = errors.New("output cannot be read")
		got := map[string]plugin.Probe{}
		err := w.Probe(t.Context(), w.Plugins, func(p plugin.Probe) { got[p.Plugin.Name] = p })
		if !errors.Is(err, w.ProbeErr) || len(got) != 3 || actorstest.Elapsed() != time.Minute {
			t.Errorf("error %v, %d results after %v; want that of ProbeErr, 3 after 1m", err, len(got), actorstest.Elapsed())
		}
		if got["a"].Status != plugin.StatusRunning || !got["b"].NoAnswer || got["c"].Status != plugin.StatusFailed {
			t.Errorf("results %+v; want a running, b without an answer, c failed", got)
		}
	})
}

func TestList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.ListErr = errors.New("locked")
		if _, err := w.List(t.Context()); !errors.Is(err, w.ListErr) {
			t.Errorf("list: %v, want that of ListErr", err)
		}
		w.ListErr = nil
		if list, err := w.List(t.Context()); err != nil || len(list.Plugins) != 1 || w.ListCount != 2 {
			t.Errorf("list: %+v, %v, count %d; want one plugin, no error, 2", list, err, w.ListCount)
		}
	})
}

func TestChanges(t *testing.T) {
	change := plugin.Change{Kind: plugin.ChangeUpgrade, Name: "web", Version: "2.0"}
	t.Run("made", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := actorstest.NewWorld(actorstest.Persist(1, "web"))
			if err := w.Fetch(t.Context(), change); err != nil {
				t.Errorf("fetch: %v, want no error", err)
			}
			r := w.Change(t.Context(), change, plugin.ChangePermit{StatusBefore: plugin.StatusRunning})
			if r.Err != nil || r.Previous != "1.0" || w.Plugins[0].Version != "2.0" {
				t.Errorf("change: %+v, version %s; want no error, previous 1.0, version 2.0", r, w.Plugins[0].Version)
			}
		})
	})
	t.Run("interrupted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := actorstest.NewWorld(actorstest.Persist(1, "web"))
			w.ProveTime = time.Minute
			interrupt := make(chan plugin.Interruption, 1)
			time.AfterFunc(time.Second, func() { interrupt <- plugin.Interruption{LeaveStopped: true} })
			r := w.Change(t.Context(), change, plugin.ChangePermit{Interrupt: interrupt})
			if !errors.Is(r.Err, plugin.ErrInterrupted) || w.Plugins[0].Version != "1.0" || w.Running["web"] {
				t.Errorf("change: %+v; want ErrInterrupted, version 1.0, not running", r)
			}
			if len(w.Interrupts) != 1 || !w.Interrupts[0] {
				t.Errorf("interruptions %v, want one that leaves the plugin stopped", w.Interrupts)
			}
		})
	})
	t.Run("package cannot be fetched", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := actorstest.NewWorld(actorstest.Persist(1, "web"))
			w.FetchErr, w.FetchTime["web"] = errors.New("no such package"), time.Second
			if err := w.Fetch(t.Context(), change); !errors.Is(err, w.FetchErr) || actorstest.Elapsed() != time.Second {
				t.Errorf("fetch: %v after %v, want that of FetchErr after 1s", err, actorstest.Elapsed())
			}
			w.OnFetch = func(plugin.Change) error { return nil }
			if err := w.Fetch(t.Context(), change); err != nil {
				t.Errorf("fetch: %v, want the nil of OnFetch", err)
			}
		})
	})
}
