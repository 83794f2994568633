package controlplane

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"
)

// removalBatch limits the hosts, or plugins, that one transaction removes:
// reports wait for it.
const removalBatch = 200

// removalInterval is the time between two applications of Limits.Keep.
const removalInterval = time.Hour

// RemovedCounts holds the numbers of rows that RemoveOld removed.
type RemovedCounts struct{ Hosts, Plugins int64 }

// RemoveOld removes the hosts last seen before the time, with all their data, and
// the plugins that were reported as removed before it. Offers stay: an operator
// made them.
func (s *Store) RemoveOld(ctx context.Context, since time.Time) (p RemovedCounts, err error) {
	for _, step := range []struct {
		removed *int64
		what    string
		query   string
	}{
		{&p.Hosts, "hosts", `DELETE FROM hosts WHERE id IN (SELECT id FROM hosts WHERE last_heard < ?1 LIMIT ?2)`},
		{&p.Plugins, "plugins", `DELETE FROM plugins WHERE (host, name) IN
			(SELECT host, name FROM plugins WHERE status = 'removed' AND reported < ?1 LIMIT ?2)`},
	} {
		for {
			n, err := s.deleteRows(ctx, step.query, since.UnixMilli(), removalBatch)
			if err != nil {
				return p, fmt.Errorf("remove old %s: %w", step.what, err)
			}
			if *step.removed += n; n < removalBatch {
				break
			}
		}
	}
	return p, nil
}

// deleteRows runs one statement and returns the number of rows that it removed,
// without those removed by cascade.
func (s *Store) deleteRows(ctx context.Context, query string, args ...any) (int64, error) {
	var n int64
	err := s.writer.applyChange(ctx, func(ctx context.Context, tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, query, args...)
		if err == nil {
			n, err = done.RowsAffected()
		}
		return err
	})
	if err != nil {
		return 0, err // n may still be written to if ctx is done
	}
	return n, nil
}

// removeOldHourly applies Limits.Keep until ctx is done.
func (s *Server) removeOldHourly(ctx context.Context) {
	if s.limits.Keep <= 0 {
		return
	}
	tick := time.NewTicker(removalInterval)
	defer tick.Stop()
	for {
		switch p, err := s.store.RemoveOld(ctx, s.now().Add(-s.limits.Keep)); {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.WithError(err).Error("Cannot remove old hosts and plugins")
		case p != (RemovedCounts{}):
			s.log.WithFields(logrus.Fields{"hosts": p.Hosts, "plugins": p.Plugins, "keep": s.limits.Keep}).Info("Removed hosts not seen for long and plugins uninstalled long ago")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
