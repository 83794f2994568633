package registry

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// The layout of a bbolt file, version 2. Its integers are in the byte order of
// the machine, which is little-endian on all that we run on.
const (
	magic          = 0xED0CDAED
	formatVersion  = 2
	metaSize       = 64
	pageHeader     = 16 // id u64, flags u16, count u16, overflow u32
	elementHeader  = 16 // of a leaf: flags, pos, key size, value size; of a branch: pos, key size, page u64
	bucketHeader   = 16 // root page u64, sequence u64
	noFreelist     = ^uint64(0)
	flagBranch     = 0x01
	flagLeaf       = 0x02
	flagFreelist   = 0x10
	flagSubBucket  = 0x01 // of a leaf's element
	smallestPage   = 1 << 10
	largestPage    = 1 << 24
	countIsInFront = 0xFFFF
)

var le = binary.LittleEndian

// meta is what a meta page says.
type meta struct {
	pageSize  uint64
	root      uint64 // page of the root bucket
	freelist  uint64
	highWater uint64 // first page number never used
	txid      uint64
}

// newestMeta finds the meta page of the last transaction that was completed.
func newestMeta(f io.ReaderAt, size int64) (meta, error) {
	first, err := metaAt(f, 0)
	if err != nil {
		return meta{}, err
	}
	if first.pageSize > 0 {
		second, err := metaAt(f, int64(first.pageSize))
		if err != nil || second.pageSize != first.pageSize || second.txid <= first.txid {
			return first, err
		}
		return second, nil
	}
	for at := int64(smallestPage); at <= largestPage && at < size; at <<= 1 {
		second, err := metaAt(f, at)
		if err != nil || second.pageSize == uint64(at) {
			return second, err
		}
	}
	return meta{}, damagedf("not a database: no valid meta page")
}

// metaAt reads the meta page at an offset; its page size is 0 if there is none.
func metaAt(f io.ReaderAt, at int64) (meta, error) {
	var b [pageHeader + metaSize]byte
	if _, err := f.ReadAt(b[:], at); errors.Is(err, io.EOF) {
		return meta{}, nil
	} else if err != nil {
		return meta{}, fmt.Errorf("read meta page: %w", err)
	}
	p := b[pageHeader:]
	sum := fnv.New64a()
	sum.Write(p[:metaSize-8])
	if le.Uint32(p) != magic || le.Uint32(p[4:]) != formatVersion || le.Uint64(p[metaSize-8:]) != sum.Sum64() {
		return meta{}, nil
	}
	m := meta{
		pageSize: uint64(le.Uint32(p[8:])), root: le.Uint64(p[16:]),
		freelist: le.Uint64(p[32:]), highWater: le.Uint64(p[40:]), txid: le.Uint64(p[48:]),
	}
	if m.pageSize < smallestPage || m.pageSize > largestPage || m.pageSize&(m.pageSize-1) != 0 {
		return meta{}, nil
	}
	return m, nil
}
