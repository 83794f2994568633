package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"pluginsupervisor/plugin"
)

// EV-11, EV-12: entries stay pending while the disk is full. The first Save that
// succeeds writes them in order and each once, also after a partly written line.
func TestJournalOnAFullFileSystem(t *testing.T) {
	dir := mountSmall(t)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 900<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "state.db")
	s, _ := mustOpen(t, path)
	failed := 0
	const last = 2000
	for n := 1; n <= last; n++ {
		if err := s.Save(journalChanges(n, n)); err != nil {
			failed++
			if !errors.Is(err, unix.ENOSPC) {
				t.Fatalf("error %v, want no space", err)
			}
		}
	}
	if failed == 0 {
		t.Error("no Save failed on a full disk")
	}
	if got := mustRead(t, path, Filter{}); len(got) == 0 || len(got) >= last {
		t.Errorf("%d entries while it is full, want some of %d", len(got), last)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, plugin.Changes{})
	if diff := cmp.Diff(entries(1, last), mustRead(t, path, Filter{})); diff != "" {
		t.Errorf("afterwards (-want +got):\n%s", diff)
	}
	s.closeWithoutFold()
	if _, m := mustOpen(t, path); m.Entries != last {
		t.Errorf("last entry %d, want %d", m.Entries, last)
	}
}

// EV-11: at most 10,000 entries are pending; an entry reports how many were
// discarded.
func TestJournalDiscardsTheOldest(t *testing.T) {
	for name, c := range map[string]struct {
		last   int
		output string
		atMost int
	}{
		"many":  {maxPendingLines + 500, "", maxPendingLines},
		"large": {2000, strings.Repeat("x", 4096), 1100},
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "supervisor")
			if err := os.WriteFile(folder, []byte("in the way"), 0o600); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(folder, "state.db")
			s, _ := mustOpen(t, path)
			for n := 1; n <= c.last; n += 100 {
				batch := entries(n, n+99)
				for i := range batch {
					batch[i].Output = c.output
				}
				if err := s.Save(plugin.Changes{Entries: batch}); !errors.Is(err, unix.ENOTDIR) {
					t.Fatalf("error %v, want not a directory", err)
				}
			}
			if err := os.Remove(folder); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			got := mustRead(t, path, Filter{})
			first := int(got[0].Seq)
			if len(got) > c.atMost+1 || joinNumbers(got) != joinNumbers(entries(first, c.last)) {
				t.Fatalf("%d entries from %d, want at most %d to %d", len(got), first, c.atMost, c.last)
			}
			want := fmt.Sprintf("discarded %d entries", first)
			if got[0].Kind != plugin.EntryHost || !strings.Contains(got[0].Decision, want) {
				t.Errorf("first entry %+v, want %q", got[0], want)
			}
		})
	}
}

// An entry that cannot be encoded is rejected at once.
func TestJournalRefusesWhatCannotBeWritten(t *testing.T) {
	path := statePath(t)
	s, _ := mustOpen(t, path)
	bad := plugin.Entry{Seq: 1, At: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}
	if err := s.Save(plugin.Changes{Entries: []plugin.Entry{bad}}); err == nil {
		t.Error("saved, want an error")
	}
	mustSave(t, s, journalChanges(1, 1))
}

// A reader misses no entry while a supervisor writes and renames the files.
func TestJournalReadWhileWritten(t *testing.T) {
	path := statePath(t)
	s, _ := mustOpen(t, path)
	s.journal.max = 20_000 // both files hold far more than the last 50
	mustSave(t, s, journalChanges(1, 50))
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for last := 0; last < 3000; {
				got, err := ReadJournal(filepath.Dir(path), Filter{Limit: 50})
				if err != nil {
					t.Error(err)
					return
				}
				now := int(got[len(got)-1].Seq)
				if now < last || joinNumbers(got) != joinNumbers(entries(now-49, now)) {
					t.Errorf("after %d: read %s, want the last 50 entries", last, joinNumbers(got))
					return
				}
				last = now
			}
		})
	}
	for n := 51; n <= 3000; n++ {
		mustSave(t, s, journalChanges(n, n))
	}
	readers.Wait()
}
