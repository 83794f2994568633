package native

import (
	"context"
	"errors"
	"fmt"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/install/failure"
	"pluginsupervisor/internal/record"
)

// ErrNotRecorded is wrapped by the error of an installation that was undone
// because the plugin database could not be written.
var ErrNotRecorded = errors.New("cannot be recorded")

// Install puts a package in its place and records it, for a program that runs
// the plugin in its own way. When it cannot be recorded what was there is put
// back: record and folder agree. The caller holds the name lock alone.
func (m *Manager) Install(ctx context.Context, s *install.Staged, r record.Record) error {
	if _, err := s.Place(install.Replace); err != nil {
		return err
	}
	err := m.accept(ctx, s)
	if err == nil {
		if _, err = m.registry.Put(ctx, r); err == nil {
			return nil
		}
		err = fmt.Errorf("%s %w: %w", r.Name, ErrNotRecorded, err)
	}
	return errors.Join(err, s.Withdraw())
}

// accept saves the sequence of a signed package that is in its place.
func (m *Manager) accept(ctx context.Context, s *install.Staged) error {
	return failure.Because(failure.Storage, m.changes.Accept(ctx, s.Config.Name, s.Sequence))
}
