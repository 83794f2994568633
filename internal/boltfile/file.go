package boltfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/pause"
)

// File is a locked database file that is not verified yet.
type File struct {
	file     *os.File // carries the lock
	readOnly bool
}

// maxPause is the longest pause between two attempts to lock.
const maxPause = 50 * time.Millisecond

// Lock opens and locks the file at path. If the file is replaced while it waits, it
// locks the new one. Errors wrap ErrLocked, ErrNotRegular, an error of the file
// system, or the cause of ctx.
func Lock(ctx context.Context, path string, o Options) (*File, error) {
	if o.Mode == 0 {
		o.Mode = 0o640
	}
	deadline := time.Now().Add(o.Wait)
	for pauses := pause.NewDoubling(time.Millisecond, maxPause); ; {
		f, err := openFile(path, o)
		if err != nil {
			return nil, err
		}
		got, err := f.tryLock(path)
		if got {
			return f, nil
		}
		_ = f.Close()
		if err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
		left := time.Until(deadline)
		if left <= 0 {
			return nil, fmt.Errorf("%w, waited %s", ErrLocked, o.Wait.Round(time.Millisecond))
		}
		if err := pause.Sleep(ctx, min(pauses.Next(), left)); err != nil {
			return nil, fmt.Errorf("wait for the lock: %w", err)
		}
	}
}

// openFile opens or creates the file.
func openFile(path string, o Options) (*File, error) {
	flag := os.O_RDWR
	if o.ReadOnly {
		flag = os.O_RDONLY
	}
	// Without O_NONBLOCK a pipe at the path would block forever.
	f, err := os.OpenFile(path, flag|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) && o.Create {
		if err := createWhole(path, o.Mode); err != nil {
			return nil, err
		}
		return openFile(path, Options{ReadOnly: o.ReadOnly})
	}
	switch {
	case errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENXIO):
		return nil, ErrNotRegular
	case err != nil:
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = ErrNotRegular
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &File{file: f, readOnly: o.ReadOnly}, nil
}

// tryLock takes the lock and reports whether it was free and the file is still at
// path.
func (f *File) tryLock(path string) (bool, error) {
	err := lock.TryFile(f.file, !f.readOnly)
	if errors.Is(err, lock.ErrHeld) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	own, err := f.file.Stat()
	if err != nil {
		return false, err
	}
	current, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(own, current), err
}

// Open verifies the file and opens it. The file stays locked until it or the DB is
// closed, also after an error or damage. Errors wrap ErrDamaged, also ErrEmpty, or an
// error of the file system.
func (f *File) Open() (*DB, error) {
	if err := verifyFile(f.file); err != nil {
		return nil, err
	}
	db := &DB{file: f}
	err := Guard(func() (err error) {
		db.bolt, err = bbolt.Open(f.file.Name(), 0, &bbolt.Options{
			ReadOnly:     f.readOnly,
			NoStatistics: true,
			FreelistType: bbolt.FreelistMapType,
			OpenFile:     func(string, int, os.FileMode) (*os.File, error) { return f.file, nil },
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return db, nil
}

// Close closes the file and releases its lock; a second call does nothing. It
// releases the lock explicitly, because a remaining mapping would keep it.
func (f *File) Close() error {
	if err := lock.ReleaseFile(f.file); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// Fill copies the complete database at path from into an empty file. The file is a
// damaged database until its meta pages are written, at the end. After an error it is
// empty.
func (f *File) Fill(from string) error {
	image, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	metas := 2 * os.Getpagesize() // bbolt uses the page size of the system
	for _, part := range []struct{ from, to int }{{metas, len(image)}, {0, metas}} {
		if _, err = f.file.WriteAt(image[part.from:part.to], int64(part.from)); err == nil {
			err = f.file.Sync()
		}
		if err != nil {
			_ = f.file.Truncate(0)
			return err
		}
	}
	return nil
}

// Stamp identifies one state of a file. A write of bbolt changes the transaction
// number, any other write the time.
type Stamp struct {
	device, inode    uint64
	size             int64
	changed, written syscall.Timespec
	meta             meta
}

// Stamp returns the stamp of the file; false for one without a valid meta page.
func (f *File) Stamp() (Stamp, bool) {
	info, err := f.file.Stat()
	if err != nil {
		return Stamp{}, false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return Stamp{}, false
	}
	m, err := readMeta(f.file)
	return Stamp{device: s.Dev, inode: s.Ino, size: s.Size, changed: s.Ctim, written: s.Mtim, meta: m}, err == nil
}
