package registry

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"pluginsupervisor/internal/record"
)

// The parts of the form of a bbolt file that the tests damage.
const (
	pageHeader = 16
	metaSize   = 64
	flagBranch = 0x01
	flagLeaf   = 0x02
)

var byteOrder = binary.NativeEndian

// writeSampleDatabase writes a database with branch pages, overflow pages and free
// ones, and returns its bytes.
func writeSampleDatabase(t testing.TB, path string) []byte {
	t.Helper()
	var values []string
	for i := range 300 {
		values = append(values, minimalRecord(fmt.Sprintf("p%d", i), "1", `"url":"`+strings.Repeat("u", i)+`"`))
	}
	putRaw(t, path, append(values, minimalRecord("large", "1", `"url":"`+strings.Repeat("u", 20_000)+`"`))...)
	editRaw(t, path, func(b *bbolt.Bucket) error {
		for id := uint64(50); id < 200; id++ {
			if err := b.Delete(encodeKey(id)); err != nil {
				return err
			}
		}
		return nil
	})
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A real database truncated at any multiple of 512 bytes is either whole or rebuilt:
// never a panic, a hang, or half of it.
func TestST07CutAnywhere(t *testing.T) { // ST-07
	r := newTestRegistry(t)
	image := writeSampleDatabase(t, r.path)
	unpackPackage(t, r, "agent", "1.0")
	wholes, rebuilds := 0, 0
	for size := 512; size <= len(image); size += 512 {
		cut := New(Options{Root: filepath.Dir(r.dir)})
		overwriteFile(t, r.path, image[:size])
		switch got := listPlugins(t, cut); {
		case len(got.Damaged) == 0 && len(got.Plugins) == 151:
			wholes++
		case len(got.Damaged) == 1 && len(got.Plugins) == 1:
			rebuilds++
		default:
			t.Fatalf("cut at %d: %d plugins, damaged %v", size, len(got.Plugins), got.Damaged)
		}
		for _, name := range listSetAside(t, r) {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if wholes == 0 || rebuilds < 50 {
		t.Errorf("%d whole, %d rebuilt", wholes, rebuilds)
	}
}

// With any wrong bytes an operation returns, with the records or with a rebuilt
// database, and leaves a database that can be written.
func TestST07BytesFlipped(t *testing.T) { // ST-07
	r := newTestRegistry(t)
	image := writeSampleDatabase(t, r.path)
	unpackPackage(t, r, "agent", "1.0")
	page := os.Getpagesize()
	rapid.Check(t, func(rt *rapid.T) {
		spoiled := slices.Clone(image)
		for range rapid.IntRange(1, 8).Draw(rt, "flips") {
			at := rapid.IntRange(0, len(spoiled)-1).Draw(rt, "at")
			if rapid.Bool().Draw(rt, "near the head of a page") {
				at = at/page*page + at%256
			}
			spoiled[at] ^= rapid.ByteRange(1, 255).Draw(rt, "with")
		}
		overwriteFile(t, r.path, spoiled)
		one := New(Options{Root: filepath.Dir(r.dir)})
		if _, err := one.List(t.Context()); err != nil {
			rt.Fatal(err)
		}
		id, err := one.Put(t.Context(), record.Record{Name: "written", Version: "2"})
		if err != nil {
			rt.Fatal(err)
		}
		if !strings.Contains(readAllRaw(t, r.path)[id], `"written"`) {
			rt.Fatal("the record that was put is missing")
		}
		for _, name := range listSetAside(t, r) {
			_ = os.Remove(name)
		}
	})
}

// A page that refers to itself would keep bbolt busy for ever.
func TestST07PageCycle(t *testing.T) { // ST-07
	r := newTestRegistry(t)
	image := writeSampleDatabase(t, r.path)
	page := os.Getpagesize()
	for at := 2 * page; at < len(image); at += page {
		if byteOrder.Uint16(image[at+8:]) == flagBranch {
			byteOrder.PutUint64(image[at+pageHeader+8:], uint64(at/page))
		}
	}
	overwriteFile(t, r.path, image)
	if l := listPlugins(t, r); len(l.Damaged) != 1 || !strings.Contains(l.Damaged[0].Why, "used twice") {
		t.Errorf("%v", l.Damaged)
	}
}

// A record whose key is out of order would not be found.
func TestST07KeyOutOfOrder(t *testing.T) { // ST-07
	r := newTestRegistry(t)
	image := writeSampleDatabase(t, r.path)
	unpackPackage(t, r, "agent", "1.0")
	page := os.Getpagesize()
	for at := 2 * page; at < len(image); at += page {
		if first := image[at+pageHeader:]; byteOrder.Uint16(image[at+8:]) == flagLeaf && byteOrder.Uint16(image[at+10:]) > 1 {
			copy(first[byteOrder.Uint32(first[4:]):], bytes.Repeat([]byte{0xff}, 8))
		}
	}
	overwriteFile(t, r.path, image)
	if l := expectPlugins(t, r, "1 agent 1.0"); len(l.Damaged) != 1 || !strings.Contains(l.Damaged[0].Why, "out of order") {
		t.Errorf("%v", l.Damaged)
	}
}

// A file from a machine with the other byte order is rebuilt, not misread.
func TestST07OtherByteOrder(t *testing.T) { // ST-07
	r := newTestRegistry(t)
	image := writeSampleDatabase(t, r.path)
	unpackPackage(t, r, "agent", "1.0")
	for at := 0; at < 2*os.Getpagesize(); at += os.Getpagesize() {
		m := image[at+pageHeader:][:metaSize]
		for from, size := range map[int]int{0: 4, 4: 4, 8: 4, 12: 4, 16: 8, 24: 8, 32: 8, 40: 8, 48: 8} {
			slices.Reverse(m[from:][:size])
		}
		sum := fnv.New64a()
		sum.Write(m[:metaSize-8])
		byteOrder.PutUint64(m[metaSize-8:], sum.Sum64())
	}
	overwriteFile(t, r.path, image)
	if l := expectPlugins(t, r, "1 agent 1.0"); len(l.Damaged) != 1 || !strings.Contains(l.Damaged[0].Why, "not a bbolt database") {
		t.Errorf("%v", l.Damaged)
	}
}

// A bucket that lost its flag would read as an empty list: all plugins would be
// forgotten.
func TestST07BucketWithoutFlag(t *testing.T) { // ST-07
	r := newTestRegistry(t)
	image := writeSampleDatabase(t, r.path)
	unpackPackage(t, r, "agent", "1.0")
	for at := 0; at < len(image); at += os.Getpagesize() {
		first := image[at+pageHeader:]
		if byteOrder.Uint16(image[at+8:]) == flagLeaf && bytes.Contains(image[at:at+64], []byte(bucketName)) {
			byteOrder.PutUint32(first, 0)
		}
	}
	overwriteFile(t, r.path, image)
	if l := expectPlugins(t, r, "1 agent 1.0"); len(l.Damaged) != 1 || !strings.Contains(l.Damaged[0].Why, "not a bucket") {
		t.Errorf("%v", l.Damaged)
	}
}
