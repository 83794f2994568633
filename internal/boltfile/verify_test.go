package boltfile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// use opens a file and does with it what can be done; it returns whether the
// file was refused. What passes must be usable to the end, without a fault.
func use(t testing.TB, path string) (refused bool) {
	t.Helper()
	db, err := Open(t.Context(), path, Options{})
	if err != nil {
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("error %v, want damaged", err)
		}
		return true
	}
	defer db.Close()
	if _, err := count(db); err != nil {
		t.Errorf("reading what was found good: %v", err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("new"))
		if err != nil {
			return err
		}
		return b.Put([]byte("k"), make([]byte, 5000))
	})
	if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, berrors.ErrIncompatibleValue) {
		t.Errorf("writing: %v", err)
	}
	return false
}

// A file cut short at any length is either whole as far as it is in use, or
// refused; bbolt alone faults on most of them.
func TestCutShort(t *testing.T) {
	good, err := os.ReadFile(fill(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cut.db")
	refused := 0
	for size := 0; size < len(good); size += 512 {
		if err := os.WriteFile(path, good[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		if use(t, path) {
			refused++
		}
	}
	if refused < 20 {
		t.Errorf("only %d of %d lengths refused", refused, len(good)/512)
	}
}

// Pages that point to themselves or at each other are refused: bbolt would
// recurse until the stack ends the process.
func TestLoops(t *testing.T) {
	good, err := os.ReadFile(fill(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "loop.db")
	branches, refused := 0, 0
	for at := 2 * 4096; at+4096 <= len(good); at += 4096 {
		if order.Uint16(good[at+8:]) != branchFlag {
			continue
		}
		branches++
		bad := append([]byte(nil), good...)
		order.PutUint64(bad[at+headerSize+8:], uint64(at/4096))
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if use(t, path) { // else the page is a free one
			refused++
		}
		if order.Uint64(good[at:]) != uint64(at/4096) {
			t.Errorf("page %d: format misread", at/4096)
		}
	}
	if refused == 0 {
		t.Errorf("none of %d loops refused", branches)
	}
}

// FuzzOpen overwrites bytes of a good file at one place.
func FuzzOpen(f *testing.F) {
	good, err := os.ReadFile(fill(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(0), []byte("garbage"))
	f.Add(uint32(16), []byte{1, 2, 3, 4})
	for page := uint32(2); page < 12; page++ {
		f.Add(page*4096, []byte{0xff})                             // its number
		f.Add(page*4096+10, []byte{0xff, 0xff})                    // how much it holds
		f.Add(page*4096+12, []byte{3})                             // its overflow
		f.Add(page*4096+16, []byte{1, 0, 0, 0, 0xff, 0xff, 0xff})  // a key's place
		f.Add(page*4096+24, []byte{0xff, 0xff, 0xff, 0x7f, 0, 0})  // its length
		f.Add(page*4096+32, []byte{1, 0, 0, 0, 20, 0, 0, 0, 4, 0}) // a bucket
	}
	f.Fuzz(func(t *testing.T, at uint32, b []byte) {
		path := filepath.Join(t.TempDir(), "bad.db")
		bad := append([]byte(nil), good...)
		copy(bad[int(at)%len(bad):], b)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		use(t, path)
	})
}
