package controlplane

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/plugin"
)

// Seconds is an interval or a timeout on the wire: whole seconds, 0 when not set.
type Seconds int

// ParseSeconds parses "90s", "15m", "1h30m" or a number of seconds; an empty
// string is 0, not set.
func ParseSeconds(text string) (Seconds, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, nil
	}
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		return Seconds(n), nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration; write 90s, 15m or 1h30m", text)
	}
	if d%time.Second != 0 {
		return 0, fmt.Errorf("%q is not in whole seconds", text)
	}
	return Seconds(d / time.Second), nil
}

// String returns the shortest form that ParseSeconds reads: "15m", "1h30m"; "" for 0.
func (s Seconds) String() string {
	if s == 0 {
		return ""
	}
	text := (time.Duration(s) * time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// The bounds of an interval (TM-04). A host would clamp one outside of them, so
// the server rejects it.
const (
	minInterval = Seconds(plugin.MinInterval / time.Second)
	maxInterval = Seconds(plugin.MaxInterval / time.Second)
)

// Settings holds the settings that every host gets (CP-08). An interval of 0 is
// not set: hosts then use their default.
type Settings struct {
	Scan    Seconds `json:"scanInterval"`
	Pull    Seconds `json:"pullInterval"`
	Refresh Seconds `json:"refreshInterval"`
	Update  Seconds `json:"updateInterval"`
	Lazy    bool    `json:"lazy"` // pull reports only when something changed
}

// Check returns an error when an interval is out of range.
func (s Settings) Check() error {
	for _, i := range []struct {
		name  string
		value Seconds
	}{{"scan", s.Scan}, {"pull", s.Pull}, {"refresh", s.Refresh}, {"update", s.Update}} {
		if i.value != 0 && (i.value < minInterval || i.value > maxInterval) {
			return fmt.Errorf("%s interval of %ds is out of range: want %v to %v, or 0 for the host's default",
				i.name, i.value, minInterval, maxInterval)
		}
	}
	return nil
}

func (s Settings) fields() logrus.Fields {
	return logrus.Fields{"scan": int(s.Scan), "pull": int(s.Pull), "refresh": int(s.Refresh), "update": int(s.Update), "lazy": s.Lazy}
}

// ReadSettings returns the current settings.
func (s *Store) ReadSettings(ctx context.Context) (Settings, error) {
	return scanSettings(s.read.QueryRowContext(ctx, selectSettings))
}

const selectSettings = `SELECT scan_interval, pull_interval, refresh_interval, update_interval, lazy FROM settings`

func scanSettings(row *sql.Row) (Settings, error) {
	var c Settings
	if err := row.Scan(&c.Scan, &c.Pull, &c.Refresh, &c.Update, &c.Lazy); err != nil {
		return Settings{}, fmt.Errorf("read settings: %w", err)
	}
	return c, nil
}

// ChangeSettings calls edit with the settings, stores and returns the result, in
// one transaction. When edit fails, or its result does not pass Check, it returns
// the error and changes nothing.
func (s *Store) ChangeSettings(ctx context.Context, edit func(*Settings) error) (Settings, error) {
	var changed Settings
	err := s.writer.applyChange(ctx, func(ctx context.Context, tx *sql.Tx) error {
		c, err := scanSettings(tx.QueryRowContext(ctx, selectSettings))
		if err != nil {
			return err
		}
		if err := edit(&c); err != nil {
			return err
		}
		if err := c.Check(); err != nil {
			return requestError{code: 400, text: err.Error()}
		}
		_, err = tx.ExecContext(ctx, `UPDATE settings SET scan_interval = ?, pull_interval = ?, refresh_interval = ?, update_interval = ?, lazy = ?`,
			c.Scan, c.Pull, c.Refresh, c.Update, c.Lazy)
		if err != nil {
			return fmt.Errorf("write settings: %w", err)
		}
		changed = c
		return nil
	})
	if err != nil {
		return Settings{}, err
	}
	return changed, nil
}
