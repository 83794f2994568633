package powerfail

import (
	"cmp"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Names that the recording process looks up in the root to log a mark or a settle.
const (
	markName   = ".powerfail-mark"
	settleName = ".powerfail-settle"
)

// serve serves the file system at a folder until standard input is closed. It writes
// operations to log, and an error of mounting to ready, which it closes.
func serve(folder string, ready io.WriteCloser, log io.Writer) error {
	s := &server{RawFileSystem: fuse.NewDefaultRawFileSystem(), disk: newDisk(), last: root, log: gob.NewEncoder(log)}
	fs, err := fuse.NewServer(s, folder, &fuse.MountOptions{
		DirectMount: true, MaxWrite: 1 << 20, Name: "powerfail", DisableXAttrs: true, DisableReadDirPlus: true,
	})
	if err != nil {
		fmt.Fprint(ready, err)
		return errors.Join(err, ready.Close())
	}
	go fs.Serve()
	err = errors.Join(fs.WaitMount(), ready.Close())
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test process closes it or exits
	for range 100 {
		if failed := fs.Unmount(); failed == nil {
			break
		}
		time.Sleep(10 * time.Millisecond) // a file is still open
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(err, s.failed)
}

// server is a file system in memory that logs changes. Node ids are inode numbers; an
// inode stays when its last name is removed.
type server struct {
	fuse.RawFileSystem

	mu     sync.Mutex
	disk   disk
	last   uint64 // number of the newest inode
	log    *gob.Encoder
	failed error // of the log
}

// record logs an operation that was applied to the disk in memory.
func (s *server) record(o op) fuse.Status {
	if err := s.log.Encode(o); err != nil {
		s.failed = errors.Join(s.failed, err)
		return fuse.EIO
	}
	return fuse.OK
}

func (s *server) String() string { return "powerfail" }

func (s *server) fillAttr(number uint64, out *fuse.Attr) {
	n := s.disk[number]
	out.Ino, out.Mode, out.Nlink, out.Blksize = number, n.mode, 1, 4096
	out.Size = uint64(len(n.data) + len(n.target))
	out.Blocks = (out.Size + 511) / 512
	out.Owner = *fuse.CurrentOwner()
	out.SetTimes(&n.changed, &n.changed, &n.changed)
}

func (s *server) fillEntry(number uint64, out *fuse.EntryOut) {
	out.NodeId, out.Generation = number, 1
	s.fillAttr(number, &out.Attr)
}

func (s *server) Lookup(_ <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch name {
	case markName:
		s.record(op{Kind: opMark})
	case settleName:
		s.record(op{Kind: opSettle})
	}
	number, found := s.disk[in.NodeId].names[name]
	if !found {
		return fuse.ENOENT
	}
	s.fillEntry(number, out)
	return fuse.OK
}

func (s *server) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fillAttr(in.NodeId, &out.Attr)
	return fuse.OK
}

// SetAttr sets size and mode. It ignores owners and times, which are not tested.
func (s *server) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := fuse.OK
	if size, ok := in.GetSize(); ok {
		status = s.changeInode(op{Kind: opTruncate, Inode: in.NodeId, Offset: int64(size)})
	}
	if mode, ok := in.GetMode(); ok && mode != s.disk[in.NodeId].mode&^unix.S_IFMT {
		status = s.changeInode(op{Kind: opMode, Inode: in.NodeId, Mode: mode})
	}
	s.fillAttr(in.NodeId, &out.Attr)
	return status
}

func (s *server) changeInode(o op) fuse.Status {
	s.disk.changeInode(o)
	return s.record(o)
}

// addNode makes an inode under a new name.
func (s *server) addNode(folder uint64, name string, mode uint32, target string, out *fuse.EntryOut) fuse.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.disk[folder].names[name]; taken {
		return fuse.Status(unix.EEXIST)
	}
	s.last++
	o := op{Kind: opMake, Inode: s.last, Folder: folder, Name: name, Mode: mode, Target: target}
	s.disk.add(o)
	s.disk.changeNames(o)
	s.fillEntry(o.Inode, out)
	return s.record(o)
}

func (s *server) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return s.addNode(in.NodeId, name, unix.S_IFDIR|in.Mode, "", out)
}

func (s *server) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	return s.addNode(in.NodeId, name, in.Mode, "", out)
}

func (s *server) Symlink(_ <-chan struct{}, in *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	return s.addNode(in.NodeId, name, unix.S_IFLNK|0o777, target, out)
}

func (s *server) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	return s.addNode(in.NodeId, name, unix.S_IFREG|in.Mode&^unix.S_IFMT, "", &out.EntryOut)
}

func (s *server) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.disk[in.NodeId].names[name]; taken {
		return fuse.Status(unix.EEXIST)
	}
	o := op{Kind: opLink, Inode: in.Oldnodeid, Folder: in.NodeId, Name: name}
	s.disk.changeNames(o)
	s.fillEntry(o.Inode, out)
	return s.record(o)
}

func (s *server) Unlink(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return s.removeName(in.NodeId, name)
}

func (s *server) Rmdir(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return s.removeName(in.NodeId, name)
}

func (s *server) removeName(folder uint64, name string) fuse.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	number, found := s.disk[folder].names[name]
	switch {
	case !found:
		return fuse.ENOENT
	case len(s.disk[number].names) > 0:
		return fuse.Status(unix.ENOTEMPTY)
	}
	o := op{Kind: opRemove, Inode: number, Folder: folder, Name: name}
	s.disk.changeNames(o)
	return s.record(o)
}

func (s *server) Rename(_ <-chan struct{}, in *fuse.RenameIn, name, toName string) fuse.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	number, found := s.disk[in.NodeId].names[name]
	there, taken := s.disk[in.Newdir].names[toName]
	exchange := in.Flags&unix.RENAME_EXCHANGE != 0
	switch {
	case !found, exchange && !taken:
		return fuse.ENOENT
	case taken && in.Flags&unix.RENAME_NOREPLACE != 0:
		return fuse.Status(unix.EEXIST)
	case taken && !exchange && len(s.disk[there].names) > 0:
		return fuse.Status(unix.ENOTEMPTY)
	}
	o := op{Kind: opRename, Inode: number, Folder: in.NodeId, Name: name, ToFolder: in.Newdir, ToName: toName, Exchange: exchange}
	s.disk.changeNames(o)
	return s.record(o)
}

func (s *server) Readlink(_ <-chan struct{}, in *fuse.InHeader) ([]byte, fuse.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []byte(s.disk[in.NodeId].target), fuse.OK
}

func (s *server) Open(_ <-chan struct{}, in *fuse.OpenIn, _ *fuse.OpenOut) fuse.Status {
	if in.Flags&unix.O_TRUNC == 0 {
		return fuse.OK
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changeInode(op{Kind: opTruncate, Inode: in.NodeId})
}

func (s *server) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data := s.disk[in.NodeId].data
	data = data[min(in.Offset, uint64(len(data))):]
	return fuse.ReadResultData(buf[:copy(buf, data)]), fuse.OK
}

func (s *server) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint32(len(data)), s.changeInode(op{Kind: opWrite, Inode: in.NodeId, Offset: int64(in.Offset), Data: data})
}

func (s *server) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	const dataOnly = 1
	return s.record(op{Kind: opFlush, Inode: in.NodeId, DataOnly: in.FsyncFlags&dataOnly != 0, Path: s.disk.pathOf(in.NodeId)})
}

func (s *server) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return s.Fsync(cancel, in)
}

func (s *server) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.OK }

func (s *server) OpenDir(<-chan struct{}, *fuse.OpenIn, *fuse.OpenOut) fuse.Status { return fuse.OK }

func (s *server) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := s.disk[in.NodeId].names
	sorted := slices.SortedFunc(maps.Keys(names), func(a, b string) int { return cmp.Compare(names[a], names[b]) })
	for _, name := range sorted {
		number := names[name] // also the offset, so that entries may be removed between two reads
		e := fuse.DirEntry{Name: name, Ino: number, Mode: s.disk[number].mode, Off: number}
		if number > in.Offset && !out.AddDirEntry(e) {
			break
		}
	}
	return fuse.OK
}

func (s *server) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	const blocks = 1 << 20
	out.Blocks, out.Bfree, out.Bavail, out.Files, out.Ffree = blocks, blocks, blocks, blocks, blocks
	out.Bsize, out.Frsize, out.NameLen = 4096, 4096, 255
	return fuse.OK
}
