package controlplane

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Event is something a host told once.
type Event struct {
	Host     string
	ID       string // agent.plugin.update, …
	Level    string
	Keywords string    // as sent: JSON of a flat object, unless a host erred
	At       time.Time // by the host's clock
	Received time.Time
}

// AddEvent keeps an event of the host; the oldest beyond what is kept go.
func (s *Store) AddEvent(ctx context.Context, c Caller, e Event) error {
	return s.writer.do(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := heard(ctx, tx, c, e.Received); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO events (host, event, level, keywords, at, received) VALUES (?, ?, ?, ?, ?, ?)`,
			c.ID, e.ID, e.Level, e.Keywords, e.At.UnixMilli(), e.Received.UnixMilli())
		if err != nil {
			return fmt.Errorf("write event: %w", err)
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM events WHERE host = ?1 AND id <=
			(SELECT id FROM events WHERE host = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)`, c.ID, keptEvents)
		if err != nil {
			return fmt.Errorf("drop old events: %w", err)
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM events WHERE id IN (SELECT id FROM
			(SELECT id, row_number() OVER newer AS place, sum(octet_length(keywords)) OVER newer AS bytes FROM events WHERE host = ?1
				WINDOW newer AS (ORDER BY id DESC ROWS UNBOUNDED PRECEDING)) WHERE place > 1 AND bytes > ?2)`, c.ID, keptBytes)
		if err != nil {
			return fmt.Errorf("drop large events: %w", err)
		}
		return nil
	})
}

// Events lists the newest events of all hosts, the last received first. In the
// place of keywords that are very long stands how long they are.
func (s *Store) Events(ctx context.Context, limit int) ([]Event, error) {
	events, err := list(ctx, s.read, func(r *sql.Rows) (e Event, err error) {
		var at, received int64
		err = r.Scan(&e.Host, &e.ID, &e.Level, &e.Keywords, &at, &received)
		e.At, e.Received = milli(at), milli(received)
		return e, err
	}, `SELECT host, event, level, CASE WHEN octet_length(keywords) <= ?2 THEN keywords ELSE octet_length(keywords) || ' bytes' END, at, received
		FROM events ORDER BY id DESC LIMIT ?1`, limit, shownKeywords)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return events, nil
}

// shownKeywords is how long keywords may be to be listed, in bytes.
const shownKeywords = 256 << 10

func (w reportWriter) recordChange(ctx context.Context, c Change) error {
	var wasVersion, wasStatus any // NULL
	if !c.First {
		wasVersion, wasStatus = c.WasVersion, c.WasStatus.String()
	}
	_, err := w.change.ExecContext(ctx, c.Host, c.Plugin, c.Version, c.Status.String(), wasVersion, wasStatus, c.At.UnixMilli())
	if err != nil || c.First { // then there is no older one
		return err
	}
	_, err = w.older.ExecContext(ctx, c.Host, c.Plugin, keptChanges)
	return err
}

// Changes lists the newest changes of all hosts, the last first.
func (s *Store) Changes(ctx context.Context, limit int) ([]Change, error) {
	changes, err := list(ctx, s.read, func(r *sql.Rows) (Change, error) {
		var c Change
		var status string
		var wasVersion, wasStatus sql.NullString
		var at int64
		if err := r.Scan(&c.Host, &c.Plugin, &c.Version, &status, &wasVersion, &wasStatus, &at); err != nil {
			return c, err
		}
		c.First, c.WasVersion, c.At = !wasStatus.Valid, wasVersion.String, milli(at)
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
