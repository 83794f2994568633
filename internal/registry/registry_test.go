package registry

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"pluginsupervisor/internal/record"
	"pluginsupervisor/plugin"
)

func putRecord(t *testing.T, r *Registry, text string) uint64 {
	t.Helper()
	rec, err := record.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	id, err := r.Put(t.Context(), rec)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestST01ExistingDatabase(t *testing.T) { // ST-01
	r := newTestRegistry(t)
	putRaw(t, r.path, minimalRecord("a", "1"))
	if err := os.WriteFile(filepath.Join(r.dir, "installed_plugins"), []byte(`{"pluginList":[`+minimalRecord("newer", "2")+`]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(r.path)
	if err != nil {
		t.Fatal(err)
	}
	checkUndamaged(t, expectPlugins(t, r, "1 a 1"))
	after, err := os.ReadFile(r.path)
	if err != nil || string(before) != string(after) {
		t.Errorf("reading changed the file %v", err)
	}
}

func TestST05NumericOrder(t *testing.T) { // ST-05
	r := newTestRegistry(t)
	var values, want []string
	for i := range 700 {
		values = append(values, minimalRecord(fmt.Sprintf("p%d", i), "1"))
		want = append(want, fmt.Sprintf("%d p%d 1", i+1, i))
	}
	putRaw(t, r.path, values...)
	checkUndamaged(t, expectPlugins(t, r, want...))
}

func TestST06OneUndecodableRecord(t *testing.T) { // ST-06
	r := newTestRegistry(t)
	putRaw(t, r.path, minimalRecord("a", "1"), "{oops", minimalRecord("c", "3"))
	editRaw(t, r.path, func(b *bbolt.Bucket) error {
		_, err := b.CreateBucket([]byte("nested"))
		return errors.Join(err, b.Put([]byte("short"), []byte("{}")))
	})
	l := expectPlugins(t, r, "1 a 1", "3 c 3")
	want := []plugin.Damage{
		{Where: "record key 6e6573746564", Why: "not a plugin's record"},
		{Where: "record key 73686f7274", Why: "not a plugin's record"},
		{Where: "record 2", Why: "decode record: malformed: not JSON in line 1: invalid character 'o' looking for beginning of object key string"},
	}
	if diff := cmp.Diff(want, l.Damaged); diff != "" {
		t.Error(diff)
	}
	if id := putRecord(t, r, minimalRecord("d", "4")); id != 4 {
		t.Errorf("new id %d", id)
	}
	if got := readAllRaw(t, r.path)[2]; got != "{oops" {
		t.Errorf("the damaged record became %q", got)
	}
}

func TestST10Duplicates(t *testing.T) { // ST-10
	r := newTestRegistry(t)
	removed := `"isRemoved":true`
	putRaw(t, r.path, minimalRecord("a", "0", removed), minimalRecord("b", "1"), minimalRecord("a", "1"), minimalRecord("a", "2"), minimalRecord("a", "3", removed), minimalRecord("b", "2"))
	checkUndamaged(t, expectPlugins(t, r, "1 a 0 removed", "2 b 1", "3 a 1", "4 a 2 duplicate", "5 a 3 removed", "6 b 2 duplicate"))
	rec, found, err := r.Find(t.Context(), "a")
	if err != nil || !found || rec.ID != 3 {
		t.Errorf("%v %v %v", rec.ID, found, err)
	}
	if _, found, err := r.Find(t.Context(), "c"); err != nil || found {
		t.Errorf("%v %v", found, err)
	}
	if id := putRecord(t, r, minimalRecord("a", "9")); id != 3 {
		t.Errorf("upgraded record %d", id)
	}
	expectPlugins(t, r, "1 a 0 removed", "2 b 1", "3 a 9", "4 a 2 duplicate", "5 a 3 removed", "6 b 2 duplicate")
}

func TestST11BucketAbsent(t *testing.T) { // ST-11
	r := newTestRegistry(t)
	db, err := bbolt.Open(r.path, 0o640, nil)
	if err != nil || db.Close() != nil {
		t.Fatal(err)
	}
	checkUndamaged(t, expectPlugins(t, r))
	if err := r.MarkRemoved(t.Context(), "a"); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("%v", err)
	}
	if id := putRecord(t, r, minimalRecord("a", "1")); id != 1 {
		t.Errorf("id %d", id)
	}
	checkUndamaged(t, expectPlugins(t, r, "1 a 1"))
}

func TestPut(t *testing.T) {
	t.Run("ST-13 reinstalled over a removed record", func(t *testing.T) {
		r := newTestRegistry(t)
		putRaw(t, r.path, minimalRecord("a", "1"), minimalRecord("b", "1"))
		if err := r.MarkRemoved(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		expectPlugins(t, r, "1 a 1 removed", "2 b 1")
		if id := putRecord(t, r, minimalRecord("a", "2")); id != 3 {
			t.Errorf("id %d", id)
		}
		checkUndamaged(t, expectPlugins(t, r, "2 b 1", "3 a 2"))
	})
	t.Run("ST-14 upgraded in place", func(t *testing.T) {
		r := newTestRegistry(t)
		putRaw(t, r.path, minimalRecord("a", "1", `"x":1`, `"y":[2]`), minimalRecord("b", "1"))
		if id := putRecord(t, r, minimalRecord("a", "2", `"y":3`)); id != 1 {
			t.Errorf("id %d", id)
		}
		checkUndamaged(t, expectPlugins(t, r, "1 a 2", "2 b 1"))
		m := decodeMembers(t, readAllRaw(t, r.path)[1])
		if m["x"] != 1.0 || m["y"] != 3.0 {
			t.Errorf("unknown fields: %v", m)
		}
	})
	t.Run("a sequence behind its records overwrites none of them", func(t *testing.T) {
		r := newTestRegistry(t)
		putRaw(t, r.path, minimalRecord("a", "1"), minimalRecord("b", "1"))
		editRaw(t, r.path, func(b *bbolt.Bucket) error { return b.SetSequence(0) })
		if id := putRecord(t, r, minimalRecord("c", "1")); id != 3 {
			t.Errorf("id %d", id)
		}
		checkUndamaged(t, expectPlugins(t, r, "1 a 1", "2 b 1", "3 c 1"))
	})
}

func TestST15Refused(t *testing.T) { // ST-15
	r := newTestRegistry(t)
	bad := []string{
		minimalRecord("..", "1"), minimalRecord("a/b", "1"), minimalRecord("/", "1"), minimalRecord(".removed-a", "1"), minimalRecord("a", "../../x"), minimalRecord("a", ""),
		minimalRecord("a", "1", `"runPath":"../../bin/sh"`), minimalRecord("a", "1", `"runPath":"/bin/sh"`), minimalRecord("a ", "1"),
	}
	putRaw(t, r.path, append([]string{minimalRecord("good", "1")}, bad...)...)
	l := expectPlugins(t, r, "1 good 1")
	if len(l.Damaged) != len(bad) {
		t.Errorf("%d damaged of %d: %v", len(l.Damaged), len(bad), l.Damaged)
	}
	for _, b := range bad {
		rec, err := record.Decode([]byte(b))
		if err != nil {
			continue // no version
		}
		if id, err := r.Put(t.Context(), rec); !errors.Is(err, record.ErrRefused) {
			t.Errorf("%s: put as %d, %v", b, id, err)
		}
	}
	if err := r.MarkRemoved(t.Context(), ".."); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("%v", err)
	}
}
