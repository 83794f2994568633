package actorstest_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

func TestSave(t *testing.T) {
	w := actorstest.NewWorld()
	err := w.Save(plugin.Changes{
		Acked:   map[string]*plugin.Acked{"a": {}, "b": {}},
		Entries: []plugin.Entry{{Seq: 1}, {Seq: 2}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Save(plugin.Changes{Acked: map[string]*plugin.Acked{"a": nil}}); err != nil {
		t.Fatal(err)
	}
	if _, kept := w.Saved.Acked["b"]; len(w.Saved.Acked) != 1 || !kept {
		t.Errorf("acknowledged is %v, want b only: a was deleted", w.Saved.Acked)
	}
	if len(w.Journal) != 2 || w.Saved.Entries != 2 || w.SaveCount != 2 {
		t.Errorf("%d entries, last number %d, %d saves; want 2, 2, 2", len(w.Journal), w.Saved.Entries, w.SaveCount)
	}
	w.SaveErr = errors.New("disk full")
	if err := w.Save(plugin.Changes{Acked: map[string]*plugin.Acked{"c": {}}}); !errors.Is(err, w.SaveErr) || len(w.Saved.Acked) != 1 {
		t.Errorf("save: %v, acknowledged %v; want that of SaveErr, and no change", err, w.Saved.Acked)
	}
}

func TestSaveLimitsTheJournal(t *testing.T) {
	w := actorstest.NewWorld()
	const n = 10_001
	if err := w.Save(plugin.Changes{Entries: make([]plugin.Entry, n)}); err != nil {
		t.Fatal(err)
	}
	if len(w.Journal) >= n || len(w.Journal) == 0 {
		t.Errorf("%d entries are kept of %d, want fewer", len(w.Journal), n)
	}
}

func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := actorstest.NewWorld()
		actorstest.Advance(time.Minute)
		w.WallOffset = time.Hour
		m := w.Moment()
		if want := actorstest.Epoch.Add(time.Hour + time.Minute); !m.Wall.Equal(want) || !w.Now().Equal(want) {
			t.Errorf("wall time %v, want %v", m.Wall, want)
		}
		if m.Uptime != time.Minute {
			t.Errorf("uptime %v, want 1m: the wall clock does not change it", m.Uptime)
		}
	})
}
