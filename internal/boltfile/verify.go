package boltfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"os"
)

// The file format of bbolt, as far as it has to be known to judge a file. All
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

// verifyFile reads every page in use and tells with ErrDamaged what bbolt would
// trip over.
func verifyFile(f *os.File) error {
	m, err := readMeta(f)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if have := uint64(info.Size()) / m.pageSize; have < m.end || m.end < 2 {
		return fmt.Errorf("%w: cut short, %d pages of %d", ErrDamaged, have, m.end)
	}
	w := walk{f: f, meta: m, seen: map[uint64]bool{0: true, 1: true}}
	if err := w.freelist(); err != nil {
		return err
	}
	w.todo = append(w.todo, m.root)
	for len(w.todo) > 0 {
		id := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		if err := w.page(id); err != nil {
			return err
		}
	}
	return nil
}

// readMeta returns the meta page bbolt would use: the valid one of the later
// transaction. The second one's place depends on the page size, which only a
// valid first one tells; without it every size is tried.
func readMeta(f *os.File) (meta, error) {
	first, err := readMetaAt(f, 0)
	if err == nil {
		if second, err := readMetaAt(f, int64(first.pageSize)); err == nil && second.txid > first.txid {
			return second, nil
		}
		return first, nil
	}
	if !errors.Is(err, ErrDamaged) {
		return meta{}, err
	}
	for size := int64(minPageSize); size <= maxPageSize; size *= 2 {
		if second, err := readMetaAt(f, size); err == nil && second.pageSize == uint64(size) {
			return second, nil
		}
	}
	return meta{}, err
}

func readMetaAt(f *os.File, at int64) (meta, error) {
	var b [headerSize + metaSize]byte
	switch _, err := f.ReadAt(b[:], at); {
	case errors.Is(err, io.EOF):
		return meta{}, fmt.Errorf("%w: cut short inside its header", ErrDamaged)
	case err != nil:
		return meta{}, err
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
		return meta{}, fmt.Errorf("%w: not a bbolt database", ErrDamaged)
	case order.Uint64(c[56:]) != sum.Sum64():
		return meta{}, fmt.Errorf("%w: wrong checksum in its header", ErrDamaged)
	case m.pageSize < minPageSize || m.pageSize > maxPageSize || m.pageSize&(m.pageSize-1) != 0:
		return meta{}, fmt.Errorf("%w: page size %d", ErrDamaged, m.pageSize)
	}
	return m, nil
}

// walk visits pages, each at most once.
type walk struct {
	f    *os.File
	meta meta
	seen map[uint64]bool
	todo []uint64
}

// read returns a page with what overflows it.
func (w *walk) read(id uint64) ([]byte, error) {
	if id >= w.meta.end {
		return nil, fmt.Errorf("%w: page %d behind the last, %d", ErrDamaged, id, w.meta.end-1)
	}
	if w.seen[id] {
		return nil, fmt.Errorf("%w: page %d used twice", ErrDamaged, id)
	}
	b := make([]byte, w.meta.pageSize)
	at := int64(id * w.meta.pageSize)
	if _, err := w.f.ReadAt(b, at); err != nil {
		return nil, err
	}
	if got := order.Uint64(b); got != id {
		return nil, fmt.Errorf("%w: page %d holds page %d", ErrDamaged, id, got)
	}
	overflow := uint64(order.Uint32(b[12:]))
	if overflow >= w.meta.end-id {
		return nil, fmt.Errorf("%w: page %d overflows by %d pages", ErrDamaged, id, overflow)
	}
	for n := range overflow + 1 {
		if w.seen[id+n] {
			return nil, fmt.Errorf("%w: page %d used twice", ErrDamaged, id+n)
		}
		w.seen[id+n] = true
	}
	if overflow > 0 {
		b = make([]byte, (overflow+1)*w.meta.pageSize)
		if _, err := w.f.ReadAt(b, at); err != nil {
			return nil, err
		}
	}
	return b, nil
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
		return fmt.Errorf("%w: page %d is no list of free pages", ErrDamaged, w.meta.freelist)
	}
	ids, count := b[headerSize:], uint64(order.Uint16(b[10:]))
	if count == math.MaxUint16 {
		ids, count = ids[8:], order.Uint64(ids)
	}
	if count > uint64(len(ids))/8 {
		return fmt.Errorf("%w: %d free pages in a list of %d bytes", ErrDamaged, count, len(ids))
	}
	for n := range count {
		id := order.Uint64(ids[8*n:])
		if id >= w.meta.end || w.seen[id] {
			return fmt.Errorf("%w: page %d is free and in use", ErrDamaged, id)
		}
		w.seen[id] = true
	}
	return nil
}

// page checks one branch or leaf page and notes the pages below it.
func (w *walk) page(id uint64) error {
	b, err := w.read(id)
	if err != nil {
		return err
	}
	if err := w.elements(b, true); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

// elements checks what a page holds. Only a page of its own may be a branch.
func (w *walk) elements(b []byte, branches bool) error {
	flags, count := order.Uint16(b[8:]), int(order.Uint16(b[10:]))
	if headerSize+count*elementSize > len(b) {
		return fmt.Errorf("%w: %d elements in %d bytes", ErrDamaged, count, len(b))
	}
	branch := branches && flags == branchFlag && count > 0
	if !branch && flags != leafFlag {
		return fmt.Errorf("%w: neither branch nor leaf", ErrDamaged)
	}
	for n := range count {
		e := b[headerSize+n*elementSize:]
		if branch {
			if uint64(order.Uint32(e))+uint64(order.Uint32(e[4:])) > uint64(len(e)) {
				return fmt.Errorf("%w: key outside its page", ErrDamaged)
			}
			w.todo = append(w.todo, order.Uint64(e[8:]))
			continue
		}
		pos := uint64(order.Uint32(e[4:])) + uint64(order.Uint32(e[8:]))
		size := uint64(order.Uint32(e[12:]))
		if pos+size > uint64(len(e)) {
			return fmt.Errorf("%w: value outside its page", ErrDamaged)
		}
		if order.Uint32(e)&1 == 0 {
			continue
		}
		if err := w.bucket(e[pos : pos+size]); err != nil {
			return err
		}
	}
	return nil
}

// bucket notes the root page of a bucket, or checks the page inside it.
func (w *walk) bucket(v []byte) error {
	if len(v) < bucketSize {
		return fmt.Errorf("%w: bucket of %d bytes", ErrDamaged, len(v))
	}
	if root := order.Uint64(v); root != 0 {
		w.todo = append(w.todo, root)
		return nil
	}
	if len(v) < bucketSize+headerSize {
		return fmt.Errorf("%w: bucket of %d bytes", ErrDamaged, len(v))
	}
	return w.elements(v[bucketSize:], false)
}
