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
	// liveBuffer is how many entries a follower may be behind before it reads
	// them from the journal instead.
	liveBuffer = 256
	// catchUpEvery bounds how long an entry that was missed stays so when no
	// other comes after it.
	catchUpEvery = 2 * time.Second
	// takeWithin is how long a follower may take to take what it is told.
	takeWithin = 10 * time.Second
	// skippedHeader tells how many damaged lines the journal has.
	skippedHeader = "Journal-Skipped"
)

// events answers with entries of the journal in a folder, the oldest first,
// one a line, and goes on with those that come if it is asked to follow.
func events(s Supervisor, journal string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		filter, follow, err := parseEvents(r.URL.Query())
		if err != nil {
			fail(w, http.StatusBadRequest, err.Error())
			return
		}
		ctx, cancel := untilClosing(r.Context())
		defer cancel()
		f := follower{filter: filter, journal: journal, w: w, control: http.NewResponseController(w), encode: json.NewEncoder(w)}
		f.encode.SetEscapeHTML(false)
		if follow {
			// A follower comes to stay: the deadlines of a short answer are lifted.
			_ = errors.Join(f.control.SetReadDeadline(time.Time{}), f.control.SetWriteDeadline(time.Now().Add(takeWithin)))
			f.subscribe(ctx, s) // before reading, so that nothing is missed between the two
		}
		if err := f.begin(); err != nil {
			fail(w, http.StatusInternalServerError, err.Error())
			return
		}
		if follow && r.Method != http.MethodHead {
			f.run(ctx)
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
			wrong("after", errors.New("not the number of an entry"))
		}
	}
	if s := q.Get("limit"); s != "" {
		n, bad := strconv.Atoi(s)
		if f.Limit = n; bad != nil || n < 0 {
			wrong("limit", errors.New("not a number of entries"))
		}
	}
	if s := q.Get("since"); s != "" {
		t, bad := time.Parse(time.RFC3339Nano, s)
		if f.Since = t; bad != nil {
			wrong("since", errors.New("not a time as RFC 3339 has it"))
		}
	}
	if s := q.Get("follow"); s != "" {
		yes, bad := strconv.ParseBool(s)
		if follow = yes; bad != nil {
			wrong("follow", errors.New("neither 0 nor 1"))
		}
	}
	return f, follow, err
}

// follower is one who is told of entries. It never holds up the supervisor:
// what it does not take in time it reads from the journal later.
type follower struct {
	filter  state.Filter // After is the last entry that it was told, or is not to be told
	journal string
	live    chan plugin.Entry
	ended   chan struct{} // closed when nothing more comes
	w       http.ResponseWriter
	control *http.ResponseController
	encode  *json.Encoder
}

func (f *follower) subscribe(ctx context.Context, s Supervisor) {
	f.live, f.ended = make(chan plugin.Entry, liveBuffer), make(chan struct{})
	go func() {
		defer close(f.ended)
		// Why the supervisor cannot tell any more is told by its own end.
		_ = s.Follow(ctx, func(e plugin.Entry) {
			select {
			case f.live <- e:
			default: // its number will be missing, and be read from the journal
			}
		})
	}()
}

// begin tells what is in the journal.
func (f *follower) begin() error {
	newest, err := state.ReadJournal(f.journal, state.Filter{Limit: 1})
	if _, err = skipped(err); err != nil {
		return err
	}
	var last uint64
	if len(newest) > 0 {
		last = newest[0].Seq
	}
	// Who followed an earlier supervisor may have seen higher numbers, if that
	// one could not write them or the journal was lost. They are given again.
	f.filter.After = min(f.filter.After, last)
	entries, err := state.ReadJournal(f.journal, f.filter)
	n, err := skipped(err)
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
			return nil // who asked is gone
		}
		f.filter.After = e.Seq
	}
	f.filter.After = max(f.filter.After, last)
	f.filter.Limit = 0
	_ = f.control.Flush()
	return nil
}

// run tells what comes, until ctx ends, the supervisor does, or nobody listens.
func (f *follower) run(ctx context.Context) {
	tick := time.NewTicker(catchUpEvery)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-f.ended:
			return
		case e := <-f.live:
			if e.Seq > f.filter.After+1 {
				err = f.catchUp(e.Seq)
			}
			err = errors.Join(err, f.tell(e))
		case <-tick.C:
			err = f.catchUp(0)
		}
		if err != nil {
			return
		}
	}
}

// catchUp tells what the journal has and was not told, up to the entry before,
// or all of it.
func (f *follower) catchUp(before uint64) error {
	entries, err := state.ReadJournal(f.journal, f.filter)
	if _, err := skipped(err); err != nil {
		return nil // the journal cannot be read now; what comes live is told all the same
	}
	for _, e := range entries {
		if before > 0 && e.Seq >= before {
			break
		}
		if err := f.tell(e); err != nil {
			return err
		}
	}
	return nil
}

// tell tells an entry, if it is asked for and was not told.
func (f *follower) tell(e plugin.Entry) error {
	chosen := f.filter.Match(e)
	f.filter.After = max(f.filter.After, e.Seq)
	if !chosen {
		return nil
	}
	_ = f.control.SetWriteDeadline(time.Now().Add(takeWithin))
	if err := f.encode.Encode(e); err != nil {
		return err
	}
	return f.control.Flush()
}

// skipped takes damaged lines, which are no reason to fail, out of an error.
func skipped(err error) (int, error) {
	if s := (*state.SkippedError)(nil); errors.As(err, &s) {
		return s.Lines, nil
	}
	return 0, err
}
