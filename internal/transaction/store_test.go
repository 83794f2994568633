package transaction

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/plugin"
)

func newRecord(t testing.TB, version string) record.Record {
	t.Helper()
	r, err := record.Decode([]byte(`{"name":"p","version":"` + version + `","pluginType":"1","foreign":[1,2]}`))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A saved transaction is found, with the unknown fields of its records.
func TestSaveAndFind(t *testing.T) {
	s := New(t.TempDir(), nil)
	from, to := newRecord(t, "1.0"), newRecord(t, "2.0")
	for name, want := range map[string]Transaction{
		"UP-06 an upgrade":  {Name: "p", From: &from, To: to, OldRan: true, HeartbeatFresh: true, Step: Proving, Began: time.Unix(1, 0).UTC()},
		"UP-08 a first one": {Name: "p", To: to, Made: true, Step: Prepared},
		"UP-06 undone":      {Name: "p", From: &from, To: to, Step: Undoing, Cause: "exit 3"},
		"UP-12 interrupted": {Name: "p", From: &from, To: to, Step: Undoing, Cause: "interrupted", Interrupted: true, LeaveStopped: true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.Save(want); err != nil {
				t.Fatal(err)
			}
			got, found, err := s.Find("p")
			same := cmp.Comparer(func(a, b record.Record) bool {
				x, _ := a.Encode()
				y, _ := b.Encode()
				return string(x) == string(y)
			})
			if diff := cmp.Diff(want, got, same); diff != "" || !found || err != nil {
				t.Error(diff, found, err)
			}
			if b, err := got.To.Encode(); err != nil || !strings.Contains(string(b), `"foreign":[1,2]`) {
				t.Errorf("record %s %v", b, err)
			}
			if all, err := s.ListPending(); len(all) != 1 || err != nil {
				t.Errorf("pending %v %v", all, err)
			}
		})
	}
	if err := s.Remove("p"); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove("p"); err != nil { // there is none
		t.Fatal(err)
	}
	if _, found, err := s.Find("p"); found || err != nil {
		t.Errorf("found after its removal: %v", err)
	}
}

func TestLongNames(t *testing.T) {
	for length := plugin.MaxNameLength - 12; length <= plugin.MaxNameLength; length++ {
		s := New(t.TempDir(), nil)
		name := strings.Repeat("n", length)
		to := newRecord(t, "1.0")
		to.Name = name
		if err := s.Save(Transaction{Name: name, To: to, Step: Prepared}); err != nil {
			t.Fatal(err)
		}
		if all, err := s.ListPending(); err != nil || len(all) != 1 || all[0].Name != name {
			t.Errorf("%d bytes: pending %v %v", length, all, err)
		}
		if err := s.Remove(name); err != nil {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
}

// A damaged file is moved aside and kept.
func TestDamaged(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "cut": `{"name":"p","to":{"na`, "no step": `{"name":"p","to":{"name":"p","version":"1"}}`,
		"of another": `{"name":"q","step":"proving","to":{"name":"q","version":"1"}}`, "no record": `{"name":"p","step":"proving"}`,
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			s := New(root, nil)
			dir := filepath.Join(root, "supervisor", "transactions")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "p.json"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, found, err := s.Find("p"); found || err == nil {
				t.Errorf("found: %t, %v", found, err)
			}
			if _, found, err := s.Find("p"); found || err != nil {
				t.Errorf("the second time: %t, %v", found, err)
			}
			if kept, _ := filepath.Glob(filepath.Join(dir, "p.json.damaged-*")); len(kept) != 1 {
				t.Errorf("kept: %v", kept)
			}
		})
	}
}

// Three damages within a second keep three files.
func TestDamagedFilesAreAllKept(t *testing.T) {
	s := New(t.TempDir(), nil)
	path := layout.Note(s.root, layout.Transactions, "p")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	want := []string{"one", "three", "two"}
	for _, text := range want {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Find("p"); err == nil {
			t.Error("no error")
		}
	}
	kept, err := filepath.Glob(path + ".damaged-*")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, file := range kept {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(text))
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}

func TestQuarantine(t *testing.T) {
	s, now := New(t.TempDir(), nil), time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	b := plugin.QuarantinedVersion{Name: "p", Version: "2.0", Until: now.Add(time.Hour), Cause: "exit 3"}
	if err := s.Quarantine(b); err != nil {
		t.Fatal(err)
	}
	for what, tt := range map[string]struct {
		version string
		now     time.Time
		longest time.Duration
		blocked bool
	}{
		"UP-06 in time":                    {"2.0", now, 2 * time.Hour, true},
		"UP-06 another version":            {"2.1", now, 2 * time.Hour, false},
		"UP-06 expired":                    {"2.0", now.Add(time.Hour), 2 * time.Hour, false},
		"UP-06 the clock was set backward": {"2.0", now.Add(-24 * time.Hour), 2 * time.Hour, false},
	} {
		if got, blocked := s.FindQuarantined("p", tt.version, tt.now, tt.longest); blocked != tt.blocked || blocked && !cmp.Equal(got, b) {
			t.Errorf("%s: blocked %t, want %t: %+v", what, blocked, tt.blocked, got)
		}
	}
	if all, err := s.ListQuarantined(now, 2*time.Hour); err != nil || !cmp.Equal(all, []plugin.QuarantinedVersion{b}) {
		t.Errorf("quarantine %+v, %v; want %+v", all, err, b)
	}
	if all, err := s.ListQuarantined(now.Add(time.Hour), 2*time.Hour); err != nil || len(all) != 0 {
		t.Errorf("expired, but listed: %+v %v", all, err)
	}
	if err := s.RemoveExpired(now, 2*time.Hour); err != nil {
		t.Error(err)
	}
	if _, blocked := s.FindQuarantined("p", "2.0", now, 2*time.Hour); !blocked {
		t.Error("an active quarantine was removed")
	}
	if err := s.RemoveExpired(now.Add(time.Hour), 2*time.Hour); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(layout.Notes(s.root, layout.Quarantine)); err != nil || len(left) != 0 {
		t.Errorf("expired, but not removed: %v, %v", left, err)
	}
	if err := s.LiftQuarantine("p", "2.0"); err != nil {
		t.Error(err)
	}
}

func TestSequence(t *testing.T) {
	root := t.TempDir()
	s := New(root, nil)
	var got []uint64
	for _, n := range []uint64{0, 7, 3, 8} {
		if err := s.SaveSequence(t.Context(), "p", n); err != nil {
			t.Fatal(err)
		}
		last, err := s.LastSequence(t.Context(), "p")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, last)
	}
	if diff := cmp.Diff([]uint64{0, 7, 7, 8}, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if err := os.WriteFile(filepath.Join(root, "supervisor", "sequences", "p.json"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.LastSequence(t.Context(), "p"); err == nil {
		t.Error("a damaged sequence lets a replay pass")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"name":"p","step":"proving","from":{"name":"p","version":"1"},"to":{"name":"p","version":"2"}}`))
	f.Add([]byte(`{"name":"p","step":"undoing","to":{"name":"p","version":"2","x":{}},"began":"2026-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := decode(b)
		if err != nil {
			return
		}
		text, err := first.encode()
		if err != nil {
			return
		}
		again, err := decode(text)
		if err != nil || again.Step != first.Step || again.Name != first.Name || !again.Began.Equal(first.Began) {
			t.Fatalf("%s: %v", text, err)
		}
	})
}
