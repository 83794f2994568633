package registry

import (
	"fmt"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"
)

// existingRecord returns a record as the existing program writes it.
func existingRecord(name, version string, more string) string {
	return fmt.Sprintf(`{"pluginId":"plugin-%s","name":"%s","arch":"X64","osType":"LINUX","version":"%s","publisher":"acme","url":"http://h/p?a=1\u0026b=2",`+
		`"md5":"d41d8cd98f00b204e9800998ecf8427e","runPath":"main.sh","timeout":"60","isPreInstalled":"false","pluginType":1,"heartbeatInterval":60,`+
		`"isRemoved":false,"addSysTag":false%s}`, name, name, version, more)
}

// A record of another program is rewritten to the byte, except for changed fields,
// and everything else in the file stays as it is.
func TestCompatible(t *testing.T) {
	r := newTestRegistry(t)
	putRaw(t, r.path, existingRecord("a", "1.0", ""), existingRecord("b", "1.0", `,"future":{"x":[1,2]},"note":"é"`), existingRecord("c", "1.0", ""))
	editRaw(t, r.path, func(b *bbolt.Bucket) error {
		other, err := b.Tx().CreateBucketIfNotExists([]byte("another"))
		if err != nil {
			return err
		}
		return other.Put([]byte("k"), []byte("v"))
	})
	want := readAllRaw(t, r.path)
	rec, found, err := r.Find(t.Context(), "b")
	if err != nil || !found {
		t.Fatal(found, err)
	}
	rec.Version = "2.0"
	if id, err := r.Put(t.Context(), rec); err != nil || id != 2 {
		t.Fatal(id, err)
	}
	want[2] = existingRecord("b", "2.0", `,"future":{"x":[1,2]},"note":"é"`)
	if diff := cmp.Diff(want, readAllRaw(t, r.path)); diff != "" {
		t.Error(diff)
	}
	checkUndamaged(t, expectPlugins(t, r, "1 a 1.0", "2 b 2.0", "3 c 1.0"))

	putRaw(t, r.path, existingRecord("d", "1.0", "")) // the other program continues with our file
	if id := putRecord(t, r, existingRecord("e", "1.0", "")); id != 5 {
		t.Errorf("id %d", id)
	}
	want = maps.Clone(want)
	want[4], want[5] = existingRecord("d", "1.0", ""), existingRecord("e", "1.0", "")
	if diff := cmp.Diff(want, readAllRaw(t, r.path)); diff != "" {
		t.Error(diff)
	}
	db, err := bbolt.Open(r.path, 0o640, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_ = db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket([]byte("another")); b == nil || string(b.Get([]byte("k"))) != "v" {
			t.Error("the other bucket is gone or changed")
		}
		return nil
	})
}
