package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/failpoint"
	"pluginsupervisor/internal/install/failure"
	"pluginsupervisor/internal/layout"
)

// Existing is what to do with a version folder that is there already.
type Existing int

// The ways.
const (
	Refuse  Existing = iota // fail with failure.Exists
	Replace                 // exchange the folders in one step; Discard removes the old one
	Keep                    // as Replace; the old one is kept until PutBack or DropReplaced
)

// Place renames the package to BASE/plugin/<name>/<version> and returns that
// path. At any moment, also in a crash, that folder is whole: the old one, the
// new one, or absent as before. When it succeeds the new one is on disk; after
// an error things are as they were, as far as the disk lets them. The caller
// holds the plugin's name lock alone. A file system that cannot exchange folders
// has the folder absent for a moment (EV-32); PutBack and Recover bring it back.
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
	exchanged := false
	err := moveFolder(s.cfg.Step, "package", s.Dir, to)
	switch {
	case errors.Is(err, fs.ErrExist) && existing == Refuse:
		return failure.New(failure.Exists, "%s %s is installed already", s.Config.Name, s.Config.Version)
	case errors.Is(err, fs.ErrExist):
		if old := layout.Replaced(s.cfg.Root, s.Config.Name); exists(old) { // to be put back or dropped first
			return fmt.Errorf("%s is left of a change that was cut short", old)
		}
		exchanged = true
		err = s.exchange(to)
	}
	if err == nil {
		err = syncFolder(s.cfg.Step, parent)
	}
	s.placed, s.exchanged, s.keeps = to, exchanged, existing == Keep
	if err != nil && (exchanged || !exists(s.Dir)) {
		err = errors.Join(err, s.putBack())
	}
	if err != nil {
		s.placed = ""
	}
	return err
}

// Withdraw undoes a Place that succeeded: the version's folder is what it was
// before, and Discard removes the package.
func (s *Staged) Withdraw() error {
	if s.placed == "" {
		return nil
	}
	if err := s.putBack(); err != nil {
		return failure.Because(failure.Storage, fmt.Errorf("withdraw package: %w", err))
	}
	if !s.exchanged {
		_ = os.Remove(filepath.Dir(s.placed)) // only if nothing else is in it
	}
	s.placed = ""
	return nil
}

// putBack undoes what into did, on the disk too: the package is going to be removed.
func (s *Staged) putBack() error {
	if s.exchanged {
		return PutBack(s.cfg.Root, s.Config.Name, s.Config.Version, s.StagingID(), s.cfg.Step)
	}
	if err := moveFolder(s.cfg.Step, "package back", s.placed, s.Dir); err != nil {
		return err
	}
	return syncFolder(s.cfg.Step, filepath.Dir(s.placed))
}

func (s *Staged) makeParent(plugins, parent string) (made bool, err error) {
	if err := s.cfg.Step.Before("mkdir plugin folder"); err != nil {
		return false, err
	}
	made = !exists(parent)
	for _, dir := range []string{plugins, parent} {
		if err := durable.MakeFolder(dir, 0o755); err != nil { // for plugins that give up root too
			return false, err
		}
	}
	return made, nil
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
