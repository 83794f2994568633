package state

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"pluginsupervisor/plugin"
)

// writeSampleFiles returns the bytes of a database with the sample, and of a log
// that changes it.
func writeSampleFiles(t testing.TB) (db, wal []byte, before, after plugin.Memory) {
	t.Helper()
	path := statePath(t)
	s, _ := mustOpen(t, path)
	mustSave(t, s, sample())
	s.Close()
	s, _ = mustOpen(t, path)
	change := plugin.Changes{
		Acked:   map[string]*plugin.Acked{"b": {Version: "3", Status: plugin.StatusFailed}},
		Pending: map[string]*plugin.PendingReport{"a": nil},
	}
	mustSave(t, s, change)
	s.closeWithoutFold()
	db, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wal, err = os.ReadFile(path + ".wal")
	if err != nil {
		t.Fatal(err)
	}
	before = applyChanges(emptyMemory, sample())
	return db, wal, before, applyChanges(before, change)
}

// writeFiles writes the two files.
func writeFiles(t testing.TB, path string, db, wal []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{path: db, path + ".wal": wal} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// SC-18, EV-11: a database truncated at any length never prevents the start, and
// the rest is used.
func TestTruncatedDatabase(t *testing.T) {
	db, wal, before, after := writeSampleFiles(t)
	saved := plugin.Changes{
		Acked:   map[string]*plugin.Acked{"b": {Version: "3", Status: plugin.StatusFailed}},
		Pending: map[string]*plugin.PendingReport{"a": nil},
	}
	moved := 0
	for size := 0; size < len(db); size += 512 {
		path := statePath(t)
		writeFiles(t, path, db[:size], wal)
		s, got := mustOpen(t, path)
		want := after
		if n := len(listAsides(t, path)); n == 1 {
			want, moved = applyChanges(emptyMemory, saved), moved+1 // the log alone
		} else if n != 0 {
			t.Errorf("%d bytes: %d files moved aside, want at most 1", size, n)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d bytes: memory (-want +got):\n%s", size, diff)
		}
		mustSave(t, s, sample())
		s.closeWithoutFold()
		if _, got := mustOpen(t, path); !cmp.Equal(got, applyChanges(want, sample())) {
			t.Errorf("%d bytes: a later start read %+v, want the saved sample", size, got)
		}
	}
	if moved < 8 || moved > len(db)/512-1 && len(before.Acked) > 0 {
		t.Errorf("%d of %d lengths moved aside, want 8 or more, but not all", moved, len(db)/512)
	}
}

// A log truncated at any byte loses the truncated batch and no other.
func TestTruncatedLog(t *testing.T) {
	db, wal, before, after := writeSampleFiles(t)
	for size := 0; size <= len(wal); size += 7 {
		path := statePath(t)
		writeFiles(t, path, db, wal[:size])
		_, got := mustOpen(t, path)
		want := before
		if size == len(wal) {
			want = after
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d bytes: memory (-want +got):\n%s", size, diff)
		}
	}
}

// A log that was folded already is not applied again: the process may have been
// killed before it emptied the log.
func TestOldLogIsNotRead(t *testing.T) {
	path := statePath(t)
	s, _ := mustOpen(t, path)
	mustSave(t, s, sample())
	old, err := os.ReadFile(path + ".wal")
	if err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, plugin.Changes{Pending: map[string]*plugin.PendingReport{"a": nil}})
	s.Close()
	if err := os.WriteFile(path+".wal", old, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, m := mustOpen(t, path); len(m.Pending) != 0 {
		t.Errorf("a delivered report is pending again: %+v", m.Pending)
	}
}

func TestPathIsTaken(t *testing.T) {
	text := []byte(strings.Repeat("all of this\nis no state\n", 500))
	for name, put := range map[string]func(path string) error{
		"empty":    func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"text":     func(p string) error { return os.WriteFile(p, text, 0o600) },
		"zeros":    func(p string) error { return os.WriteFile(p, make([]byte, 40_000), 0o600) },
		"folder":   func(p string) error { return os.MkdirAll(filepath.Join(p, "with", "content"), 0o700) },
		"pipe":     func(p string) error { return unix.Mkfifo(p, 0o600) },
		"no state": writeOtherDatabase,
	} {
		for _, which := range []string{"", ".wal"} {
			t.Run(name+which, func(t *testing.T) {
				path := statePath(t)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := put(path + which); err != nil {
					t.Fatal(err)
				}
				s, m := mustOpen(t, path)
				if diff := cmp.Diff(emptyMemory, m); diff != "" {
					t.Errorf("memory (-want +got):\n%s", diff)
				}
				mustSave(t, s, sample())
				s.closeWithoutFold()
				if _, m := mustOpen(t, path); !cmp.Equal(m, applyChanges(emptyMemory, sample())) {
					t.Errorf("a later start read %+v, want the saved sample", m)
				}
				// An empty log is a new one, and a power failure may leave zeros.
				usable := which == ".wal" && (name == "empty" || name == "zeros") || which == "" && name == "no state"
				if got := len(listAsides(t, path)); got != 1 && !usable || got != 0 && usable {
					t.Errorf("%d files moved aside", got)
				}
			})
		}
	}
}

// writeOtherDatabase writes a valid bbolt file with other content.
func writeOtherDatabase(path string) error {
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("pluginList"))
		if err != nil {
			return err
		}
		return b.Put([]byte("k"), []byte("v"))
	})
	if err != nil {
		return err
	}
	return db.Close()
}

// Entries that cannot be decoded are discarded one by one, each with a warning.
func TestUndecodableEntries(t *testing.T) {
	path := statePath(t)
	s, _ := mustOpen(t, path)
	mustSave(t, s, sample())
	s.Close()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for bucket, entries := range map[string]map[string]string{
			ackedBucket:    {"bad1": "{", "bad2": `{"status":"never heard of"}`, "bad3": ""},
			eventsBucket:   {"not a number": `{}`, "-1": `{}`},
			settingsBucket: {settingsKey: `{"lazy":"perhaps"}`},
			restartsBucket: {"bad": `[1]`},
		} {
			for k, v := range entries {
				if err := tx.Bucket([]byte(bucket)).Put([]byte(k), []byte(v)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	log, hook := newTestLog()
	s, m, err := Open(path, log)
	if err != nil {
		t.Fatal(err)
	}
	want := applyChanges(emptyMemory, sample())
	want.Settings = plugin.Settings{}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("memory (-want +got):\n%s", diff)
	}
	if n := len(hook.AllEntries()); n != 7 {
		t.Errorf("%d warnings, want 7", n)
	}
	if n := len(listAsides(t, path)); n != 0 {
		t.Errorf("%d files moved aside", n)
	}
	s.Close()
	log, hook = newTestLog()
	s, _, err = Open(path, log)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if n := len(hook.AllEntries()); n != 0 {
		t.Errorf("%d warnings when opened again, want 0", n)
	}
}

// Any bytes can be parsed as a log.
func FuzzLog(f *testing.F) {
	_, wal, _, _ := writeSampleFiles(f)
	f.Add(wal)
	f.Add(wal[:len(wal)-1])
	f.Add(bytes.Replace(wal, []byte("acked"), []byte("acxed"), 1))
	f.Add([]byte("00000000 {}\n\n\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		l := parseWAL(b)
		m := image{}
		for _, batch := range l.batches {
			m.apply(batch, false)
		}
		log, _ := newTestLog()
		first := m.decodeMemory(&damages{log: log})
		if again := m.decodeMemory(&damages{log: log}); !cmp.Equal(first, again) {
			t.Errorf("decoded %+v, then %+v", first, again)
		}
		if l.torn > len(b) || l.damaged && l.torn == 0 {
			t.Errorf("torn %d of %d, damaged %v", l.torn, len(b), l.damaged)
		}
	})
}

// A database that is damaged while it is open is moved aside by the next fold, and
// nothing is lost.
func TestDamagedWhileOpen(t *testing.T) {
	for name, end := range map[string]func(*Store) error{
		"seen by Close": (*Store).Close,
		"seen by Save": func(s *Store) error {
			s.foldAt = 1
			err := s.Save(plugin.Changes{Pending: map[string]*plugin.PendingReport{"a": nil}})
			err = errors.Join(err, s.Save(plugin.Changes{Pending: sample().Pending}))
			s.closeWithoutFold()
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := statePath(t)
			s, _ := mustOpen(t, path)
			mustSave(t, s, sample())
			if err := os.Truncate(path, 4096); err != nil {
				t.Fatal(err)
			}
			if err := end(s); err != nil {
				t.Error(err)
			}
			if n := len(listAsides(t, path)); n != 1 {
				t.Errorf("%d files moved aside, want 1", n)
			}
			if _, m := mustOpen(t, path); !cmp.Equal(m, applyChanges(emptyMemory, sample())) {
				t.Errorf("read %+v, want the sample", m)
			}
		})
	}
}

// EV-11: damage is reported with the possible loss, for a day, over restarts, or
// until an operator removes the file that was moved aside. The lines before the
// damage are used.
func TestDamageIsReported(t *testing.T) {
	db, wal, _, after := writeSampleFiles(t)
	path := statePath(t)
	writeFiles(t, path, db, append(bytes.Clone(wal), "garbage\nand more of it\n"...))
	s, m := mustOpen(t, path)
	if diff := cmp.Diff(after, m); diff != "" {
		t.Errorf("memory (-want +got):\n%s", diff)
	}
	s.Close()
	s, _ = mustOpen(t, path)
	got := s.Damaged(time.Now())
	if len(got) != 1 || got[0].Where != "state.db.wal" || !strings.Contains(got[0].Why, "operators' commands") {
		t.Fatalf("damage %+v, want state.db.wal", got)
	}
	if got := s.Damaged(time.Now().Add(25 * time.Hour)); len(got) != 0 {
		t.Errorf("damage after a day: %+v, want none", got)
	}
	for _, name := range listAsides(t, path) {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Damaged(time.Now()); len(got) != 0 {
		t.Errorf("damage after the file was removed: %+v, want none", got)
	}
	s.Close()

	for what, spoil := range map[string]func() error{
		"truncated": func() error { return os.WriteFile(path+".wal", wal[:len(wal)-3], 0o600) },
		"missing":   func() error { return os.Remove(path + ".wal") },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		s, _ = mustOpen(t, path)
		if got := s.Damaged(time.Now()); len(got) != 1 || got[0].Where != "state.db.wal" {
			t.Errorf("%s: damage %+v, want state.db.wal", what, got)
		}
		s.Close()
	}
}
