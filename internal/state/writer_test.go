package state

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

// stallingDisk is a disk whose writes hang while it is stalled.
type stallingDisk struct {
	mu   sync.Mutex
	thaw chan struct{} // nil while it answers
}

func (d *stallingDisk) stall() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.thaw = make(chan struct{})
}

func (d *stallingDisk) resume() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.thaw)
	d.thaw = nil
}

func (d *stallingDisk) step(string) error {
	d.mu.Lock()
	thaw := d.thaw
	d.mu.Unlock()
	if thaw != nil {
		<-thaw
	}
	return nil
}

// EV-25: a stalled disk delays only the first Save, by the limit. Once it answers,
// later changes are written in order, and each entry once.
func TestStalledDisk(t *testing.T) {
	path, disk := statePath(t), &stallingDisk{}
	log, _ := newTestLog()
	s := newStore(path, log)
	s.limit, s.step = 50*time.Millisecond, disk.step
	if _, _, err := s.openStore(); err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, journalChanges(1, 1))
	disk.stall()
	began := time.Now()
	for n := 2; n <= 50; n++ {
		if err := s.Save(journalChanges(n, n)); !errors.Is(err, errStalled) {
			t.Fatalf("save %d: %v", n, err)
		}
	}
	if took := time.Since(began); took > 40*s.limit {
		t.Errorf("49 saves took %v", took)
	}
	if err := s.Save(sample()); !errors.Is(err, errStalled) {
		t.Errorf("error %v", err)
	}
	if v, ok := s.Acked("a"); v != "1.0" || !ok {
		t.Errorf("Acked = %q, %v", v, ok)
	}
	if !errors.Is(s.Problem(), errStalled) {
		t.Errorf("problem %v", s.Problem())
	}
	disk.resume()
	s.limit = 10 * time.Second
	for s.Problem() != nil {
		time.Sleep(time.Millisecond)
	}
	mustSave(t, s, journalChanges(51, 51))
	if diff := cmp.Diff(entries(1, 51), mustRead(t, path, Filter{})); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
	s.closeWithoutFold()
	if _, m := mustOpen(t, path); len(m.Acked) != 1 || m.Entries != 51 {
		t.Errorf("remembered %+v", m)
	}
}

// EV-25: Open waits for a stalled disk no longer than Save, and reads what can be
// read.
func TestStalledDiskAtStart(t *testing.T) {
	path, disk := statePath(t), &stallingDisk{}
	s, _ := mustOpen(t, path)
	mustSave(t, s, sample())
	mustSave(t, s, journalChanges(1, 7))
	s.closeWithoutFold()
	log, hook := newTestLog()
	s = newStore(path, log)
	s.limit, s.step = 50*time.Millisecond, disk.step
	disk.stall()
	_, m, err := s.openStore()
	if err != nil {
		t.Fatal(err)
	}
	want := applyChanges(emptyMemory, sample())
	want.Entries = 7
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("memory (-want +got):\n%s", diff)
	}
	if !wasLogged(hook, "in memory only") {
		t.Error("no log line about memory only")
	}
	if err := s.Save(plugin.Changes{Pending: map[string]*plugin.PendingReport{"a": nil}}); !errors.Is(err, errStalled) {
		t.Errorf("error %v", err)
	}
	disk.resume()
	s.limit = 10 * time.Second
	for s.Problem() != nil {
		time.Sleep(time.Millisecond)
	}
	mustSave(t, s, plugin.Changes{})
	s.closeWithoutFold()
	if _, m := mustOpen(t, path); len(m.Pending) != 0 || len(m.Acked) != 1 {
		t.Errorf("afterwards %+v", m)
	}
}

// EV-25: Close does not wait for a stalled disk.
func TestCloseOnStalledDisk(t *testing.T) {
	disk := &stallingDisk{}
	log, _ := newTestLog()
	s := newStore(statePath(t), log)
	s.limit, s.step = 50*time.Millisecond, disk.step
	if _, _, err := s.openStore(); err != nil {
		t.Fatal(err)
	}
	disk.stall()
	if err := s.Close(); !errors.Is(err, errStalled) {
		t.Errorf("error %v", err)
	}
	disk.resume()
	<-s.done
}

// EV-25: pending journal lines are limited and in order while the disk stalls.
func TestBacklog(t *testing.T) {
	var older, later backlog
	push := func(b *backlog, first, last int) {
		for n := first; n <= last; n++ {
			b.push(journalLine{seq: uint64(n), line: []byte("x")})
		}
	}
	push(&older, 1, 5)
	push(&later, 6, 8)
	older.appendLater(later)
	if len(older.lines) != 8 || older.lines[7].seq != 8 || older.discarded != 0 || older.bytes != 8 {
		t.Errorf("%+v", older)
	}
	later = backlog{}
	push(&later, 9, 9+maxPendingLines) // one more than fits
	older.appendLater(later)
	if older.discarded != 9 || older.lastDiscarded.seq != 9 || older.lines[0].seq != 10 || len(older.lines) != maxPendingLines {
		t.Errorf("lost %d up to %d, then %d lines from %d", older.discarded, older.lastDiscarded.seq, len(older.lines), older.lines[0].seq)
	}
}

// EV-29: removed or replaced files are created again by the next write or by Check,
// and nothing saved is lost.
func TestFilesRemoved(t *testing.T) {
	remove := func(names ...string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			for _, name := range names {
				if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"state.db":     remove("state.db"),
		"state.db.wal": remove("state.db.wal"),
		"the journal":  remove("journal.jsonl"),
		"all of them":  remove("."),
		"replaced": func(t *testing.T, dir string) {
			for _, name := range []string{"state.db", "state.db.wal", "journal.jsonl"} {
				path := filepath.Join(dir, name)
				if err := errors.Join(os.WriteFile(path+".other", []byte("not ours\nat all\n"), 0o600), os.Rename(path+".other", path)); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		for _, by := range []string{"Save", "Check"} {
			t.Run(name+" by "+by, func(t *testing.T) {
				path := statePath(t)
				dir := filepath.Dir(path)
				s, _ := mustOpen(t, path)
				mustSave(t, s, sample())
				mustSave(t, s, journalChanges(1, 1))
				if name == "all of them" {
					if err := os.RemoveAll(dir); err != nil {
						t.Fatal(err)
					}
				} else {
					spoil(t, dir)
				}
				if by == "Save" {
					mustSave(t, s, journalChanges(2, 2))
				} else {
					s.Check()
					for !filesExist(s, dir) {
						time.Sleep(time.Millisecond)
					}
					mustSave(t, s, journalChanges(2, 2))
				}
				if got := joinNumbers(mustReadGood(t, path)); got != "2" && got != "1 2" {
					t.Errorf("journal has %s, want 2 or 1 2", got)
				}
				s.closeWithoutFold()
				if _, m := mustOpen(t, path); !cmp.Equal(m.Acked, applyChanges(emptyMemory, sample()).Acked) || m.Entries != 2 {
					t.Errorf("remembered %+v", m)
				}
			})
		}
	}
}

// filesExist reports whether the state's files exist and the last write succeeded.
func filesExist(s *Store, dir string) bool {
	for _, path := range []string{s.path, layout.WAL(s.path), layout.Journal(dir)} {
		if _, err := os.Stat(path); err != nil {
			return false
		}
	}
	return s.Problem() == nil
}

func mustReadGood(t *testing.T, path string) []plugin.Entry {
	t.Helper()
	got, err := ReadJournal(filepath.Dir(path), Filter{})
	if skipped := (*SkippedError)(nil); err != nil && !errors.As(err, &skipped) {
		t.Fatal(err)
	}
	return got
}

// EV-28: on a full file system the state opens, stays in memory, and is written
// once that is possible.
func TestOpenOnFullFileSystem(t *testing.T) {
	dir := mountSmall(t)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("error %v, want no space", err)
	}
	path := filepath.Join(dir, "supervisor", "state.db")
	s, m := mustOpen(t, path)
	if diff := cmp.Diff(emptyMemory, m); diff != "" {
		t.Errorf("memory (-want +got):\n%s", diff)
	}
	if err := s.Save(sample()); !errors.Is(err, unix.ENOSPC) || !durable.IsRefused(err) {
		t.Errorf("error %v", err)
	}
	if s.Problem() == nil {
		t.Error("Problem is nil after a failed Save")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, plugin.Changes{})
	s.closeWithoutFold()
	if _, m := mustOpen(t, path); !cmp.Equal(m, applyChanges(emptyMemory, sample())) {
		t.Errorf("remembered %+v", m)
	}
}
