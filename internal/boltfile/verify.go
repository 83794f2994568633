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

// The parts of bbolt's file format that are needed to verify a file. All numbers are
// in the byte order of the machine.
//
//	page      id u64, flags u16, count u16, overflow u32, then its elements
//	meta      magic u32, version u32, page size u32, flags u32, root bucket
//	          (root page u64, sequence u64), freelist page u64, high-water mark
//	          u64, transaction u64, FNV-64a over all of that
//	branch    count × (pos u32, key size u32, page u64)
//	leaf      count × (flags u32, pos u32, key size u32, value size u32)
//	freelist  count × page u64; a count of 0xFFFF: the first u64 is the count
//
// The value of a leaf element with flag 1 is a bucket: root page and sequence as
// above, and with root page 0 followed by the leaf page itself.
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

// verifyFile reads every page in use, from the newest valid meta page as bbolt does.
// The error wraps ErrDamaged if bbolt could crash on the file or read wrong data. Any
// other error is a failed read.
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
		return damagedf("truncated to %d of %d pages", have, m.end)
	}
	w := walk{f: f, meta: m, seen: map[uint64]bool{0: true, 1: true}}
	if err := w.checkFreelist(); err != nil {
		return err
	}
	w.todo = append(w.todo, subtree{root: m.root})
	for len(w.todo) > 0 {
		next := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		if err := w.checkPage(next); err != nil {
			return err
		}
	}
	return nil
}

// readMeta returns the meta page that bbolt uses: the valid one with the later
// transaction. The offset of the second one depends on the page size, which is in the
// first. If the first is invalid, every page size is tried.
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
			return meta{}, damagedf("two page sizes, %d and %d bytes", first.pageSize, second.pageSize)
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
		return meta{}, damagedf("truncated in its header")
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
		return meta{}, damagedf("invalid page size %d", m.pageSize)
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

// subtree is a page with all pages below it. Its keys are at least low and less than
// high, unless these are nil.
type subtree struct {
	root      uint64
	low, high []byte
}

// readPage returns a page with its overflow pages.
func (w *walk) readPage(id uint64) ([]byte, error) {
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
	if errors.Is(err, io.EOF) { // truncated after its size was read
		return damagedf("truncated in page %d", id)
	}
	if err != nil {
		return fmt.Errorf("read page %d: %w", id, err)
	}
	return nil
}

// checkFreelist checks the list of free pages: the next transaction would overwrite a
// listed page that is in use.
func (w *walk) checkFreelist() error {
	if w.meta.freelist == noFreelist {
		return nil
	}
	b, err := w.readPage(w.meta.freelist)
	if err != nil {
		return err
	}
	if order.Uint16(b[8:]) != freelistFlag {
		return damagedf("page %d is not a list of free pages", w.meta.freelist)
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

// checkPage checks one branch or leaf page and adds the pages below it to todo.
func (w *walk) checkPage(t subtree) error {
	b, err := w.readPage(t.root)
	if err != nil {
		return err
	}
	switch order.Uint16(b[8:]) {
	case leafFlag:
		err = w.checkLeaf(b, t)
	case branchFlag:
		err = w.checkBranch(b, t)
	default:
		err = damagedf("unknown page type")
	}
	if err != nil {
		return fmt.Errorf("page %d: %w", t.root, err)
	}
	return nil
}

func (w *walk) checkBranch(b []byte, t subtree) error {
	keys, err := allocateKeys(b)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return damagedf("branch without children")
	}
	for n := range keys {
		e := b[headerSize+n*elementSize:]
		if keys[n], _, err = elementData(e, order.Uint32(e), order.Uint32(e[4:]), 0); err != nil {
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
	return checkOrder(keys, t)
}

func (w *walk) checkLeaf(b []byte, t subtree) error {
	keys, err := allocateKeys(b)
	if err != nil {
		return err
	}
	for n := range keys {
		e := b[headerSize+n*elementSize:]
		var value []byte
		if keys[n], value, err = elementData(e, order.Uint32(e[4:]), order.Uint32(e[8:]), order.Uint32(e[12:])); err != nil {
			return err
		}
		if order.Uint32(e)&bucketFlag == 0 {
			continue
		}
		if err := w.checkBucket(value); err != nil {
			return err
		}
	}
	return checkOrder(keys, t)
}

// checkBucket adds the root page of a bucket to todo, or checks the leaf page inside
// the bucket.
func (w *walk) checkBucket(v []byte) error {
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
	return w.checkLeaf(inline, subtree{})
}

// allocateKeys returns a slice for the keys of a page. It fails if the elements do not
// fit into the page.
func allocateKeys(b []byte) (keys [][]byte, err error) {
	count := int(order.Uint16(b[10:]))
	if headerSize+count*elementSize > len(b) {
		return nil, damagedf("%d elements in %d bytes", count, len(b))
	}
	return make([][]byte, count), nil
}

// elementData returns the key and the value of an element. They begin at pos in e, the
// bytes from the element on.
func elementData(e []byte, pos, keySize, valueSize uint32) (key, value []byte, err error) {
	middle := uint64(pos) + uint64(keySize)
	end := middle + uint64(valueSize)
	if keySize == 0 || end > uint64(len(e)) {
		return nil, nil, damagedf("element outside its page")
	}
	return e[pos:middle], e[middle:end], nil
}

// checkOrder checks that keys ascend and are within the subtree: bbolt would not find
// others.
func checkOrder(keys [][]byte, t subtree) error {
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
