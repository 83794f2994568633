package powerfail

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
)

// history is what the log says up to a cut.
type history struct {
	ops    []op // as far as the cut
	inodes disk // all of them, as they were made

	lasting map[int]bool   // operations on names that were flushed, by index
	names   []int          // the others, in their order
	data    map[uint64]log // of each file
	modes   map[uint64]log // of each inode
	marks   int
}

// log holds the operations on one inode, by index. The first flushed of them are
// on the disk.
type log struct {
	ops     []int
	flushed int
}

func (l log) pending() []int { return l.ops[l.flushed:] }

// newHistory reads the operations. The flushes of the indexes in dropped did not
// happen.
func newHistory(ops []op, dropped map[int]bool) *history {
	h := &history{inodes: newDisk(), lasting: map[int]bool{}, data: map[uint64]log{}, modes: map[uint64]log{}}
	for i := range ops {
		h.add(i, ops, dropped)
	}
	return h
}

// add adds the operation of an index, which is the next one.
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
			h.flush(o)
		}
	case opMark:
		h.marks++
	case opSettle:
		h.settle()
	}
}

func (h *history) flush(o op) {
	flush := func(logs map[uint64]log) {
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

// flushFolder makes the changes of a folder's names last, and those before them
// of the folders that a rename ties to it.
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

// settle makes everything last.
func (h *history) settle() {
	for number := range h.inodes {
		h.flush(op{Inode: number})
	}
	h.marks = 0
}

// choice is what of the history a power failure leaves.
type choice struct {
	what  string
	names map[int]bool            // beside those that were flushed
	data  func(file uint64) []int // operations on the data of a file, in their order
	modes func(inode uint64) []int
	torn  map[int]part // of the data's operations, those of which a part is left
	holed bool         // a part of what was not flushed is left, and not the part before it
}

// part is what is left of a write.
type part int

const (
	firstHalf part = iota + 1
	zeros          // the file has the length and not the data
)

// choices returns what a power failure may leave at the cut. That some choices
// come to the same is not looked at.
func (h *history) choices() iter.Seq[choice] {
	flushed := func(logs map[uint64]log) func(uint64) []int {
		return func(n uint64) []int { return logs[n].ops[:logs[n].flushed] }
	}
	all := func(logs map[uint64]log) func(uint64) []int {
		return func(n uint64) []int { return logs[n].ops }
	}
	everyName := set(h.names)
	return func(yield func(choice) bool) {
		for _, data := range []struct {
			what string
			of   func(uint64) []int
		}{{"flushed data", flushed(h.data)}, {"all data", all(h.data)}} {
			least := choice{"flushed names, " + data.what, nil, data.of, flushed(h.modes), nil, false}
			most := choice{"all names, " + data.what, everyName, data.of, all(h.modes), nil, false}
			noModes := most
			noModes.what, noModes.modes = most.what+", flushed modes", flushed(h.modes)
			if !yield(least) || !yield(most) || !yield(noModes) || !h.someNames(most, yield) ||
				!h.someData(most, yield) || !h.someData(least, yield) {
				return
			}
		}
	}
}

// someNames varies the names of a choice: the first of those that were not flushed,
// and those of one folder.
func (h *history) someNames(c choice, yield func(choice) bool) bool {
	folders := map[uint64]bool{}
	for k, i := range h.names {
		one := c
		one.what, one.names = fmt.Sprintf("%s, but of the names the first %d changes", c.what, k+1), set(h.names[:k+1])
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
		one.what, one.names = fmt.Sprintf("%s, but of the names those of folder %d", c.what, folder), tied.lasting
		if !yield(one) {
			return false
		}
	}
	return true
}

// someData varies the data of one file of a choice.
func (h *history) someData(c choice, yield func(choice) bool) bool {
	for file, l := range h.data {
		pending := l.pending()
		if len(pending) == 0 {
			continue
		}
		last := pending[len(pending)-1]
		one := func(what string, ops []int, torn map[int]part, holed bool) bool {
			v := c
			v.what = fmt.Sprintf("%s, but of file %d %s", c.what, file, what)
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
			one("the length", pending, setTo(pending, zeros), true)
		if !ok {
			return false
		}
	}
	return true
}

func set(indexes []int) map[int]bool { return setTo(indexes, true) }

func setTo[V any](indexes []int, v V) map[int]V {
	m := make(map[int]V, len(indexes))
	for _, i := range indexes {
		m[i] = v
	}
	return m
}

// contents holds the data of files by the operations that made them: most images
// share most of their files.
type contents map[string]*inode

// disk returns the disk that a choice leaves.
func (h *history) disk(c choice, known contents) disk {
	d := make(disk, len(h.inodes))
	for number, n := range h.inodes {
		file := h.content(c, number, known)
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

// content returns an inode with the data that a choice leaves of a file.
func (h *history) content(c choice, number uint64, known contents) *inode {
	var key []byte
	for _, i := range c.data(number) {
		key = binary.AppendUvarint(binary.AppendUvarint(key, uint64(i)), uint64(c.torn[i]))
	}
	file, found := known[string(key)]
	if !found {
		made := disk{number: {}}
		for _, i := range c.data(number) {
			made.changeInode(c.left(i, h.ops[i]))
		}
		file = made[number]
		file.sum = sha256.Sum256(file.data)
		known[string(key)] = file
	}
	return file
}

// left returns what is left of an operation on data.
func (c choice) left(i int, o op) op {
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
