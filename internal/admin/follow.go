package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"pluginsupervisor/internal/state"
	"pluginsupervisor/plugin"
)

// Events asks for entries of the journal, the oldest first. As with
// [state.ReadJournal] a *state.SkippedError comes with all that could be read.
func (c *Client) Events(ctx context.Context, f state.Filter) ([]plugin.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	var found []plugin.Entry
	err := c.events(ctx, f, false, func(e plugin.Entry) error {
		found = append(found, e)
		return nil
	})
	return found, err
}

// Follow asks for entries of the journal and then for each that comes, without
// a gap and none twice. It ends with ctx, with the error of each, or with one
// that wraps ErrNoSupervisor when the supervisor ended.
func (c *Client) Follow(ctx context.Context, f state.Filter, each func(plugin.Entry) error) error {
	return c.events(ctx, f, true, each)
}

func (c *Client) events(ctx context.Context, f state.Filter, follow bool, each func(plugin.Entry) error) error {
	resp, err := c.do(ctx, http.MethodGet, "/v1/events?"+query(f, follow).Encode(), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refused(resp)
	}
	for lines := json.NewDecoder(resp.Body); ; {
		var e plugin.Entry
		err := lines.Decode(&e)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case follow && err != nil:
			return fmt.Errorf("%w any more: %s ended", ErrNoSupervisor, c.path)
		case errors.Is(err, io.EOF):
			if n, _ := strconv.Atoi(resp.Header.Get(skippedHeader)); n > 0 {
				return &state.SkippedError{Lines: n}
			}
			return nil
		case err != nil:
			return fmt.Errorf("read the supervisor's answer: %w", err)
		}
		if err := each(e); err != nil {
			return err
		}
	}
}

func query(f state.Filter, follow bool) url.Values {
	q := url.Values{}
	if f.Plugin != "" {
		q.Set("plugin", f.Plugin)
	}
	if f.After > 0 {
		q.Set("after", strconv.FormatUint(f.After, 10))
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	if !f.Since.IsZero() {
		q.Set("since", f.Since.Format(time.RFC3339Nano))
	}
	if follow {
		q.Set("follow", "1")
	}
	return q
}
