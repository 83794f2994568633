package controlplane

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"
)

// prunedAtOnce is how many hosts, or plugins, one transaction removes: reports
// wait for it.
const prunedAtOnce = 200

// pruneEvery is how often Limits.Keep is applied.
const pruneEvery = time.Hour

// Pruned is how much Prune removed.
type Pruned struct{ Hosts, Plugins int64 }

// Prune removes the hosts that were not heard since the time, with all that is
// known of them, and the plugins that were reported as removed before it. Offers
// stay: an operator made them.
func (s *Store) Prune(ctx context.Context, since time.Time) (p Pruned, err error) {
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
			n, err := s.delete(ctx, step.query, since.UnixMilli(), prunedAtOnce)
			if err != nil {
				return p, fmt.Errorf("remove old %s: %w", step.what, err)
			}
			if *step.removed += n; n < prunedAtOnce {
				break
			}
		}
	}
	return p, nil
}

// delete carries out one statement and returns how many rows it removed itself.
func (s *Store) delete(ctx context.Context, query string, args ...any) (int64, error) {
	var n int64
	err := s.writer.do(ctx, func(ctx context.Context, tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, query, args...)
		if err == nil {
			n, err = done.RowsAffected()
		}
		return err
	})
	if err != nil {
		return 0, err // n may still be written to if ctx ended
	}
	return n, nil
}

// pruneHourly applies Limits.Keep until ctx ends.
func (s *Server) pruneHourly(ctx context.Context) {
	if s.limits.Keep <= 0 {
		return
	}
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		switch p, err := s.store.Prune(ctx, s.now().Add(-s.limits.Keep)); {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.WithError(err).Error("What is too old cannot be removed")
		case p != (Pruned{}):
			s.log.WithFields(logrus.Fields{"hosts": p.Hosts, "plugins": p.Plugins, "keep": s.limits.Keep}).Info("Silent hosts and removed plugins were removed")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
