package boltfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"os"
)

// The file format of bbolt, as far as it has to be known to verify a file. All
// numbers are in the byte order of the machine.
//
//	page      id u64, flags u16, count u16, overflow u32, then its elements
//	meta      magic u32, version u32, page size u32, flags u32, root bucket
//	          (root page u64, sequence u64), freelist page u64, high-water mark
//	          u64, transaction u64, FNV-64a over all of that
//	branch    count × (pos u32, key size u32, page u64)
//	leaf      count × (flags u32, pos u32, key size u32, value size u32)
//	freelist  count × page u64; a count of 0xFFFF: the first u64 is the count
//
// The value of a leaf element with flag 1 is a bucket: root page and sequence
// as above, and with root page 0 the leaf page itself behind them.
const (
	headerSize  = 16
	metaSize    = 64
	elementSize = 16
	bucketSize  = 16

	magic   = 0xED0CDAED
	version = 2

	branchFlag   = 0x01
	leafFlag     = 0x02
	freelistFlag = 0x10
	bucketFlag   = 0x01 // of a leaf's element
	noFreelist   = math.MaxUint64

	minPageSize = 1 << 10
	maxPageSize = 1 << 24
)

var order = binary.NativeEndian

// meta is one of the two meta pages.
type meta struct {
	pageSize            uint64
	root, freelist, end uint64 // pages; end is the high-water mark: the first page not in use
	txid                uint64
}

// damagedf returns an error that wraps ErrDamaged.
func damagedf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// verifyFile reads every page in use, as bbolt will from the newest valid meta
// page, and returns an error that wraps ErrDamaged for what bbolt would trip
// over. Any other error is of a read that failed.
func verifyFile(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return fmt.Errorf("%w: %w", ErrDamaged, ErrEmpty)
	}
	m, err := readMeta(f)
	if err != nil {
		return err
	}
	if have := uint64(info.Size()) / m.pageSize; have < m.end || m.end < 2 {
		return damagedf("cut short, %d pages of %d", have, m.end)
	}
	w := walk{f: f, meta: m, seen: map[uint64]bool{0: true, 1: true}}
	if err := w.freelist(); err != nil {
		return err
	}
	w.todo = append(w.todo, subtree{root: m.root})
	for len(w.todo) > 0 {
		next := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		if err := w.page(next); err != nil {
			return err
		}
	}
	return nil
}

// readMeta returns the meta page bbolt would use: the valid one of the later
// transaction. The second one's place depends on the page size, which only a
// valid first one has; without it every size is tried.
func readMeta(f io.ReaderAt) (meta, error) {
	first, err := readMetaAt(f, 0)
	if err == nil {
		second, err := readMetaAt(f, int64(first.pageSize))
		switch {
		case errors.Is(err, ErrDamaged):
			return first, nil
		case err != nil:
			return meta{}, err
		case second.pageSize != first.pageSize:
			return meta{}, damagedf("pages of %d and of %d bytes", first.pageSize, second.pageSize)
		case second.txid > first.txid:
			return second, nil
		}
		return first, nil
	}
	if !errors.Is(err, ErrDamaged) {
		return meta{}, err
	}
	for size := int64(minPageSize); size <= maxPageSize; size *= 2 {
		second, serr := readMetaAt(f, size)
		switch {
		case serr == nil && second.pageSize == uint64(size):
			return second, nil
		case serr != nil && !errors.Is(serr, ErrDamaged):
			return meta{}, serr
		}
	}
	return meta{}, err
}

func readMetaAt(f io.ReaderAt, at int64) (meta, error) {
	var b [headerSize + metaSize]byte
	switch _, err := f.ReadAt(b[:], at); {
	case errors.Is(err, io.EOF):
		return meta{}, damagedf("cut short inside its header")
	case err != nil:
		return meta{}, fmt.Errorf("read header: %w", err)
	}
	c := b[headerSize:]
	sum := fnv.New64a()
	sum.Write(c[:metaSize-8])
	m := meta{
		pageSize: uint64(order.Uint32(c[8:])), root: order.Uint64(c[16:]),
		freelist: order.Uint64(c[32:]), end: order.Uint64(c[40:]), txid: order.Uint64(c[48:]),
	}
	switch {
	case order.Uint32(c) != magic || order.Uint32(c[4:]) != version:
		return meta{}, damagedf("not a bbolt database")
	case order.Uint64(c[56:]) != sum.Sum64():
		return meta{}, damagedf("wrong checksum in its header")
	case m.pageSize < minPageSize || m.pageSize > maxPageSize || m.pageSize&(m.pageSize-1) != 0:
		return meta{}, damagedf("page size %d", m.pageSize)
	}
	return m, nil
}

// walk visits pages, each at most once.
type walk struct {
	f    io.ReaderAt
	meta meta
	seen map[uint64]bool
	todo []subtree
}

// subtree is a page and all below it, whose keys are at least low and less than
// high, where those are not nil.
type subtree struct {
	root      uint64
	low, high []byte
}

// read returns a page with what overflows it.
func (w *walk) read(id uint64) ([]byte, error) {
	if id >= w.meta.end {
		return nil, damagedf("page %d behind the last, %d", id, w.meta.end-1)
	}
	if w.seen[id] {
		return nil, damagedf("page %d used twice", id)
	}
	var head [headerSize]byte
	if err := w.readAt(head[:], id); err != nil {
		return nil, err
	}
	if got := order.Uint64(head[:]); got != id {
		return nil, damagedf("page %d holds page %d", id, got)
	}
	overflow := uint64(order.Uint32(head[12:]))
	if overflow >= w.meta.end-id {
		return nil, damagedf("page %d overflows by %d pages", id, overflow)
	}
	for n := range overflow + 1 {
		if w.seen[id+n] {
			return nil, damagedf("page %d used twice", id+n)
		}
		w.seen[id+n] = true
	}
	b := make([]byte, (overflow+1)*w.meta.pageSize)
	return b, w.readAt(b, id)
}

func (w *walk) readAt(b []byte, id uint64) error {
	_, err := w.f.ReadAt(b, int64(id*w.meta.pageSize))
	if errors.Is(err, io.EOF) { // since its size was read
		return damagedf("cut short inside page %d", id)
	}
	if err != nil {
		return fmt.Errorf("read page %d: %w", id, err)
	}
	return nil
}

// freelist checks the list of free pages: one that is in use as well would be
// overwritten by the next transaction.
func (w *walk) freelist() error {
	if w.meta.freelist == noFreelist {
		return nil
	}
	b, err := w.read(w.meta.freelist)
	if err != nil {
		return err
	}
	if order.Uint16(b[8:]) != freelistFlag {
		return damagedf("page %d is no list of free pages", w.meta.freelist)
	}
	ids, count := b[headerSize:], uint64(order.Uint16(b[10:]))
	if count == math.MaxUint16 {
		ids, count = ids[8:], order.Uint64(ids)
	}
	if count > uint64(len(ids))/8 {
		return damagedf("%d free pages in a list of %d bytes", count, len(ids))
	}
	for n := range count {
		id := order.Uint64(ids[8*n:])
		if id >= w.meta.end || w.seen[id] {
			return damagedf("page %d is free and in use", id)
		}
		w.seen[id] = true
	}
	return nil
}

// page checks one branch or leaf page and notes the pages below it.
func (w *walk) page(t subtree) error {
	b, err := w.read(t.root)
	if err != nil {
		return err
	}
	switch order.Uint16(b[8:]) {
	case leafFlag:
		err = w.leaf(b, t)
	case branchFlag:
		err = w.branch(b, t)
	default:
		err = damagedf("neither branch nor leaf")
	}
	if err != nil {
		return fmt.Errorf("page %d: %w", t.root, err)
	}
	return nil
}

func (w *walk) branch(b []byte, t subtree) error {
	keys, err := elements(b)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return damagedf("branch without children")
	}
	for n := range keys {
		e := b[headerSize+n*elementSize:]
		if keys[n], _, err = content(e, order.Uint32(e), order.Uint32(e[4:]), 0); err != nil {
			return err
		}
	}
	for n, key := range keys {
		high := t.high
		if n+1 < len(keys) {
			high = keys[n+1]
		}
		w.todo = append(w.todo, subtree{order.Uint64(b[headerSize+n*elementSize+8:]), key, high})
	}
	return ordered(keys, t)
}

func (w *walk) leaf(b []byte, t subtree) error {
	keys, err := elements(b)
	if err != nil {
		return err
	}
	for n := range keys {
		e := b[headerSize+n*elementSize:]
		var value []byte
		if keys[n], value, err = content(e, order.Uint32(e[4:]), order.Uint32(e[8:]), order.Uint32(e[12:])); err != nil {
			return err
		}
		if order.Uint32(e)&bucketFlag == 0 {
			continue
		}
		if err := w.bucket(value); err != nil {
			return err
		}
	}
	return ordered(keys, t)
}

// bucket notes the root page of a bucket, or checks the leaf page inside it.
func (w *walk) bucket(v []byte) error {
	if len(v) < bucketSize {
		return damagedf("bucket of %d bytes", len(v))
	}
	if root := order.Uint64(v); root != 0 {
		w.todo = append(w.todo, subtree{root: root})
		return nil
	}
	inline := v[bucketSize:]
	if len(inline) < headerSize || order.Uint64(inline) != 0 || order.Uint16(inline[8:]) != leafFlag {
		return damagedf("bucket of %d bytes without a page", len(v))
	}
	return w.leaf(inline, subtree{})
}

// elements returns room for the keys of a page, whose elements are all inside.
func elements(b []byte) (keys [][]byte, err error) {
	count := int(order.Uint16(b[10:]))
	if headerSize+count*elementSize > len(b) {
		return nil, damagedf("%d elements in %d bytes", count, len(b))
	}
	return make([][]byte, count), nil
}

// content returns the key and the value of an element, at pos from its
// beginning e.
func content(e []byte, pos, keySize, valueSize uint32) (key, value []byte, err error) {
	middle := uint64(pos) + uint64(keySize)
	end := middle + uint64(valueSize)
	if keySize == 0 || end > uint64(len(e)) {
		return nil, nil, damagedf("element outside its page")
	}
	return e[pos:middle], e[middle:end], nil
}

// ordered checks that keys ascend and are those of the subtree: bbolt would not
// find one that is elsewhere.
func ordered(keys [][]byte, t subtree) error {
	for n, key := range keys {
		switch {
		case n == 0 && bytes.Compare(key, t.low) < 0,
			n > 0 && bytes.Compare(key, keys[n-1]) <= 0,
			t.high != nil && bytes.Compare(key, t.high) >= 0:
			return damagedf("key %x out of order", key)
		}
	}
	return nil
}
