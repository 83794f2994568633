package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"pluginsupervisor/internal/state"
	"pluginsupervisor/plugin"
)

const (
	// liveBuffer is the number of entries that wait for a follower. When it is
	// full, the follower reads later entries from the journal.
	liveBuffer = 256
	// catchUpInterval is the interval at which a follower checks the journal for
	// entries that it missed.
	catchUpInterval = 2 * time.Second
	// sendTimeout is the timeout for sending to a follower.
	sendTimeout = 10 * time.Second
	// skippedHeader holds the number of damaged lines in the journal.
	skippedHeader = "Journal-Skipped"
)

// serveEvents returns a handler that sends entries of the journal in a folder, the
// oldest first, one a line. With follow=1 it continues with new entries.
func serveEvents(s Supervisor, journal string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		filter, follow, err := parseEvents(r.URL.Query())
		if err != nil {
			writeError(w, http.StatusBadRequest, err.Error())
			return
		}
		ctx, cancel := untilClosing(r.Context())
		defer cancel()
		f := follower{filter: filter, journal: journal, w: w, control: http.NewResponseController(w), encode: json.NewEncoder(w)}
		f.encode.SetEscapeHTML(false)
		if follow {
			// A follower stays connected: the deadlines of short answers do not apply.
			_ = errors.Join(f.control.SetReadDeadline(time.Time{}), f.control.SetWriteDeadline(time.Now().Add(sendTimeout)))
			f.subscribe(ctx, s) // before reading, so that no entry is missed in between
		}
		if err := f.sendExisting(); err != nil {
			writeError(w, http.StatusInternalServerError, err.Error())
			return
		}
		if follow && r.Method != http.MethodHead {
			f.sendLive(ctx)
		}
	}
}

func parseEvents(q url.Values) (f state.Filter, follow bool, err error) {
	wrong := func(key string, why error) {
		err = errors.Join(err, fmt.Errorf("%s=%s: %w", key, q.Get(key), why))
	}
	f.Plugin = q.Get("plugin")
	if s := q.Get("after"); s != "" {
		n, bad := strconv.ParseUint(s, 10, 64)
		if f.After = n; bad != nil {
			wrong("after", errors.New("must be the number of an entry"))
		}
	}
	if s := q.Get("limit"); s != "" {
		n, bad := strconv.Atoi(s)
		if f.Limit = n; bad != nil || n < 0 {
			wrong("limit", errors.New("must be a number of entries, 0 or more"))
		}
	}
	if s := q.Get("since"); s != "" {
		t, bad := time.Parse(time.RFC3339Nano, s)
		if f.Since = t; bad != nil {
			wrong("since", errors.New("must be an RFC 3339 time"))
		}
	}
	if s := q.Get("follow"); s != "" {
		yes, bad := strconv.ParseBool(s)
		if follow = yes; bad != nil {
			wrong("follow", errors.New("must be 0 or 1"))
		}
	}
	return f, follow, err
}

// follower is a client that receives new entries. It never delays the
// supervisor: entries that it does not receive in time are read from the journal
// later.
type follower struct {
	filter  state.Filter // After is the last entry that was sent or skipped
	journal string
	live    chan plugin.Entry
	done    chan struct{} // closed when no more entries come
	w       http.ResponseWriter
	control *http.ResponseController
	encode  *json.Encoder
}

func (f *follower) subscribe(ctx context.Context, s Supervisor) {
	f.live, f.done = make(chan plugin.Entry, liveBuffer), make(chan struct{})
	go func() {
		defer close(f.done)
		// The error is of no use: the supervisor stops for the same reason.
		_ = s.Follow(ctx, func(e plugin.Entry) {
			select {
			case f.live <- e:
			default: // the missing number is noticed and read from the journal
			}
		})
	}()
}

// sendExisting sends the entries that are in the journal.
func (f *follower) sendExisting() error {
	newest, err := state.ReadJournal(f.journal, state.Filter{Limit: 1})
	if _, err = splitSkipped(err); err != nil {
		return err
	}
	var last uint64
	if len(newest) > 0 {
		last = newest[0].Seq
	}
	// A client may know higher numbers, from a supervisor that could not write
	// them or from a lost journal. Those numbers are used again.
	f.filter.After = min(f.filter.After, last)
	entries, err := state.ReadJournal(f.journal, f.filter)
	n, err := splitSkipped(err)
	if err != nil {
		return err
	}
	f.w.Header().Set("Content-Type", "application/x-ndjson; charset=utf-8")
	f.w.Header().Set("X-Content-Type-Options", "nosniff")
	if n > 0 {
		f.w.Header().Set(skippedHeader, strconv.Itoa(n))
	}
	f.w.WriteHeader(http.StatusOK)
	for _, e := range entries {
		if f.encode.Encode(e) != nil {
			return nil // the client has disconnected
		}
		f.filter.After = e.Seq
	}
	f.filter.After = max(f.filter.After, last)
	f.filter.Limit = 0
	_ = f.control.Flush()
	return nil
}

// sendLive sends new entries until ctx ends, the supervisor stops, or the client
// disconnects.
func (f *follower) sendLive(ctx context.Context) {
	tick := time.NewTicker(catchUpInterval)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-f.done:
			return
		case e := <-f.live:
			if e.Seq > f.filter.After+1 {
				err = f.catchUp(e.Seq)
			}
			err = errors.Join(err, f.sendEntry(e))
		case <-tick.C:
			err = f.catchUp(0)
		}
		if err != nil {
			return
		}
	}
}

// catchUp sends the entries of the journal that were not sent: those with a
// number below before, or all when it is 0.
func (f *follower) catchUp(before uint64) error {
	entries, err := state.ReadJournal(f.journal, f.filter)
	if _, err := splitSkipped(err); err != nil {
		return nil // the journal cannot be read now; live entries are still sent
	}
	for _, e := range entries {
		if before > 0 && e.Seq >= before {
			break
		}
		if err := f.sendEntry(e); err != nil {
			return err
		}
	}
	return nil
}

// sendEntry sends an entry if it matches the filter and was not sent before.
func (f *follower) sendEntry(e plugin.Entry) error {
	chosen := f.filter.Match(e)
	f.filter.After = max(f.filter.After, e.Seq)
	if !chosen {
		return nil
	}
	_ = f.control.SetWriteDeadline(time.Now().Add(sendTimeout))
	if err := f.encode.Encode(e); err != nil {
		return err
	}
	return f.control.Flush()
}

// splitSkipped returns the number of damaged lines in err, and err itself when it
// has another cause.
func splitSkipped(err error) (int, error) {
	if s := (*state.SkippedError)(nil); errors.As(err, &s) {
		return s.Lines, nil
	}
	return 0, err
}
