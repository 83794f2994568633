package state

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pluginsupervisor/plugin"
)

func TestReopen(t *testing.T) {
	for name, end := range map[string]func(*Store){
		"SC-18 pending survives a restart":            func(s *Store) { s.Close() },
		"SC-18 pending survives a kill":               (*Store).closeWithoutFold,
		"PL-15 acknowledged memory survives a kill":   (*Store).closeWithoutFold,
		"EV-11 intervals, restarts and stops, killed": (*Store).closeWithoutFold,
	} {
		t.Run(name, func(t *testing.T) {
			path := statePath(t)
			s, m := mustOpen(t, path)
			if diff := cmp.Diff(emptyMemory, m); diff != "" {
				t.Errorf("memory of a new state (-want +got):\n%s", diff)
			}
			mustSave(t, s, sample())
			end(s)
			s, m = mustOpen(t, path)
			if diff := cmp.Diff(applyChanges(emptyMemory, sample()), m); diff != "" {
				t.Errorf("memory (-want +got):\n%s", diff)
			}
			mustSave(t, s, plugin.Changes{
				Pending: map[string]*plugin.PendingReport{"a": nil, "never there": nil},
				Events:  map[uint64]*plugin.Event{18446744073709551615: nil},
			})
			end(s)
			_, m = mustOpen(t, path)
			if len(m.Pending) != 0 || len(m.Events) != 0 || len(m.Restarts) != 1 {
				t.Errorf("after deleting: %+v, want only restarts", m)
			}
		})
	}
}

// PL-15: a lazy pull compares with acknowledged reports only, also after a restart.
func TestAcked(t *testing.T) {
	s, _ := mustOpen(t, statePath(t))
	check := func(when, acked string, isAcked bool, known string, isKnown bool) {
		t.Helper()
		if v, ok := s.Acked("a"); v != acked || ok != isAcked {
			t.Errorf("%s: Acked = %q, %v", when, v, ok)
		}
		if v, ok := s.Known("a"); v != known || ok != isKnown {
			t.Errorf("%s: Known = %q, %v", when, v, ok)
		}
	}
	check("at first", "", false, "", false)
	mustSave(t, s, plugin.Changes{Pending: map[string]*plugin.PendingReport{"a": {Version: "2.0", Status: plugin.StatusRunning}}})
	check("pending", "", false, "2.0", true)
	mustSave(t, s, plugin.Changes{
		Acked: map[string]*plugin.Acked{"a": {Version: "1.0", Status: plugin.StatusRunning}},
	})
	check("an older one acknowledged", "1.0", true, "2.0", true)
	mustSave(t, s, plugin.Changes{Pending: map[string]*plugin.PendingReport{"a": nil}})
	check("no longer pending", "1.0", true, "1.0", true)
	mustSave(t, s, plugin.Changes{Pending: map[string]*plugin.PendingReport{"a": {Version: "1.0", Status: plugin.StatusRemoved}}})
	check("removed", "1.0", true, "1.0", false)
}

func TestAckedWhileSaving(t *testing.T) {
	s, _ := mustOpen(t, statePath(t))
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for range 200 {
			s.Acked("a")
			s.Known("a")
		}
	})
	for range 200 {
		mustSave(t, s, sample())
	}
}

func TestSaveRefusesWhatCannotBeStored(t *testing.T) {
	path := statePath(t)
	s, _ := mustOpen(t, path)
	for name, c := range map[string]plugin.Changes{
		"year":      {Settings: &plugin.Settings{LastCheck: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}},
		"empty key": {Acked: map[string]*plugin.Acked{"": {}}},
	} {
		if err := s.Save(c); err == nil {
			t.Errorf("%s: saved, want an error", name)
		}
	}
	mustSave(t, s, sample())
	s.Close()
	if err := s.Save(sample()); err == nil {
		t.Error("saved after Close, want an error")
	}
	if _, m := mustOpen(t, path); len(m.Acked) != 1 {
		t.Errorf("read %+v, want 1 entry", m.Acked)
	}
}

func TestLockedByAnother(t *testing.T) {
	path := statePath(t)
	mustOpen(t, path)
	log, _ := newTestLog()
	_, _, err := Open(path, log)
	if err == nil || !strings.Contains(err.Error(), "locked by another process") {
		t.Errorf("error %v, want locked by another process", err)
	}
}

func TestLogIsFolded(t *testing.T) {
	path := statePath(t)
	log, _ := newTestLog()
	s, _, err := openFoldingAt(path, log, 4<<10)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 100 {
		mustSave(t, s, sample())
		info, err := os.Stat(path + ".wal")
		if err != nil || info.Size() > 4<<10 {
			t.Fatalf("log of %d bytes, %v", info.Size(), err)
		}
	}
}

// After random changes, folds, restarts and kills the Store has the same content as
// a plain map (EV-11).
func TestStoreMatchesPlainMap(t *testing.T) {
	names := rapid.SampledFrom([]string{"a", "b", "c@1.0#4", "d+e_f"})
	texts := rapid.StringMatching(`[a-z<"ä\n]{0,8}`)
	status := rapid.Map(rapid.IntRange(0, 4), func(n int) plugin.Status { return plugin.Status(n) })
	moment := rapid.Map(rapid.Int64Range(0, 1e18), func(n int64) time.Time { return time.Unix(0, n).UTC() })
	settings := rapid.Custom(func(t *rapid.T) plugin.Settings {
		return plugin.Settings{
			LastCheck: moment.Draw(t, "at"), Lazy: rapid.Bool().Draw(t, "lazy"),
			ServerIntervals: plugin.Intervals{Pull: time.Duration(rapid.Int64().Draw(t, "pull"))},
		}
	})
	acked := rapid.Custom(func(t *rapid.T) plugin.Acked {
		return plugin.Acked{Version: texts.Draw(t, "version"), Status: status.Draw(t, "status")}
	})
	pending := rapid.Custom(func(t *rapid.T) plugin.PendingReport {
		return plugin.PendingReport{Name: texts.Draw(t, "name"), Status: status.Draw(t, "status"), Since: moment.Draw(t, "since"), Seq: rapid.Uint64().Draw(t, "seq")}
	})
	event := rapid.Custom(func(t *rapid.T) plugin.Event {
		return plugin.Event{ID: texts.Draw(t, "id"), At: moment.Draw(t, "at"), Keywords: map[string]string{"k": texts.Draw(t, "k")}}
	})
	restarts := rapid.Custom(func(t *rapid.T) plugin.RestartRecord {
		return plugin.RestartRecord{Count: rapid.Int().Draw(t, "count"), Cause: texts.Draw(t, "cause"), Stopped: rapid.Bool().Draw(t, "stopped")}
	})
	blocked := rapid.Custom(func(t *rapid.T) plugin.Blocked {
		return plugin.Blocked{Name: texts.Draw(t, "name"), Tries: rapid.Int().Draw(t, "tries"), Next: moment.Draw(t, "next")}
	})
	changes := rapid.Custom(func(t *rapid.T) plugin.Changes {
		return plugin.Changes{
			Settings: rapid.Ptr(settings, true).Draw(t, "settings"),
			Acked:    rapid.MapOfN(names, rapid.Ptr(acked, true), 0, 3).Draw(t, "acked"),
			Pending:  rapid.MapOfN(names, rapid.Ptr(pending, true), 0, 3).Draw(t, "pending"),
			Events:   rapid.MapOfN(rapid.Uint64Range(0, 5), rapid.Ptr(event, true), 0, 3).Draw(t, "events"),
			Restarts: rapid.MapOfN(names, rapid.Ptr(restarts, true), 0, 3).Draw(t, "restarts"),
			Blocked:  rapid.MapOfN(names, rapid.Ptr(blocked, true), 0, 3).Draw(t, "blocked"),
			Sync:     rapid.Bool().Draw(t, "sync"),
		}
	})
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		log, _ := newTestLog()
		folder, err := os.MkdirTemp(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, "state.db")
		var s *Store
		want := emptyMemory
		reopen := func() {
			var got plugin.Memory
			s, got, err = openFoldingAt(path, log, 2<<10)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("memory (-want +got):\n%s", diff)
			}
		}
		reopen()
		defer func() { s.Close() }()
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				reopen()
			case 1:
				s.closeWithoutFold()
				reopen()
			default:
				c := changes.Draw(t, "changes")
				if err := s.Save(c); err != nil {
					t.Fatal(err)
				}
				want = applyChanges(want, c)
			}
		}
		s.closeWithoutFold()
		reopen()
	})
}

// The cost of a batch. Without Sync it must not wait for the disk.
func BenchmarkSave(b *testing.B) {
	for name, sync := range map[string]bool{"process": false, "machine": true} {
		b.Run(name, func(b *testing.B) {
			s, _ := mustOpen(b, statePath(b))
			c := sample()
			c.Sync = sync
			for b.Loop() {
				mustSave(b, s, c)
			}
		})
	}
}
