package powerfail

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// kind is the kind of an operation.
type kind string

// The kinds. The first four change names, the next two the data of a file.
const (
	opMake     kind = "create" // a new inode under a name
	opLink     kind = "link"
	opRemove   kind = "remove" // a name
	opRename   kind = "rename"
	opWrite    kind = "write"
	opTruncate kind = "truncate"
	opMode     kind = "chmod"
	opFlush    kind = "flush"
	opMark     kind = "mark"   // everything before it is acknowledged
	opSettle   kind = "settle" // everything before it is on the disk
)

// op is one operation of the log.
type op struct {
	Kind  kind
	Inode uint64

	Folder, ToFolder uint64 // of the name, and of the new name
	Name, ToName     string
	Exchange         bool // the two names

	Offset   int64 // of a write; of a truncation the new size
	Data     []byte
	Mode     uint32 // with the type of the inode
	Target   string // of a symbolic link
	DataOnly bool   // fdatasync
	Path     string // of the flushed inode
}

// root is the inode of the file system's root.
const root = 1

// inode is a file, a folder, a symbolic link or a FIFO.
type inode struct {
	mode    uint32
	data    []byte
	sum     [sha256.Size]byte // of the data, in an image
	target  string
	names   map[string]uint64 // of a folder
	changed time.Time
}

func (n *inode) isFolder() bool { return n.mode&unix.S_IFMT == unix.S_IFDIR }

// disk holds the inodes by number.
type disk map[uint64]*inode

func newDisk() disk {
	d := disk{}
	d.add(op{Inode: root, Mode: unix.S_IFDIR | 0o755})
	return d
}

// add adds an inode without a name.
func (d disk) add(o op) {
	d[o.Inode] = &inode{mode: o.Mode, target: o.Target, names: map[string]uint64{}, changed: time.Now()}
}

// changeNames applies an operation that changes names.
func (d disk) changeNames(o op) {
	names := d[o.Folder].names
	switch o.Kind {
	case opMake, opLink:
		names[o.Name] = o.Inode
	case opRemove:
		delete(names, o.Name)
	case opRename:
		to := d[o.ToFolder].names
		moved, replaced := names[o.Name], to[o.ToName]
		delete(names, o.Name)
		if o.Exchange {
			names[o.Name] = replaced
		}
		to[o.ToName] = moved
	}
}

// changeInode applies an operation that changes data or mode.
func (d disk) changeInode(o op) {
	n := d[o.Inode]
	n.changed = time.Now()
	switch o.Kind {
	case opWrite:
		end := o.Offset + int64(len(o.Data))
		n.resize(max(end, int64(len(n.data))))
		copy(n.data[o.Offset:end], o.Data)
	case opTruncate:
		n.resize(o.Offset)
	case opMode:
		n.mode = n.mode&unix.S_IFMT | o.Mode&^unix.S_IFMT
	}
}

func (n *inode) resize(size int64) {
	if more := size - int64(len(n.data)); more > 0 {
		n.data = append(n.data, make([]byte, more)...)
	}
	n.data = n.data[:size:size]
}

// walk calls each with every path below a folder and its inode, a folder before its
// content, in the order of the names.
func (d disk) walk(folder uint64, at string, each func(at string, number uint64) error) error {
	for _, name := range slices.Sorted(maps.Keys(d[folder].names)) {
		number := d[folder].names[name]
		below := name
		if at != "" {
			below = at + "/" + name
		}
		if err := each(below, number); err != nil {
			return fmt.Errorf("%s: %w", below, err)
		}
		if d[number].isFolder() {
			if err := d.walk(number, below, each); err != nil {
				return err
			}
		}
	}
	return nil
}

// pathOf returns the path of an inode, "." for the root, "" for one without a name.
func (d disk) pathOf(wanted uint64) (found string) {
	if wanted == root {
		return "."
	}
	_ = d.walk(root, "", func(at string, number uint64) error { // each never fails
		if number == wanted {
			found = at
		}
		return nil
	})
	return found
}
