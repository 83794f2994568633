package boltfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"pgregory.net/rapid"
)

// openAndUse opens a file, reads and writes it, and reports whether it was rejected as
// damaged. An accepted file must be usable without a fault.
func openAndUse(t testing.TB, path string) (rejected bool) {
	t.Helper()
	db, err := Open(t.Context(), path, Options{})
	if err != nil {
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("error %v, want damaged", err)
		}
		return true
	}
	defer db.Close()
	if _, err := countBytes(db); err != nil {
		t.Errorf("reading an accepted file: %v", err)
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

// A file truncated at any length is rejected, unless all pages in use are there; bbolt
// alone faults on most of them.
func TestTruncated(t *testing.T) {
	good, err := os.ReadFile(writeSample(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cut.db")
	rejected := 0
	for size := 0; size < len(good); size += 512 {
		if err := os.WriteFile(path, good[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		if openAndUse(t, path) {
			rejected++
		}
	}
	if rejected < 20 {
		t.Errorf("%d of %d lengths rejected, want 20 or more", rejected, len(good)/512)
	}
}

// Pages that point to themselves or to each other are rejected: bbolt would recurse
// until the stack overflows.
func TestLoops(t *testing.T) {
	good, err := os.ReadFile(writeSample(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "loop.db")
	branches, rejected := 0, 0
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
		if openAndUse(t, path) { // else the page is free
			rejected++
		}
		if order.Uint64(good[at:]) != uint64(at/4096) {
			t.Errorf("page %d: wrong number, the test misreads the format", at/4096)
		}
	}
	if rejected == 0 {
		t.Errorf("0 of %d loops rejected", branches)
	}
}

// No database that bbolt writes is rejected.
func TestVerifyAcceptsBboltFiles(t *testing.T) {
	dir := t.TempDir()
	key := func(id uint64) []byte { return binary.LittleEndian.AppendUint64(nil, id) }
	rapid.Check(t, func(rt *rapid.T) {
		path := filepath.Join(dir, "db")
		_ = os.Remove(path)
		size := rapid.SampledFrom([]int{1024, 4096, 16384, 65536}).Draw(rt, "page size")
		db, err := bbolt.Open(path, 0o640, &bbolt.Options{PageSize: size, NoFreelistSync: rapid.Bool().Draw(rt, "no freelist")})
		if err != nil {
			rt.Fatal(err)
		}
		kept := map[uint64]bool{}
		for range rapid.IntRange(0, 6).Draw(rt, "transactions") {
			err := db.Update(func(tx *bbolt.Tx) error {
				b, err := tx.CreateBucketIfNotExists([]byte("list"))
				for range rapid.IntRange(0, 60).Draw(rt, "writes") {
					id := rapid.Uint64Range(0, 1000).Draw(rt, "id")
					if rapid.IntRange(0, 2).Draw(rt, "delete") == 0 {
						err = errors.Join(err, b.Delete(key(id)))
						delete(kept, id)
						continue
					}
					kept[id] = true
					err = errors.Join(err, b.Put(key(id), make([]byte, rapid.IntRange(0, 3*size/2).Draw(rt, "size"))))
				}
				return err
			})
			if err != nil {
				rt.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			rt.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			rt.Fatal(err)
		}
		defer f.Close()
		if err := verifyFile(f); err != nil {
			rt.Fatalf("%d records %v: %v", len(kept), slices.Sorted(maps.Keys(kept)), err)
		}
	})
}

// A file with one inconsistency is rejected: bbolt would not find a key, would
// overwrite a page in use, or read wrong bytes.
func TestContradictions(t *testing.T) {
	const page = 4096
	good, err := os.ReadFile(writeSample(t))
	if err != nil {
		t.Fatal(err)
	}
	// key returns the n-th key of the leaf page at an offset.
	key := func(b []byte, at, n int) []byte {
		e := b[at+headerSize+n*elementSize:]
		return e[order.Uint32(e[4:]):][:order.Uint32(e[8:])]
	}
	for name, tc := range map[string]struct {
		flags uint16
		spoil func(b []byte, at, count int)
		why   string
	}{
		"a key above its neighbour": {leafFlag, func(b []byte, at, _ int) { key(b, at, 0)[0] = 0xff }, "out of order"},
		"a key below its page's":    {leafFlag, func(b []byte, at, _ int) { key(b, at, 0)[0] = 0 }, "out of order"},
		"a key above its page's":    {leafFlag, func(b []byte, at, count int) { key(b, at, count-1)[0] = 0xff }, "out of order"},
		"a key twice":               {leafFlag, func(b []byte, at, _ int) { copy(key(b, at, 1), key(b, at, 0)) }, "out of order"},
		"an empty key":              {leafFlag, func(b []byte, at, _ int) { order.PutUint32(b[at+headerSize+8:], 0) }, "outside its page"},
		"children out of order": {branchFlag, func(b []byte, at, _ int) {
			first, second := b[at+headerSize:], b[at+headerSize+elementSize:]
			copy(second[order.Uint32(second):][:4], first[order.Uint32(first):])
		}, "out of order"},
		"a branch without children": {branchFlag, func(b []byte, at, _ int) { order.PutUint16(b[at+10:], 0) }, "without children"},
		"a page inside a bucket that has a number": {leafFlag, func(b []byte, at, count int) {
			for n := range count {
				e := b[at+headerSize+n*elementSize:]
				if v := e[order.Uint32(e[4:])+order.Uint32(e[8:]):]; order.Uint32(e)&bucketFlag != 0 && order.Uint64(v) == 0 {
					v[bucketSize] = 7
				}
			}
		}, "without a page"},
		"a free page in use": {freelistFlag, func(b []byte, at, _ int) {
			order.PutUint16(b[at+10:], 1)
			order.PutUint64(b[at+headerSize:], uint64(at/page))
		}, "free and in use"},
		"a header page that is free": {freelistFlag, func(b []byte, at, _ int) {
			order.PutUint16(b[at+10:], 1)
			order.PutUint64(b[at+headerSize:], 1)
		}, "free and in use"},
	} {
		t.Run(name, func(t *testing.T) {
			rejected := 0
			for at := 2 * page; at < len(good); at += page {
				if order.Uint16(good[at+8:]) != tc.flags || order.Uint64(good[at:]) != uint64(at/page) {
					continue
				}
				bad := bytes.Clone(good)
				tc.spoil(bad, at, int(order.Uint16(good[at+10:])))
				err := verifyImage(t, bad)
				if err == nil { // the page is free, or has no neighbour
					continue
				}
				if !errors.Is(err, ErrDamaged) {
					t.Fatal(err)
				}
				if strings.Contains(err.Error(), tc.why) {
					rejected++
				}
			}
			if rejected == 0 {
				t.Errorf("never rejected with %q", tc.why)
			}
		})
	}
}

func verifyImage(t *testing.T, image []byte) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return verifyFile(f)
}

// spoilMetas changes both meta pages and signs them.
func spoilMetas(good []byte, change func(n int, m []byte)) []byte {
	bad := bytes.Clone(good)
	for n := range 2 {
		m := bad[n*4096+headerSize:][:metaSize]
		sum := fnv.New64a()
		change(n, m)
		sum.Write(m[:metaSize-8])
		order.PutUint64(m[metaSize-8:], sum.Sum64())
	}
	return bad
}

func TestMetas(t *testing.T) {
	good, err := os.ReadFile(writeSample(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(n int, m []byte)
		why    string // "" for none
	}{
		"as they are": {func(int, []byte) {}, ""},
		"of a machine with the other byte order": {func(_ int, m []byte) {
			for at, size := range map[int]int{0: 4, 4: 4, 8: 4, 12: 4, 16: 8, 24: 8, 32: 8, 40: 8, 48: 8} {
				slices.Reverse(m[at:][:size])
			}
		}, "not a bbolt database"},
		"of two page sizes":   {func(n int, m []byte) { order.PutUint32(m[8:], uint32(4096<<n)) }, "two page sizes, 4096 and 8192 bytes"},
		"of another version":  {func(_ int, m []byte) { order.PutUint32(m[4:], 3) }, "not a bbolt database"},
		"of an odd page size": {func(_ int, m []byte) { order.PutUint32(m[8:], 4097) }, "page size"},
		"of missing pages":    {func(_ int, m []byte) { order.PutUint64(m[40:], 1<<40) }, "truncated"},
	} {
		t.Run(name, func(t *testing.T) {
			err := verifyImage(t, spoilMetas(good, tc.change))
			if tc.why == "" && err != nil || tc.why != "" && (!errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), tc.why)) {
				t.Errorf("error %v, want %q", err, tc.why)
			}
		})
	}
}

// FuzzOpen overwrites bytes of a good file at one place.
func FuzzOpen(f *testing.F) {
	good, err := os.ReadFile(writeSample(f))
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
		openAndUse(t, path)
	})
}
