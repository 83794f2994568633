// Package packagestore stores files by the SHA-256 of their bytes in one folder.
//
// A file is written under a temporary name and gets its digest as its name only
// when all of it is on the disk and the caller keeps it. So a file with a digest
// as its name is complete; others are left over from a client that disconnected,
// a full disk or a killed process. Open and RemoveUnwanted remove them.
//
// A lock in the folder limits it to one process at a time: two could remove each
// other's files.
package packagestore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/pause"
)

var (
	// ErrTooLarge is returned for a source with more bytes than allowed.
	ErrTooLarge = errors.New("too large")
	// ErrFull is wrapped when the disk, a quota or a file size limit is exhausted.
	ErrFull = errors.New("disk is full")
)

// lockTimeout is the time that a stopping process may still hold the lock.
const lockTimeout = 2 * time.Second

// Names in the folder beside the digests.
const (
	lockName       = "lock"
	incomingPrefix = "arriving-" // followed by a random number
)

// Store holds an open folder. Its methods may be called by several goroutines at once.
type Store struct {
	dir     string
	release func()
}

// Open opens the folder, creates it if missing, readable by its owner only, and
// removes incomplete files of an earlier process. The error wraps *lock.HeldError
// when another process holds the folder for lockTimeout, or until ctx is done.
func Open(ctx context.Context, dir string) (*Store, error) {
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		err = durable.FlushFolder(filepath.Dir(dir))
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("create folder: %w", err)
	}
	release, err := acquireLock(ctx, filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	d := &Store{dir: dir, release: release}
	if err := d.removeMatching(func(name string) bool { return strings.HasPrefix(name, incomingPrefix) }); err != nil {
		release()
		return nil, err
	}
	return d, nil
}

func acquireLock(ctx context.Context, path string) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	for {
		release, err = lock.TryExclusive(path)
		var held *lock.HeldError
		if !errors.As(err, &held) {
			return release, err
		}
		if pause.Sleep(ctx, 20*time.Millisecond) != nil {
			return nil, err
		}
	}
}

// Close releases the folder. The next Open removes files that are incomplete.
func (d *Store) Close() { d.release() }

// OpenFile opens the file with that digest for reading. The error wraps
// fs.ErrNotExist when there is none.
func (d *Store) OpenFile(sha256 string) (*os.File, error) {
	path, err := d.filePath(sha256)
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

// Remove removes the file with that digest, if it is there.
func (d *Store) Remove(sha256 string) error {
	path, err := d.filePath(sha256)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// RemoveUnwanted removes the files whose digests are not wanted. Nothing may be
// received meanwhile.
func (d *Store) RemoveUnwanted(wanted map[string]bool) error {
	return d.removeMatching(func(name string) bool { return isDigest(name) && !wanted[name] })
}

func (d *Store) removeMatching(matches func(name string) bool) error {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return fmt.Errorf("list folder: %w", err)
	}
	for _, e := range entries {
		if !matches(e.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(d.dir, e.Name())); err != nil {
			return fmt.Errorf("remove file: %w", err)
		}
	}
	return nil
}

// filePath returns the path of a file. Only a digest is accepted, so no path leads
// out of the folder.
func (d *Store) filePath(sha256 string) (string, error) {
	if !isDigest(sha256) {
		return "", fmt.Errorf("%q is not a digest: %w", sha256, fs.ErrNotExist)
	}
	return filepath.Join(d.dir, sha256), nil
}

func isDigest(name string) bool {
	sum, err := hex.DecodeString(name)
	return err == nil && len(sum) == 32 && strings.ToLower(name) == name
}

// wrapFull wraps the errors of an exhausted disk, quota or file size limit in ErrFull.
func wrapFull(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
