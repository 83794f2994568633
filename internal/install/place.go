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

// Existing selects how Place handles an existing version folder.
type Existing int

// The choices.
const (
	Refuse  Existing = iota // fail with failure.Exists
	Replace                 // exchange the folders in one step; Discard removes the old one
	Keep                    // as Replace, but the old one stays until PutBack or RemoveReplaced
)

// Place renames the package to BASE/plugin/<name>/<version> and returns that
// path. At any moment, also after a crash, that folder is complete: the old one,
// the new one, or absent as before. On success the new one is flushed to disk;
// after an error the change is undone as far as the disk permits. The caller
// holds the plugin's name lock exclusively. On a file system that cannot exchange
// folders the folder is absent for a moment (EV-32); after a crash PutBack and
// Recover restore it.
func (s *Staged) Place(existing Existing) (string, error) {
	if s.folder == nil {
		return "", failure.New(failure.Storage, "place package: it was discarded")
	}
	plugins := layout.Plugins(s.cfg.Root)
	parent := layout.Plugin(s.cfg.Root, s.Config.Name)
	to := layout.Version(s.cfg.Root, s.Config.Name, s.Config.Version)
	made, err := s.makeParent(plugins, parent)
	if err == nil {
		err = s.moveInto(parent, to, existing)
	}
	if err != nil {
		if made && s.cfg.Step.Before("remove plugin folder") == nil {
			os.Remove(parent) // made here; fails unless empty
		}
		return "", failure.Because(failure.Storage, fmt.Errorf("place package: %w", err))
	}
	return to, nil
}

// moveInto moves the package to the folder to, and flushes or undoes the move.
func (s *Staged) moveInto(parent, to string, existing Existing) error {
	exchanged := false
	err := moveFolder(s.cfg.Step, "package", s.Dir, to)
	switch {
	case errors.Is(err, fs.ErrExist) && existing == Refuse:
		return failure.New(failure.Exists, "%s %s is installed already", s.Config.Name, s.Config.Version)
	case errors.Is(err, fs.ErrExist):
		if old := layout.Replaced(s.cfg.Root, s.Config.Name); pathExists(old) { // PutBack or RemoveReplaced comes first
			return fmt.Errorf("%s is left over from an interrupted change", old)
		}
		exchanged = true
		err = s.exchange(to)
	}
	if err == nil {
		err = syncFolder(s.cfg.Step, parent)
	}
	s.placed, s.exchanged, s.keepReplaced = to, exchanged, existing == Keep
	if err != nil && (exchanged || !pathExists(s.Dir)) {
		err = errors.Join(err, s.undoPlace())
	}
	if err != nil {
		s.placed = ""
	}
	return err
}

// Withdraw undoes a successful Place: it restores the version's folder. Discard
// then removes the package.
func (s *Staged) Withdraw() error {
	if s.placed == "" {
		return nil
	}
	if err := s.undoPlace(); err != nil {
		return failure.Because(failure.Storage, fmt.Errorf("withdraw package: %w", err))
	}
	if !s.exchanged {
		_ = os.Remove(filepath.Dir(s.placed)) // fails unless empty
	}
	s.placed = ""
	return nil
}

// undoPlace undoes moveInto and flushes the result, because the package is
// removed next.
func (s *Staged) undoPlace() error {
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
	made = !pathExists(parent)
	for _, dir := range []string{plugins, parent} {
		if err := durable.MakeFolder(dir, 0o755); err != nil { // readable for plugins that do not run as root
			return false, err
		}
	}
	return made, nil
}

func wrapPathError(what, path string, err error) error {
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
