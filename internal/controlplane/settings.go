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

// Seconds is an interval or a timeout as it is on the wire: whole seconds, 0
// when not set.
type Seconds int

// ParseSeconds reads "90s", "15m", "1h30m" or a bare number of seconds; an
// empty string is 0, not set.
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
		return 0, fmt.Errorf("%q is no duration; write 90s, 15m or 1h30m", text)
	}
	if d%time.Second != 0 {
		return 0, fmt.Errorf("%q is not in whole seconds", text)
	}
	return Seconds(d / time.Second), nil
}

// String is the shortest form that ParseSeconds reads: "15m", "1h30m"; "" for 0.
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

// The bounds of an interval (TM-04). A host changes one outside of them, so such
// an interval is refused here.
const (
	minInterval = Seconds(plugin.MinInterval / time.Second)
	maxInterval = Seconds(plugin.MaxInterval / time.Second)
)

// Settings are what every host is answered with (CP-08). An interval of 0 is
// not set: hosts then keep their own.
type Settings struct {
	Scan    Seconds `json:"scanInterval"`
	Pull    Seconds `json:"pullInterval"`
	Refresh Seconds `json:"refreshInterval"`
	Update  Seconds `json:"updateInterval"`
	Lazy    bool    `json:"lazy"` // pull reports only when something changed
}

// Check tells which interval cannot be set, or nil.
func (s Settings) Check() error {
	for _, i := range []struct {
		name  string
		value Seconds
	}{{"scan", s.Scan}, {"pull", s.Pull}, {"refresh", s.Refresh}, {"update", s.Update}} {
		if i.value != 0 && (i.value < minInterval || i.value > maxInterval) {
			return fmt.Errorf("%s interval of %ds: hosts follow %v to %v, or 0 for their own",
				i.name, i.value, minInterval, maxInterval)
		}
	}
	return nil
}

func (s Settings) fields() logrus.Fields {
	return logrus.Fields{"scan": int(s.Scan), "pull": int(s.Pull), "refresh": int(s.Refresh), "update": int(s.Update), "lazy": s.Lazy}
}

// Settings reads the current settings.
func (s *Store) Settings(ctx context.Context) (Settings, error) {
	return settings(s.read.QueryRowContext(ctx, selectSettings))
}

const selectSettings = `SELECT scan_interval, pull_interval, refresh_interval, update_interval, lazy FROM settings`

func settings(row *sql.Row) (Settings, error) {
	var c Settings
	if err := row.Scan(&c.Scan, &c.Pull, &c.Refresh, &c.Update, &c.Lazy); err != nil {
		return Settings{}, fmt.Errorf("read settings: %w", err)
	}
	return c, nil
}

// ChangeSettings lets edit change the settings and returns what they became.
// Nothing comes between reading and writing them; when edit fails, or its
// result does not pass Check, its error is returned and nothing changes.
func (s *Store) ChangeSettings(ctx context.Context, edit func(*Settings) error) (Settings, error) {
	var changed Settings
	err := s.writer.do(ctx, func(ctx context.Context, tx *sql.Tx) error {
		c, err := settings(tx.QueryRowContext(ctx, selectSettings))
		if err != nil {
			return err
		}
		if err := edit(&c); err != nil {
			return err
		}
		if err := c.Check(); err != nil {
			return fault{code: 400, text: err.Error()}
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
