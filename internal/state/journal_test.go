package state

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

// entry returns the n-th entry, of plugin a or b by turns.
func entry(n int) plugin.Entry {
	return plugin.Entry{
		Seq: uint64(n), At: noon.Add(time.Duration(n) * time.Second), Kind: plugin.EntryState,
		Plugin: string(rune('a' + n%2)), From: plugin.StateRunning, To: plugin.StateCrashLoop, Cause: "exit <3>",
	}
}

func entries(first, last int) (all []plugin.Entry) {
	for n := first; n <= last; n++ {
		all = append(all, entry(n))
	}
	return all
}

func journalChanges(first, last int) plugin.Changes {
	return plugin.Changes{Entries: entries(first, last)}
}

func mustRead(t testing.TB, path string, f Filter) []plugin.Entry {
	t.Helper()
	found, err := ReadJournal(filepath.Dir(path), f)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// EV-12: saved entries stay in the journal, in order, over restarts and kills; the
// numbers continue.
func TestJournalIsKept(t *testing.T) {
	path := statePath(t)
	if got := mustRead(t, path, Filter{}); got != nil {
		t.Fatalf("before the first start: %v", got)
	}
	s, m := mustOpen(t, path)
	if m.Entries != 0 {
		t.Fatalf("last entry %d of a new journal, want 0", m.Entries)
	}
	mustSave(t, s, journalChanges(1, 3))
	full := entry(4)
	full.Exit = &plugin.Exit{At: noon, PID: 7, CauseKnown: true, Signal: "SIGKILL", OOM: true, Output: "bye\x1b[2J\n"}
	full.NextAt, full.Output, full.Kind, full.Decision = noon, "→ <&>", plugin.EntryExit, "restart"
	mustSave(t, s, plugin.Changes{Entries: []plugin.Entry{full}, Sync: true})
	want := append(entries(1, 3), full)
	if diff := cmp.Diff(want, mustRead(t, path, Filter{})); diff != "" {
		t.Errorf("while it runs (-want +got):\n%s", diff)
	}
	s.closeWithoutFold()
	s, m = mustOpen(t, path)
	if m.Entries != 4 {
		t.Errorf("last entry %d, want 4", m.Entries)
	}
	mustSave(t, s, journalChanges(5, 5))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(append(want, entry(5)), mustRead(t, path, Filter{})); diff != "" {
		t.Errorf("afterwards (-want +got):\n%s", diff)
	}
	if n := len(listAsides(t, path)); n != 0 {
		t.Errorf("%d files moved aside, want 0", n)
	}
}

func TestFilter(t *testing.T) {
	path := statePath(t)
	s, _ := mustOpen(t, path)
	mustSave(t, s, journalChanges(1, 10))
	for name, c := range map[string]struct {
		filter Filter
		want   string
	}{
		"all":        {Filter{}, "1 2 3 4 5 6 7 8 9 10"},
		"newest":     {Filter{Limit: 2}, "9 10"},
		"more":       {Filter{Limit: 20}, "1 2 3 4 5 6 7 8 9 10"},
		"plugin":     {Filter{Plugin: "a"}, "2 4 6 8 10"},
		"no plugin":  {Filter{Plugin: "c"}, ""},
		"after":      {Filter{After: 8}, "9 10"},
		"after last": {Filter{After: 10}, ""},
		"since":      {Filter{Since: entry(9).At}, "9 10"},
		"combined":   {Filter{Plugin: "b", After: 2, Since: entry(4).At, Limit: 2}, "7 9"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := joinNumbers(mustRead(t, path, c.filter)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func joinNumbers(all []plugin.Entry) string {
	var n []string
	for _, e := range all {
		n = append(n, fmt.Sprint(e.Seq))
	}
	return strings.Join(n, " ")
}

// EV-12: the journal has a limited size: two files, each within the limit.
func TestJournalIsBounded(t *testing.T) {
	path := statePath(t)
	s, _ := mustOpen(t, path)
	s.journal.max = 2000
	for n := 1; n <= 100; n++ {
		mustSave(t, s, journalChanges(n, n))
		got := mustRead(t, path, Filter{})
		first := int(got[0].Seq)
		if diff := cmp.Diff(entries(first, n), got); diff != "" {
			t.Fatalf("after %d (-want +got):\n%s", n, diff)
		}
		if n > 50 && len(got) < 8 {
			t.Fatalf("after %d entries %d are left, want 8 or more", n, len(got))
		}
	}
	names, err := filepath.Glob(filepath.Join(filepath.Dir(path), "journal*"))
	if err != nil || len(names) != 2 {
		t.Fatalf("files %v, %v", names, err)
	}
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || info.Size() > 2000 {
			t.Errorf("%s: %d bytes, %v", name, info.Size(), err)
		}
	}
	// A kill during the rotation leaves only the older file.
	s.closeWithoutFold()
	if err := os.Remove(layout.Journal(filepath.Dir(path))); err != nil {
		t.Fatal(err)
	}
	older := mustRead(t, path, Filter{Limit: 1})
	if _, m := mustOpen(t, path); m.Entries != older[0].Seq || m.Entries < 80 {
		t.Errorf("last entry %d, want %d", m.Entries, older[0].Seq)
	}
}

// EV-12: a journal truncated at any byte, as by a power failure, loses the
// truncated line and those behind it, and can be continued.
func TestTruncatedJournal(t *testing.T) {
	var lines []byte
	for _, e := range entries(1, 4) {
		line, err := encodeLine(e)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line...)
	}
	dir := t.TempDir()
	log, _ := newTestLog()
	for size := 0; size <= len(lines); size++ {
		n := bytes.Count(lines[:size], []byte("\n"))
		if err := os.WriteFile(layout.Journal(dir), lines[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		before, err := ReadJournal(dir, Filter{})
		if err != nil || !cmp.Equal(before, entries(1, n)) {
			t.Fatalf("%d bytes: read %s, %v before it was opened", size, joinNumbers(before), err)
		}
		j := journal{dir: dir, log: log, damage: &damages{log: log}, max: journalMax}
		if last, err := j.prepare(); last != uint64(n) || err != nil {
			t.Fatalf("%d bytes: last entry %d, %v, want %d", size, last, err, n)
		}
		next, err := encodeLines(entries(n+1, n+1))
		if err != nil {
			t.Fatal(err)
		}
		if err := j.append(backlog{lines: next}); err != nil {
			t.Fatal(err)
		}
		j.closeFile()
		after, err := ReadJournal(dir, Filter{})
		if err != nil || !cmp.Equal(after, entries(1, n+1)) {
			t.Fatalf("%d bytes: read %s, %v afterwards, want 1 to %d", size, joinNumbers(after), err, n+1)
		}
	}
}

// Damaged lines in the middle are skipped and counted.
func TestJournalDamagedLines(t *testing.T) {
	path := statePath(t)
	s, _ := mustOpen(t, path)
	mustSave(t, s, journalChanges(1, 9))
	s.closeWithoutFold()
	file := layout.Journal(filepath.Dir(path))
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(b, []byte("\n"))
	lines[1][40] ^= 1
	lines[4] = bytes.Repeat([]byte{0}, 200)
	lines[4][199] = '\n'
	lines[8][len(lines[8])-5] ^= 1
	if err := os.WriteFile(file, bytes.Join(lines, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	s, m := mustOpen(t, path)
	if m.Entries != 8 {
		t.Errorf("last entry %d, want 8", m.Entries)
	}
	mustSave(t, s, journalChanges(9, 9))
	got, err := ReadJournal(filepath.Dir(path), Filter{})
	skipped := (*SkippedError)(nil)
	if !errors.As(err, &skipped) || skipped.Lines != 3 {
		t.Errorf("error %v, want 3 lines skipped", err)
	}
	if joinNumbers(got) != "1 3 4 6 7 8 9" {
		t.Errorf("read %s, want 1 3 4 6 7 8 9", joinNumbers(got))
	}
}

// EV-11: a folder or pipe at the files' paths never prevents the start.
func TestJournalPathIsTaken(t *testing.T) {
	for name, place := range map[string]func(string) error{
		"a folder": func(p string) error { return os.MkdirAll(filepath.Join(p, "full"), 0o755) },
		"a pipe":   func(p string) error { return unix.Mkfifo(p, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			path := statePath(t)
			dir := filepath.Dir(path)
			for _, file := range []string{layout.Journal(dir), layout.OlderJournal(dir)} {
				if err := errors.Join(os.MkdirAll(dir, 0o755), place(file)); err != nil {
					t.Fatal(err)
				}
			}
			s, m := mustOpen(t, path)
			s.journal.max = 1000
			mustSave(t, s, journalChanges(1, 10))
			got := mustRead(t, path, Filter{})
			if m.Entries != 0 || len(got) == 0 || got[len(got)-1].Seq != 10 {
				t.Errorf("began with %d, read %s, want 0 and entries up to 10", m.Entries, joinNumbers(got))
			}
			moved, err := filepath.Glob(filepath.Join(dir, "journal*.damaged-*"))
			if err != nil || len(moved) != 2 {
				t.Errorf("moved aside: %v, %v, want 2", moved, err)
			}
		})
	}
}

// Lines are read from the end to the beginning, wherever the chunks begin.
func TestReadBackwards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b []byte
		var want []string
		for range rapid.IntRange(0, 6).Draw(t, "lines") {
			length := rapid.SampledFrom([]int{0, 1, 100, chunkSize - 1, chunkSize, chunkSize + 1, 3 * chunkSize}).Draw(t, "length")
			line := strings.Repeat(string(rune('a'+len(want))), length)
			want = append([]string{line}, want...)
			b = append(append(b, line...), '\n')
		}
		whole := len(b)
		b = append(b, bytes.Repeat([]byte("x"), rapid.IntRange(0, 2*chunkSize).Draw(t, "torn"))...)
		var got []string
		err := readBackwards(bytes.NewReader(b), int64(len(b)), func(line []byte) bool {
			got = append(got, string(line))
			return true
		})
		if err != nil || !cmp.Equal(want, got) {
			t.Fatalf("read %d lines, %v, want %d", len(got), err, len(want))
		}
		if n, err := completeLength(bytes.NewReader(b), int64(len(b))); err != nil || n != int64(whole) {
			t.Fatalf("complete length %d, %v, want %d", n, err, whole)
		}
	})
}

func FuzzJournalLine(f *testing.F) {
	for _, e := range []plugin.Entry{{}, entry(7), {Exit: &plugin.Exit{Output: "\x00"}}} {
		line, err := encodeLine(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.TrimSuffix(line, []byte("\n")))
	}
	f.Add([]byte(`{"seq":1,"at":"2026-03-04T12:00:00Z","from":"dancing"}`))
	f.Add([]byte(`{"sum":"00000000",`))
	f.Fuzz(func(t *testing.T, b []byte) {
		decodeLine(b)
		if len(b) == 0 || b[0] != '{' {
			return
		}
		// A line with the right checksum is decoded or rejected, and a decoded
		// entry is encoded unchanged.
		e, ok := decodeLine(addChecksum(b))
		if !ok {
			return
		}
		again, err := encodeLine(e)
		if err != nil {
			return // a time can be read with an offset that cannot be written
		}
		if got, ok := decodeLine(bytes.TrimSuffix(again, []byte("\n"))); !ok || !got.At.Equal(e.At) || got.Seq != e.Seq || got.Cause != e.Cause {
			t.Errorf("%+v became %+v", e, got)
		}
	})
}
