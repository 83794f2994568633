package native

import (
	"context"
	"errors"
	"fmt"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/install/failure"
	"pluginsupervisor/internal/record"
)

// ErrNotRecorded means that an installation was undone because the plugin database
// could not be written.
var ErrNotRecorded = errors.New("cannot be recorded")

// Install moves a package to its place and records it, for a program that runs
// the plugin in its own way. When it cannot be recorded, or its sequence cannot
// be saved, the earlier record and folder are restored. The caller holds the name
// lock alone.
func (m *Manager) Install(ctx context.Context, s *install.Staged, r record.Record) error {
	old, found, err := m.registry.Find(ctx, r.Name)
	if err == nil {
		err = install.Recover(m.root, r.Name)
	}
	if err != nil {
		return failure.Because(failure.Storage, err)
	}
	if _, err := s.Place(install.Replace); err != nil {
		return err
	}
	if _, err = m.registry.Put(ctx, r); err != nil {
		return errors.Join(fmt.Errorf("%s %w: %w", r.Name, ErrNotRecorded, err), s.Withdraw())
	}
	if err := m.changes.SaveSequence(ctx, s.Config.Name, s.Sequence); err != nil {
		if found {
			_, err2 := m.registry.Put(ctx, old)
			err = errors.Join(err, err2)
		} else {
			err = errors.Join(err, m.registry.MarkRemoved(ctx, r.Name))
		}
		return failure.Because(failure.Storage, errors.Join(err, s.Withdraw()))
	}
	if found && old.Version != r.Version {
		m.versions.addReplaced(r.Name, old.Version, r.Version)
	}
	return nil
}
