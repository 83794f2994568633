package powerfail

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
)

// history is the content of the log up to a cut.
type history struct {
	ops    []op // up to the cut
	inodes disk // all inodes, as they were made

	lasting map[int]bool     // operations on names that were flushed, by index
	names   []int            // the others, in their order
	data    map[uint64]opLog // of each file
	modes   map[uint64]opLog // of each inode
	marks   int
}

// opLog holds the indexes of the operations on one inode. The first flushed ones are on
// the disk.
type opLog struct {
	ops     []int
	flushed int
}

func (l opLog) pending() []int { return l.ops[l.flushed:] }

// newHistory reads the operations. The flushes with an index in dropped are left out.
func newHistory(ops []op, dropped map[int]bool) *history {
	h := &history{inodes: newDisk(), lasting: map[int]bool{}, data: map[uint64]opLog{}, modes: map[uint64]opLog{}}
	for i := range ops {
		h.add(i, ops, dropped)
	}
	return h
}

// add adds the next operation, with index i.
func (h *history) add(i int, ops []op, dropped map[int]bool) {
	o := ops[i]
	h.ops = ops[:i+1]
	switch o.Kind {
	case opMake, opLink, opRemove, opRename:
		if o.Kind == opMake {
			h.inodes.add(o)
		}
		h.names = append(h.names, i)
	case opWrite, opTruncate:
		l := h.data[o.Inode]
		l.ops = append(l.ops, i)
		h.data[o.Inode] = l
	case opMode:
		l := h.modes[o.Inode]
		l.ops = append(l.ops, i)
		h.modes[o.Inode] = l
	case opFlush:
		if !dropped[i] {
			h.flushInode(o)
		}
	case opMark:
		h.marks++
	case opSettle:
		h.settleAll()
	}
}

func (h *history) flushInode(o op) {
	flush := func(logs map[uint64]opLog) {
		if l, ok := logs[o.Inode]; ok {
			l.flushed = len(l.ops)
			logs[o.Inode] = l
		}
	}
	flush(h.data)
	if !o.DataOnly {
		flush(h.modes)
	}
	if h.inodes[o.Inode].isFolder() {
		h.flushFolder(o.Inode)
	}
}

// flushFolder makes the changes of a folder's names durable, with the earlier changes
// of folders that a rename connects to it.
func (h *history) flushFolder(number uint64) {
	tied := map[uint64]bool{number: true}
	left := h.names[:0:0]
	for _, i := range slices.Backward(h.names) {
		o := h.ops[i]
		if !tied[o.Folder] && !tied[o.ToFolder] {
			left = append(left, i)
			continue
		}
		h.lasting[i], tied[o.Folder] = true, true
		if o.Kind == opRename {
			tied[o.ToFolder] = true
		}
	}
	slices.Reverse(left)
	h.names = left
}

// settleAll makes everything durable.
func (h *history) settleAll() {
	for number := range h.inodes {
		h.flushInode(op{Inode: number})
	}
	h.marks = 0
}

// choice selects the operations that a power failure leaves.
type choice struct {
	description string
	names       map[int]bool            // in addition to the flushed ones
	data        func(file uint64) []int // operations on the data of a file, in their order
	modes       func(inode uint64) []int
	torn        map[int]part // data operations of which a part is left
	holed       bool         // see Image.Holed
}

// part is the part that is left of a write.
type part int

const (
	firstHalf part = iota + 1
	zeros          // the file has the length but not the data
)

// choices returns what a power failure may leave at the cut. Some choices may have the
// same result.
func (h *history) choices() iter.Seq[choice] {
	flushed := func(logs map[uint64]opLog) func(uint64) []int {
		return func(n uint64) []int { return logs[n].ops[:logs[n].flushed] }
	}
	all := func(logs map[uint64]opLog) func(uint64) []int {
		return func(n uint64) []int { return logs[n].ops }
	}
	everyName := setOf(h.names)
	return func(yield func(choice) bool) {
		for _, data := range []struct {
			what string
			of   func(uint64) []int
		}{{"flushed data", flushed(h.data)}, {"all data", all(h.data)}} {
			least := choice{"flushed names, " + data.what, nil, data.of, flushed(h.modes), nil, false}
			most := choice{"all names, " + data.what, everyName, data.of, all(h.modes), nil, false}
			noModes := most
			noModes.description, noModes.modes = most.description+", flushed modes", flushed(h.modes)
			if !yield(least) || !yield(most) || !yield(noModes) || !h.varyNames(most, yield) ||
				!h.varyData(most, yield) || !h.varyData(least, yield) {
				return
			}
		}
	}
}

// varyNames varies the names of a choice: only the first unflushed changes, or only
// those of one folder.
func (h *history) varyNames(c choice, yield func(choice) bool) bool {
	folders := map[uint64]bool{}
	for k, i := range h.names {
		one := c
		one.description, one.names = fmt.Sprintf("%s, but of the names the first %d changes", c.description, k+1), setOf(h.names[:k+1])
		if !yield(one) {
			return false
		}
		folders[h.ops[i].Folder] = true
	}
	for folder := range folders {
		tied := *h
		tied.lasting = map[int]bool{}
		tied.flushFolder(folder)
		one := c
		one.description, one.names = fmt.Sprintf("%s, but of the names those of folder %d", c.description, folder), tied.lasting
		if !yield(one) {
			return false
		}
	}
	return true
}

// varyData varies the data of one file of a choice.
func (h *history) varyData(c choice, yield func(choice) bool) bool {
	for file, l := range h.data {
		pending := l.pending()
		if len(pending) == 0 {
			continue
		}
		last := pending[len(pending)-1]
		one := func(what string, ops []int, torn map[int]part, holed bool) bool {
			v := c
			v.description = fmt.Sprintf("%s, but of file %d %s", c.description, file, what)
			v.data = func(n uint64) []int {
				if n == file {
					return slices.Concat(l.ops[:l.flushed], ops)
				}
				return c.data(n)
			}
			v.torn, v.holed = torn, holed
			return yield(v)
		}
		for k := 1; k < len(pending); k++ {
			if !one(fmt.Sprintf("the first %d writes", k), pending[:k], nil, false) {
				return false
			}
		}
		ok := one("none of the last writes", nil, nil, false) && one("all writes", pending, nil, false) &&
			one("the last write", pending[len(pending)-1:], nil, len(pending) > 1) &&
			one("all writes but the first", pending[1:], nil, len(pending) > 1) &&
			one("half of the last write", pending, map[int]part{last: firstHalf}, true) &&
			one("the length", pending, mapTo(pending, zeros), true)
		if !ok {
			return false
		}
	}
	return true
}

func setOf(indexes []int) map[int]bool { return mapTo(indexes, true) }

func mapTo[V any](indexes []int, v V) map[int]V {
	m := make(map[int]V, len(indexes))
	for _, i := range indexes {
		m[i] = v
	}
	return m
}

// contents caches the data of files by the operations that made them, because most
// images share most of their files.
type contents map[string]*inode

// buildDisk returns the disk for a choice.
func (h *history) buildDisk(c choice, known contents) disk {
	d := make(disk, len(h.inodes))
	for number, n := range h.inodes {
		file := h.fileContent(c, number, known)
		d[number] = &inode{mode: n.mode, target: n.target, names: map[string]uint64{}, data: file.data, sum: file.sum}
	}
	for i, o := range h.ops {
		if h.lasting[i] || c.names[i] {
			d.changeNames(o)
		}
	}
	for number := range d {
		for _, i := range c.modes(number) {
			d.changeInode(h.ops[i])
		}
	}
	return d
}

// fileContent returns an inode with the data of a file for a choice.
func (h *history) fileContent(c choice, number uint64, known contents) *inode {
	var key []byte
	for _, i := range c.data(number) {
		key = binary.AppendUvarint(binary.AppendUvarint(key, uint64(i)), uint64(c.torn[i]))
	}
	file, found := known[string(key)]
	if !found {
		made := disk{number: {}}
		for _, i := range c.data(number) {
			made.changeInode(c.remainingOp(i, h.ops[i]))
		}
		file = made[number]
		file.sum = sha256.Sum256(file.data)
		known[string(key)] = file
	}
	return file
}

// remainingOp returns the part that is left of a data operation.
func (c choice) remainingOp(i int, o op) op {
	if o.Kind != opWrite {
		return o
	}
	switch c.torn[i] {
	case firstHalf:
		o.Data = o.Data[:len(o.Data)/2]
	case zeros:
		o.Data = make([]byte, len(o.Data))
	}
	return o
}
