package actorstest_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

func TestServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := actorstest.NewWorld()
		refused := errors.New("refused")
		w.Latency = time.Second
		w.OnReport = func(n int) (plugin.Answer, error) {
			if n == 1 {
				return plugin.Answer{}, refused
			}
			return plugin.Answer{ScanInterval: time.Hour}, nil
		}
		if _, err := w.Report(t.Context(), plugin.Report{}); !errors.Is(err, refused) || actorstest.Elapsed() != time.Second {
			t.Errorf("first report: %v after %v, want the error of OnReport after 1s", err, actorstest.Elapsed())
		}
		if n := len(w.TakeReports()); n != 1 {
			t.Errorf("%d reports taken, want 1", n)
		}
		if a, err := w.Report(t.Context(), plugin.Report{}); err != nil || a.ScanInterval != time.Hour {
			t.Errorf("second report: %+v, %v; want the answer of OnReport", a, err)
		}
		if n := len(w.TakeReports()); n != 1 || w.ReportCount != 2 {
			t.Errorf("%d reports taken, %d in all; want 1, 2", n, w.ReportCount)
		}
	})
}

func TestUpdateChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := actorstest.NewWorld()
		if u, err := w.CheckUpdates(t.Context(), nil); err != nil || len(u.Changes) != 0 {
			t.Errorf("without OnUpdateCheck: %+v, %v; want no updates", u, err)
		}
		w.OnUpdateCheck = func(n int) (plugin.Updates, error) {
			return plugin.Updates{Changes: make([]plugin.Change, n)}, nil
		}
		if u, err := w.CheckUpdates(t.Context(), nil); err != nil || len(u.Changes) != 2 {
			t.Errorf("second check: %+v, %v; want what OnUpdateCheck returns for 2", u, err)
		}
		if n := len(w.UpdateCheckTimes()); n != 2 {
			t.Errorf("%d times of update checks, want 2", n)
		}
	})
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := actorstest.NewWorld()
		w.OnEvent = func(n int) error {
			if n == 2 {
				return errors.New("refused")
			}
			return nil
		}
		first, second := w.Send(t.Context(), plugin.Event{ID: "one"}), w.Send(t.Context(), plugin.Event{ID: "two"})
		if first != nil || second == nil {
			t.Errorf("events: %v and %v, want no error and that of OnEvent", first, second)
		}
		if sent := w.SentEvents(); len(sent) != 2 || sent[1].Event.ID != "two" {
			t.Errorf("sent %+v, want both events", sent)
		}
	})
}

func TestHeartbeatFiles(t *testing.T) {
	a, b, c := actorstest.Persist(1, "a"), actorstest.Persist(2, "b"), actorstest.Persist(3, "c")
	w := actorstest.NewWorld(a, b, c)
	w.LastHeartbeat["a"], w.BadHeartbeat["b"] = actorstest.Epoch, true
	got := w.Read(t.Context(), w.Plugins, time.Now())
	if len(got) != 3 {
		t.Fatalf("%d heartbeats, want one for each of 3 plugins", len(got))
	}
	if !got[0].Found || !got[0].Last.Equal(actorstest.Epoch) || got[1].Err == nil || got[2].Found {
		t.Errorf("heartbeats %+v; want that of a, an error for b, none of c", got)
	}
}
