package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/logger"
	"pluginsupervisor/internal/state"
	"pluginsupervisor/plugin"
)

// journalWriter saves entries to a journal and notifies its followers, as the supervisor
// does.
type journalWriter struct {
	fakeSupervisor
	dir   string
	store *state.Store

	mu            sync.Mutex
	last          uint64
	silent        bool // notify no follower
	followers     map[*func(plugin.Entry)]bool
	followerAdded chan struct{} // a follower was added
}

func newWriter(t *testing.T) *journalWriter {
	t.Helper()
	w := &journalWriter{dir: t.TempDir(), followers: map[*func(plugin.Entry)]bool{}, followerAdded: make(chan struct{}, 100)}
	store, _, err := state.Open(filepath.Join(w.dir, "state.db"), logger.Silent())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	w.store = store
	return w
}

func (w *journalWriter) Follow(ctx context.Context, each func(plugin.Entry)) error {
	w.mu.Lock()
	w.followers[&each] = true
	w.mu.Unlock()
	w.followerAdded <- struct{}{}
	<-ctx.Done()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.followers, &each)
	return nil
}

func (w *journalWriter) newEntry(n uint64) plugin.Entry {
	return plugin.Entry{
		Seq: n, At: time.Unix(int64(1e9+n), 0).UTC(), Kind: plugin.EntryState, Plugin: fmt.Sprintf("p%d", n%3), Cause: "<exit 3>",
	}
}

func (w *journalWriter) writeEntries(t *testing.T, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range n {
		w.last++
		e := w.newEntry(w.last)
		if err := w.store.Save(plugin.Changes{Entries: []plugin.Entry{e}}); err != nil {
			t.Error(err)
		}
		for each := range w.followers {
			if !w.silent {
				(*each)(e)
			}
		}
	}
}

func entryNumbers(entries []plugin.Entry) (n []uint64) {
	for _, e := range entries {
		n = append(n, e.Seq)
	}
	return n
}

// EV-12: entries of the journal, with each filter.
func TestEvents(t *testing.T) {
	w := newWriter(t)
	w.writeEntries(t, 10)
	path, _ := serveJournal(t, w, w.dir)
	c := Dial(path)
	for name, q := range map[string]struct {
		filter state.Filter
		want   []uint64
	}{
		"all":      {state.Filter{}, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		"together": {state.Filter{Plugin: "p1", After: 1, Limit: 2}, []uint64{7, 10}},
		"since":    {state.Filter{Since: w.newEntry(9).At}, []uint64{9, 10}},
		"none":     {state.Filter{Plugin: "a b&c=d"}, nil},
	} {
		got, err := c.ReadEvents(t.Context(), q.filter)
		if err != nil || !cmp.Equal(q.want, entryNumbers(got)) {
			t.Errorf("%s: entries %v, error %v, want %v", name, entryNumbers(got), err, q.want)
		}
	}
	got, err := c.ReadEvents(t.Context(), state.Filter{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]plugin.Entry{w.newEntry(10)}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for query, want := range map[string]string{
		"after=-1": "after=-1: must be the number", "limit=x": "limit=x: must be a number", "since=now": "since=now: must be an RFC 3339 time", "follow=2": "follow=2: must be 0 or 1",
	} {
		err := c.getJSON(t.Context(), "/v1/events?"+query, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", query, err, want)
		}
	}
}

// Damaged lines are reported, together with the readable entries.
func TestEventsOfADamagedJournal(t *testing.T) {
	w := newWriter(t)
	w.writeEntries(t, 3)
	file := filepath.Join(w.dir, "journal.jsonl")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.Replace(b, []byte(`"seq":2`), []byte(`"seq":7`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	path, _ := serveJournal(t, w, w.dir)
	got, err := Dial(path).ReadEvents(t.Context(), state.Filter{})
	damage := (*state.SkippedError)(nil)
	if !errors.As(err, &damage) || damage.Lines != 1 || !cmp.Equal(entryNumbers(got), []uint64{1, 3}) {
		t.Errorf("%v, %v", entryNumbers(got), err)
	}
}

// errEnough ends a follower.
var errEnough = errors.New("enough")

// followEntries follows until n entries came and returns their numbers.
func followEntries(ctx context.Context, c *Client, f state.Filter, n int) ([]uint64, error) {
	var got []uint64
	err := c.FollowEvents(ctx, f, func(e plugin.Entry) error {
		if got = append(got, e.Seq); len(got) == n {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return got, err
}

// numberSequence returns n numbers.
func numberSequence(first uint64, n int, step uint64) (all []uint64) {
	for ; len(all) < n; first += step {
		all = append(all, first)
	}
	return all
}

// EV-12: a follower receives every entry once and in order while the supervisor
// continues to write.
func TestFollowHasNoGapOrDuplicate(t *testing.T) {
	w := newWriter(t)
	w.writeEntries(t, 5)
	path, _ := serveJournal(t, w, w.dir)
	writeOn(t, w)
	var followers sync.WaitGroup
	for range 4 {
		followers.Go(func() {
			got, err := followEntries(t.Context(), Dial(path), state.Filter{Limit: 3}, 500)
			if err != nil || !cmp.Equal(got, numberSequence(got[0], 500, 1)) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	followers.Go(func() {
		got, err := followEntries(t.Context(), Dial(path), state.Filter{Plugin: "p2", After: 4}, 200)
		if err != nil || !cmp.Equal(got, numberSequence(5, 200, 3)) {
			t.Errorf("entries of one plugin: %v, error %v", got, err)
		}
	})
	followers.Wait()
}

// writeOn writes entries until the test ends.
func writeOn(t *testing.T, w *journalWriter) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for ctx.Err() == nil {
			w.writeEntries(t, 1)
		}
	})
	t.Cleanup(func() {
		cancel()
		all.Wait()
	})
}

// A follower that does not read delays no other, and receives every entry when
// it reads again.
func TestSlowFollower(t *testing.T) {
	w := newWriter(t)
	path, _ := serveJournal(t, w, w.dir)
	conn := dialSocket(t, path)
	if _, err := io.WriteString(conn, "GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-w.followerAdded
	const last = 5000 // more than the socket and the buffer hold
	w.writeEntries(t, last)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := uint64(1)
	for lines := json.NewDecoder(resp.Body); want <= last; want++ {
		var e plugin.Entry
		if err := lines.Decode(&e); err != nil || e.Seq != want {
			t.Fatalf("entry %d, %v, want %d", e.Seq, err, want)
		}
	}
}

// An entry that was not sent live is read from the journal, even if no other
// follows it.
func TestFollowCatchesUp(t *testing.T) {
	w := newWriter(t)
	w.silent = true
	path, _ := serveJournal(t, w, w.dir)
	go func() {
		<-w.followerAdded
		w.writeEntries(t, 7)
	}()
	got, err := followEntries(t.Context(), Dial(path), state.Filter{}, 7)
	if err != nil || !cmp.Equal(got, numberSequence(1, 7, 1)) {
		t.Errorf("%v, %v", got, err)
	}
}

// A follower whose last number comes from a lost journal receives the entries of
// the new one.
func TestFollowANewJournal(t *testing.T) {
	w := newWriter(t)
	w.writeEntries(t, 3)
	path, _ := serveJournal(t, w, w.dir)
	writeOn(t, w)
	got, err := followEntries(t.Context(), Dial(path), state.Filter{After: 100_000}, 2)
	if err != nil || got[0] < 4 || !cmp.Equal(got, numberSequence(got[0], 2, 1)) {
		t.Errorf("%v, %v", got, err)
	}
}

// The deadlines of short answers do not end a follower.
func TestFollowHasNoDeadline(t *testing.T) {
	w := newWriter(t)
	server := httptest.NewUnstartedServer(NewHandler(w, w.dir))
	path := filepath.Join(socketDir(t), "s")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = server.Listener.Close()
	server.Listener = l
	w.writeEntries(t, 1)
	const short = 50 * time.Millisecond
	server.Config.ReadTimeout, server.Config.WriteTimeout, server.Config.ConnContext = short, short, withPeer
	server.Start()
	defer server.Close()
	began := time.Now()
	err = Dial(path).FollowEvents(t.Context(), state.Filter{}, func(plugin.Entry) error {
		if time.Since(began) > 5*short {
			return errEnough
		}
		time.AfterFunc(short/2, func() { w.writeEntries(t, 1) })
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		t.Errorf("follower ended after %v: %v", time.Since(began), err)
	}
}

// The supervisor stops without waiting for its followers, which receive
// ErrNoSupervisor. A follower that disconnects is removed.
func TestFollowEnds(t *testing.T) {
	w := newWriter(t)
	path, end := serveJournal(t, w, w.dir)
	ended := make(chan error, 1)
	go func() {
		ended <- Dial(path).FollowEvents(context.Background(), state.Filter{}, func(plugin.Entry) error { return nil })
	}()
	<-w.followerAdded
	ctx, cancel := context.WithCancel(t.Context())
	went := make(chan error, 1)
	go func() { went <- Dial(path).FollowEvents(ctx, state.Filter{}, func(plugin.Entry) error { return nil }) }()
	<-w.followerAdded
	cancel()
	if err := <-went; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled follower: error %v, want %v", err, context.Canceled)
	}
	waitFor(t, "one follower is left", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.followers) == 1
	})
	end()
	if err := <-ended; !errors.Is(err, ErrNoSupervisor) {
		t.Errorf("other follower: error %v, want %v", err, ErrNoSupervisor)
	}
}

func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timeout waiting for: %s", what)
		}
	}
}

// Over TCP, where the peer's user is unknown, all requests are rejected.
func TestEventsAndCommandsNeedTheOwner(t *testing.T) {
	h := NewHandler(fakeSupervisor{}, t.TempDir())
	for _, c := range [][2]string{
		{http.MethodGet, "/v1/events"},
		{http.MethodPost, "/v1/plugins/hello/stop"},
		{http.MethodPost, "/v1/plugins/hello/start"},
		{http.MethodPost, "/v1/plugins/hello/restart"},
	} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(c[0], c[1], nil))
		if rec.Code != http.StatusForbidden {
			t.Errorf("%s: status %d, want %d", c[1], rec.Code, http.StatusForbidden)
		}
	}
}
