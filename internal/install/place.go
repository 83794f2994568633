package install

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/failpoint"
	"pluginsupervisor/internal/install/failure"
	"pluginsupervisor/internal/layout"
)

// Existing is what to do with a version folder that is there already.
type Existing int

// The two ways.
const (
	Refuse  Existing = iota // fail with failure.Exists
	Replace                 // exchange the folders in one step; Discard removes the old one
)

// Place renames the package to BASE/plugin/<name>/<version> and returns that
// path. At any moment, also in a crash, that folder is whole: the old one, the
// new one, or absent as before. When it succeeds the new one is on disk; after
// an error things are as they were, as far as the disk lets them.
func (s *Staged) Place(existing Existing) (string, error) {
	if s.folder == nil {
		return "", failure.New(failure.Storage, "place package: it was discarded")
	}
	plugins := layout.Plugins(s.cfg.Root)
	parent := layout.Plugin(s.cfg.Root, s.Config.Name)
	to := layout.Version(s.cfg.Root, s.Config.Name, s.Config.Version)
	made, err := s.makeParent(plugins, parent)
	if err == nil {
		err = s.into(parent, to, existing)
	}
	if err != nil {
		if made && s.cfg.Step.Before("remove plugin folder") == nil {
			os.Remove(parent) // only if empty, as it was made here
		}
		return "", failure.Because(failure.Storage, fmt.Errorf("place package: %w", err))
	}
	return to, nil
}

// into renames, and makes it last or undoes it.
func (s *Staged) into(parent, to string, existing Existing) error {
	exchanged, err := s.rename(to, existing)
	if err != nil {
		return err
	}
	if err := errors.Join(syncFolder(s.cfg.Step, parent), syncFolder(s.cfg.Step, filepath.Dir(s.Dir))); err != nil {
		return errors.Join(err, s.putBack(to, exchanged))
	}
	s.placed, s.exchanged = to, exchanged
	return nil
}

// Withdraw undoes a Place that succeeded: the version's folder is what it was
// before, and Discard removes the package.
func (s *Staged) Withdraw() error {
	if s.placed == "" {
		return nil
	}
	if err := s.putBack(s.placed, s.exchanged); err != nil {
		return failure.Because(failure.Storage, fmt.Errorf("withdraw package: %w", err))
	}
	parent := filepath.Dir(s.placed)
	s.placed = ""
	if !s.exchanged {
		_ = os.Remove(parent) // only if nothing else is in it
	}
	return failure.Because(failure.Storage, syncFolder(s.cfg.Step, filepath.Dir(parent)))
}

func (s *Staged) makeParent(plugins, parent string) (made bool, err error) {
	if err := s.cfg.Step.Before("mkdir plugin folder"); err != nil {
		return false, err
	}
	if err := os.MkdirAll(plugins, 0o755); err != nil {
		return false, err
	}
	switch err := os.Mkdir(parent, 0o755); {
	case errors.Is(err, os.ErrExist):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, syncFolder(s.cfg.Step, plugins)
}

// rename tells whether another folder took the place of the new one.
func (s *Staged) rename(to string, existing Existing) (exchanged bool, err error) {
	if err := s.cfg.Step.Before("rename package"); err != nil {
		return false, err
	}
	err = unix.Renameat2(unix.AT_FDCWD, s.Dir, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EEXIST) {
		return false, wrap("rename", to, err)
	}
	if existing == Refuse {
		return false, failure.New(failure.Exists, "%s %s is installed already", s.Config.Name, s.Config.Version)
	}
	err = unix.Renameat2(unix.AT_FDCWD, s.Dir, unix.AT_FDCWD, to, unix.RENAME_EXCHANGE)
	return true, wrap("exchange", to, err)
}

// putBack undoes rename.
func (s *Staged) putBack(to string, exchanged bool) error {
	if err := s.cfg.Step.Before("put back"); err != nil {
		return err
	}
	flags := uint(unix.RENAME_NOREPLACE)
	if exchanged {
		flags = unix.RENAME_EXCHANGE
	}
	return wrap("put back", to, unix.Renameat2(unix.AT_FDCWD, to, unix.AT_FDCWD, s.Dir, flags))
}

func wrap(what, path string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: what, Path: path, Err: err}
}

func syncFolder(step failpoint.Step, path string) error {
	if err := step.Before("fsync folder"); err != nil {
		return err
	}
	return durable.FlushFolder(path)
}
