package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/failpoint"
	"pluginsupervisor/internal/install/failure"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
)

// folder is a staging folder with the flock that marks it as in use.
type folder struct {
	path string
	lock *os.File // the folder itself
}

func (i *Installer) makeStagingFolder(ctx context.Context) (*folder, error) {
	release, err := i.lockStaging(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	path, err := os.MkdirTemp(layout.Staging(i.cfg.Root), "")
	if err != nil {
		return nil, failure.New(failure.Storage, "make staging folder: %w", err)
	}
	f, err := lockFolder(path)
	if err != nil {
		return nil, failure.New(failure.Storage, "lock staging folder: %w", errors.Join(err, os.Remove(path)))
	}
	return f, nil
}

// lockStaging makes the folder staging and keeps Sweep out of it until release
// is called.
func (i *Installer) lockStaging(ctx context.Context) (release func(), err error) {
	if err := i.cfg.Step.Before("mkdir staging"); err != nil {
		return nil, failure.Because(failure.Storage, err)
	}
	if err := durable.MakeFolder(layout.Staging(i.cfg.Root), 0o700); err != nil {
		return nil, failure.New(failure.Storage, "make staging folder: %w", err)
	}
	release, _, err = lock.Shared(ctx, layout.StagingLock(i.cfg.Root), nil)
	if err != nil {
		return nil, failure.New(failure.Locked, "make staging folder: %w", err)
	}
	return release, nil
}

// lockFolder locks a folder. It fails with lock.ErrHeld when another process
// holds the lock.
func lockFolder(path string) (*folder, error) {
	return lockFolderWith(path, func(f *os.File) error { return lock.TryFile(f, true) })
}

// lockFolderWith locks a folder by take. It fails when the folder was removed
// meanwhile.
func lockFolderWith(path string, take func(*os.File) error) (*folder, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	err = take(f)
	if err == nil {
		err = checkSameFolder(f, path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &folder{path: path, lock: f}, nil
}

// checkSameFolder fails when the folder at path is not the open one.
func checkSameFolder(f *os.File, path string) error {
	open, err := f.Stat()
	if err != nil {
		return err
	}
	there, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !os.SameFile(open, there) {
		return fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return nil
}

// remove removes the folder and releases its lock.
func (f *folder) remove(step failpoint.Step) error {
	defer f.lock.Close()
	if err := step.Before("remove staging"); err != nil {
		return failure.Because(failure.Storage, err)
	}
	if err := os.RemoveAll(f.path); err != nil {
		return failure.New(failure.Storage, "remove staging folder: %w", err)
	}
	return nil
}

// Discard removes the staging folder. After Place with Replace it also removes
// the old folder. It may be called several times.
func (s *Staged) Discard() error {
	if s.folder == nil {
		return nil
	}
	f := s.folder
	s.folder = nil
	err := f.remove(s.cfg.Step)
	if s.placed != "" && s.exchanged && !s.keepReplaced {
		err = errors.Join(err, failure.Because(failure.Storage, RemoveReplaced(s.cfg.Root, s.Config.Name, s.cfg.Step)))
	}
	return err
}

// Sweep removes the staging folders that stopped processes left, and returns
// their number. Folders in use are never touched; folders that were handed over
// and partial downloads stay for a while. It waits while another process makes
// or sweeps a folder, until ctx ends.
func (i *Installer) Sweep(ctx context.Context) (int, error) {
	if _, err := os.Lstat(layout.Staging(i.cfg.Root)); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	release, _, err := lock.Exclusive(ctx, layout.StagingLock(i.cfg.Root), nil)
	if err != nil {
		return 0, failure.New(failure.Locked, "sweep staging: %w", err)
	}
	defer release()
	entries, err := os.ReadDir(layout.Staging(i.cfg.Root))
	if err != nil {
		return 0, failure.New(failure.Storage, "sweep staging: %w", err)
	}
	swept := 0
	var failed []error
	for _, e := range entries {
		path := filepath.Join(layout.Staging(i.cfg.Root), e.Name())
		removed, err := i.sweepEntry(path, e.IsDir())
		switch {
		case removed:
			swept++
		case err != nil && !errors.Is(err, lock.ErrHeld):
			failed = append(failed, fmt.Errorf("sweep %s: %w", path, err))
		}
	}
	return swept, failure.Because(failure.Storage, errors.Join(failed...))
}

func (i *Installer) sweepEntry(path string, isFolder bool) (removed bool, err error) {
	if !isFolder {
		err := os.Remove(path) // not made by this package
		return err == nil, err
	}
	f, err := lockFolder(path)
	if err != nil {
		return false, err
	}
	if i.isKeptForLater(f.path) {
		return false, f.lock.Close()
	}
	err = f.remove(i.cfg.Step)
	return err == nil, err
}

// isKeptForLater reports whether a folder that no process holds is kept for a
// later process.
func (i *Installer) isKeptForLater(path string) bool {
	switch {
	case isPartial(path):
		return i.cfg.Now().Sub(lastWrite(path)) < partialAge
	default:
		handed, err := os.Lstat(filepath.Join(path, handOverFile))
		return err == nil && i.cfg.Now().Sub(handed.ModTime()) < handOverAge
	}
}
