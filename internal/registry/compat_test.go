package registry

import (
	"fmt"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"
)

// existing is a record as the existing program writes it.
func existing(name, version string, more string) string {
	return fmt.Sprintf(`{"pluginId":"plugin-%s","name":"%s","arch":"X64","osType":"LINUX","version":"%s","publisher":"acme","url":"http://h/p?a=1\u0026b=2",`+
		`"md5":"d41d8cd98f00b204e9800998ecf8427e","runPath":"main.sh","timeout":"60","isPreInstalled":"false","pluginType":1,"heartbeatInterval":60,`+
		`"isRemoved":false,"addSysTag":false%s}`, name, name, version, more)
}

// What another program wrote we rewrite to the byte but for what we change,
// and leave everything else in the file as it is.
func TestCompatible(t *testing.T) {
	r := root(t)
	rawPut(t, r.path, existing("a", "1.0", ""), existing("b", "1.0", `,"future":{"x":[1,2]},"note":"é"`), existing("c", "1.0", ""))
	raw(t, r.path, func(b *bbolt.Bucket) error {
		other, err := b.Tx().CreateBucketIfNotExists([]byte("another"))
		if err != nil {
			return err
		}
		return other.Put([]byte("k"), []byte("v"))
	})
	want := rawAll(t, r.path)
	rec, found, err := r.Find(t.Context(), "b")
	if err != nil || !found {
		t.Fatal(found, err)
	}
	rec.Version = "2.0"
	if id, err := r.Put(t.Context(), rec); err != nil || id != 2 {
		t.Fatal(id, err)
	}
	want[2] = existing("b", "2.0", `,"future":{"x":[1,2]},"note":"é"`)
	if diff := cmp.Diff(want, rawAll(t, r.path)); diff != "" {
		t.Error(diff)
	}
	whole(t, expect(t, r, "1 a 1.0", "2 b 2.0", "3 c 1.0"))

	rawPut(t, r.path, existing("d", "1.0", "")) // and they go on with ours
	if id := put(t, r, existing("e", "1.0", "")); id != 5 {
		t.Errorf("id %d", id)
	}
	want = maps.Clone(want)
	want[4], want[5] = existing("d", "1.0", ""), existing("e", "1.0", "")
	if diff := cmp.Diff(want, rawAll(t, r.path)); diff != "" {
		t.Error(diff)
	}
	db, err := bbolt.Open(r.path, 0o640, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_ = db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket([]byte("another")); b == nil || string(b.Get([]byte("k"))) != "v" {
			t.Error("another bucket is gone")
		}
		return nil
	})
}
