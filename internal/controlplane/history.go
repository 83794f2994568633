package controlplane

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Event is one event that a host sent.
type Event struct {
	Host     string
	ID       string // agent.plugin.update, …
	Level    string
	Keywords string    // as sent: normally JSON of a flat object
	At       time.Time // by the host's clock
	Received time.Time
}

// AddEvent stores an event of the host and removes its oldest beyond the limits.
func (s *Store) AddEvent(ctx context.Context, c Caller, e Event) error {
	return s.writer.applyChange(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := writeHost(ctx, tx, c, e.Received); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO events (host, event, level, keywords, at, received) VALUES (?, ?, ?, ?, ?, ?)`,
			c.ID, e.ID, e.Level, e.Keywords, e.At.UnixMilli(), e.Received.UnixMilli())
		if err != nil {
			return fmt.Errorf("write event: %w", err)
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM events WHERE host = ?1 AND id <=
			(SELECT id FROM events WHERE host = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)`, c.ID, maxEvents)
		if err != nil {
			return fmt.Errorf("remove old events: %w", err)
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM events WHERE id IN (SELECT id FROM
			(SELECT id, row_number() OVER newer AS place, sum(octet_length(keywords)) OVER newer AS bytes FROM events WHERE host = ?1
				WINDOW newer AS (ORDER BY id DESC ROWS UNBOUNDED PRECEDING)) WHERE place > 1 AND bytes > ?2)`, c.ID, maxEventBytes)
		if err != nil {
			return fmt.Errorf("remove large events: %w", err)
		}
		return nil
	})
}

// ListEvents lists the newest events of all hosts, the last received first. Very
// long keywords are replaced by their length.
func (s *Store) ListEvents(ctx context.Context, limit int) ([]Event, error) {
	events, err := queryRows(ctx, s.read, func(r *sql.Rows) (e Event, err error) {
		var at, received int64
		err = r.Scan(&e.Host, &e.ID, &e.Level, &e.Keywords, &at, &received)
		e.At, e.Received = timeOfMillis(at), timeOfMillis(received)
		return e, err
	}, `SELECT host, event, level, CASE WHEN octet_length(keywords) <= ?2 THEN keywords ELSE octet_length(keywords) || ' bytes' END, at, received
		FROM events ORDER BY id DESC LIMIT ?1`, limit, maxShownKeywords)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return events, nil
}

// maxShownKeywords is the length beyond which keywords are not listed, in bytes.
const maxShownKeywords = 256 << 10

func (w reportWriter) recordChange(ctx context.Context, c Change) error {
	var wasVersion, wasStatus any // NULL
	if !c.First {
		wasVersion, wasStatus = c.WasVersion, c.WasStatus.String()
	}
	_, err := w.change.ExecContext(ctx, c.Host, c.Plugin, c.Version, c.Status.String(), wasVersion, wasStatus, c.At.UnixMilli())
	if err != nil || c.First { // a first change has no older one
		return err
	}
	_, err = w.deleteOld.ExecContext(ctx, c.Host, c.Plugin, maxChanges)
	return err
}

// ListChanges lists the newest changes of all hosts, the last first.
func (s *Store) ListChanges(ctx context.Context, limit int) ([]Change, error) {
	changes, err := queryRows(ctx, s.read, func(r *sql.Rows) (Change, error) {
		var c Change
		var status string
		var wasVersion, wasStatus sql.NullString
		var at int64
		if err := r.Scan(&c.Host, &c.Plugin, &c.Version, &status, &wasVersion, &wasStatus, &at); err != nil {
			return c, err
		}
		c.First, c.WasVersion, c.At = !wasStatus.Valid, wasVersion.String, timeOfMillis(at)
		if wasStatus.Valid {
			if err := c.WasStatus.UnmarshalText([]byte(wasStatus.String)); err != nil {
				return c, err
			}
		}
		return c, c.Status.UnmarshalText([]byte(status))
	}, `SELECT host, plugin, version, status, was_version, was_status, at FROM changes ORDER BY id DESC LIMIT ?`, limit)
	if err != nil {
		return nil, fmt.Errorf("read changes: %w", err)
	}
	return changes, nil
}
