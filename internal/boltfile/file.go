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

// File is a database file that is locked, and of whose content nothing is
// known yet.
type File struct {
	file     *os.File // carries the lock
	readOnly bool
}

// maxPause is the longest pause between two tries for a lock.
const maxPause = 50 * time.Millisecond

// Lock opens and locks the file that is at path when the lock is held: the one
// before may have been replaced meanwhile. Errors wrap ErrLocked,
// ErrNotRegular, what the file system said, or the cause of ctx.
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
	// Without O_NONBLOCK a pipe in the file's place would block for ever.
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

// tryLock reports whether the lock was free and the file still is at path.
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

// Open verifies the file and opens it. After an error, and also after the DB was
// found damaged, the file is still locked, until it or the DB is closed. Errors
// wrap ErrDamaged, also ErrEmpty, or what the file system said.
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

// Close releases the file and its lock; a second call does nothing. The lock is
// given back explicitly: a mapping that was left behind would keep it.
func (f *File) Close() error {
	if err := lock.ReleaseFile(f.file); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// Fill copies the complete database at path from into an empty file. Until its
// meta pages are written, at the end, the file is a damaged one; after an error
// it is empty.
func (f *File) Fill(from string) error {
	image, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	metas := 2 * os.Getpagesize() // the size of a page that bbolt chooses
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

// Stamp distinguishes one state of a file from every other. What bbolt writes
// has another transaction number; what anything else writes, another time.
type Stamp struct {
	device, inode    uint64
	size             int64
	changed, written syscall.Timespec
	meta             meta
}

// Stamp returns the stamp of the file; false for one without a good meta page.
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
