package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

func damagedf(format string, args ...any) error {
	return &damageError{why: fmt.Sprintf(format, args...)}
}

// checkFile tells why bbolt must not be let loose on the file: a damageError
// for what it holds, any other error for what could not be read. It follows
// every page from the newest valid meta page, as bbolt will, with plain reads.
func checkFile(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return &damageError{why: "the file is empty", empty: true}
	}
	m, err := newestMeta(f, info.Size())
	if err != nil {
		return err
	}
	if whole := uint64(info.Size()) / m.pageSize; m.highWater > whole {
		return damagedf("cut short: %d pages of %d are there", whole, m.highWater)
	}
	c := checker{file: f, meta: m, used: make(map[uint64]bool)}
	if err := c.tree(m.root, nil, nil); err != nil {
		return err
	}
	return c.freelist()
}

// checker follows the pages of one file.
type checker struct {
	file io.ReaderAt
	meta meta
	used map[uint64]bool // pages that something refers to
}

// page reads a page with what overflows from it, and sees to it that nothing
// else refers to it: that keeps tree from running in circles.
func (c *checker) page(id uint64) ([]byte, error) {
	if id < 2 || id >= c.meta.highWater {
		return nil, damagedf("page %d of %d is referred to", id, c.meta.highWater)
	}
	var head [pageHeader]byte
	if err := c.read(head[:], id); err != nil {
		return nil, err
	}
	last := id + uint64(le.Uint32(head[12:]))
	if le.Uint64(head[:]) != id || last >= c.meta.highWater {
		return nil, damagedf("page %d is something else", id)
	}
	for n := id; n <= last; n++ {
		if c.used[n] {
			return nil, damagedf("page %d is used twice", n)
		}
		c.used[n] = true
	}
	b := make([]byte, (last-id+1)*c.meta.pageSize)
	return b, c.read(b, id)
}

func (c *checker) read(b []byte, id uint64) error {
	_, err := c.file.ReadAt(b, int64(id*c.meta.pageSize))
	if errors.Is(err, io.EOF) {
		return damagedf("cut short within page %d", id)
	}
	if err != nil {
		return fmt.Errorf("read page %d: %w", id, err)
	}
	return nil
}

// tree checks a page and all below it. Its keys are at least low and less than
// high, where those are given.
func (c *checker) tree(id uint64, low, high []byte) error {
	b, err := c.page(id)
	if err != nil {
		return err
	}
	switch flags := le.Uint16(b[8:]); flags {
	case flagLeaf:
		return c.leaf(id, b, low, high)
	case flagBranch:
		return c.branch(id, b, low, high)
	default:
		return damagedf("page %d has flags %#x", id, flags)
	}
}

func (c *checker) branch(id uint64, b, low, high []byte) error {
	keys := make([][]byte, le.Uint16(b[10:]))
	if len(keys) == 0 {
		return damagedf("page %d is a branch without children", id)
	}
	for i := range keys {
		at := pageHeader + i*elementHeader
		if at+elementHeader > len(b) {
			return damagedf("page %d is overfull", id)
		}
		key, _, err := element(id, b, at, le.Uint32(b[at:]), le.Uint32(b[at+4:]), 0)
		if err != nil {
			return err
		}
		keys[i] = key
	}
	if err := ordered(id, keys, low, high); err != nil {
		return err
	}
	for i, key := range keys {
		upper := high
		if i+1 < len(keys) {
			upper = keys[i+1]
		}
		if err := c.tree(le.Uint64(b[pageHeader+i*elementHeader+8:]), key, upper); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) leaf(id uint64, b, low, high []byte) error {
	keys := make([][]byte, le.Uint16(b[10:]))
	for i := range keys {
		at := pageHeader + i*elementHeader
		if at+elementHeader > len(b) {
			return damagedf("page %d is overfull", id)
		}
		key, value, err := element(id, b, at, le.Uint32(b[at+4:]), le.Uint32(b[at+8:]), le.Uint32(b[at+12:]))
		if err == nil && le.Uint32(b[at:])&flagSubBucket != 0 {
			err = c.bucket(id, value)
		}
		if err != nil {
			return err
		}
		keys[i] = key
	}
	return ordered(id, keys, low, high)
}

// bucket checks a bucket: one with pages of its own, or a small one that is a
// leaf within its value.
func (c *checker) bucket(id uint64, value []byte) error {
	if len(value) < bucketHeader {
		return damagedf("page %d has a bucket of %d bytes", id, len(value))
	}
	if root := le.Uint64(value); root != 0 {
		return c.tree(root, nil, nil)
	}
	inline := value[bucketHeader:]
	if len(inline) < pageHeader || le.Uint64(inline) != 0 || le.Uint16(inline[8:]) != flagLeaf {
		return damagedf("page %d has a bucket without a page", id)
	}
	return c.leaf(id, inline, nil, nil)
}

// freelist checks the list of free pages: bbolt overwrites what it names.
func (c *checker) freelist() error {
	if c.meta.freelist == noFreelist {
		return nil
	}
	b, err := c.page(c.meta.freelist)
	if err != nil {
		return fmt.Errorf("free list: %w", err)
	}
	count, ids := uint64(le.Uint16(b[10:])), b[pageHeader:]
	if count == countIsInFront && len(ids) >= 8 {
		count, ids = le.Uint64(ids), ids[8:]
	}
	if le.Uint16(b[8:]) != flagFreelist || count > uint64(len(ids)/8) {
		return damagedf("page %d is not the free list", c.meta.freelist)
	}
	for i := range count {
		id := le.Uint64(ids[8*i:])
		if id < 2 || id >= c.meta.highWater || c.used[id] {
			return damagedf("page %d is in the free list", id)
		}
		c.used[id] = true
	}
	return nil
}

// element cuts the key and the value of an element out of its page.
func element(id uint64, b []byte, at int, pos, keySize, valueSize uint32) (key, value []byte, err error) {
	start := uint64(at) + uint64(pos)
	middle := start + uint64(keySize)
	end := middle + uint64(valueSize)
	if keySize == 0 || end > uint64(len(b)) {
		return nil, nil, damagedf("page %d has an element that lies outside", id)
	}
	return b[start:middle], b[middle:end], nil
}

func ordered(id uint64, keys [][]byte, low, high []byte) error {
	for i, key := range keys {
		switch {
		case i == 0 && bytes.Compare(key, low) < 0,
			i > 0 && bytes.Compare(key, keys[i-1]) <= 0,
			high != nil && bytes.Compare(key, high) >= 0:
			return damagedf("page %d has key %x out of order", id, key)
		}
	}
	return nil
}
