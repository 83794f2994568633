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

// ReadEvents returns entries of the journal, the oldest first. As with
// [state.ReadJournal], a *state.SkippedError comes with the readable entries.
func (c *Client) ReadEvents(ctx context.Context, f state.Filter) ([]plugin.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var found []plugin.Entry
	err := c.streamEvents(ctx, f, false, func(e plugin.Entry) error {
		found = append(found, e)
		return nil
	})
	return found, err
}

// FollowEvents calls each for the entries of the journal and then for every new one,
// without a gap or a duplicate. It returns when ctx ends or each fails. The error
// wraps ErrNoSupervisor when the supervisor stopped.
func (c *Client) FollowEvents(ctx context.Context, f state.Filter, each func(plugin.Entry) error) error {
	return c.streamEvents(ctx, f, true, each)
}

func (c *Client) streamEvents(ctx context.Context, f state.Filter, follow bool, each func(plugin.Entry) error) error {
	resp, err := c.sendRequest(ctx, http.MethodGet, "/v1/events?"+encodeQuery(f, follow).Encode(), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return answerError(resp)
	}
	for lines := json.NewDecoder(resp.Body); ; {
		var e plugin.Entry
		err := lines.Decode(&e)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case follow && err != nil:
			return fmt.Errorf("%w at %s: it has stopped", ErrNoSupervisor, c.path)
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

func encodeQuery(f state.Filter, follow bool) url.Values {
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
