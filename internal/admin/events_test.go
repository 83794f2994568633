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

// writer saves entries to a journal, and tells its followers as the supervisor
// does.
type writer struct {
	fake
	dir   string
	store *state.Store

	mu        sync.Mutex
	last      uint64
	mute      bool // tell nobody
	followers map[*func(plugin.Entry)]bool
	came      chan struct{} // a follower came
}

func newWriter(t *testing.T) *writer {
	t.Helper()
	w := &writer{dir: t.TempDir(), followers: map[*func(plugin.Entry)]bool{}, came: make(chan struct{}, 100)}
	store, _, err := state.Open(filepath.Join(w.dir, "state.db"), logger.Silent())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	w.store = store
	return w
}

func (w *writer) Follow(ctx context.Context, each func(plugin.Entry)) error {
	w.mu.Lock()
	w.followers[&each] = true
	w.mu.Unlock()
	w.came <- struct{}{}
	<-ctx.Done()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.followers, &each)
	return nil
}

func (w *writer) numbered(n uint64) plugin.Entry {
	return plugin.Entry{
		Seq: n, At: time.Unix(int64(1e9+n), 0).UTC(), Kind: plugin.EntryState, Plugin: fmt.Sprintf("p%d", n%3), Cause: "<exit 3>",
	}
}

func (w *writer) write(t *testing.T, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range n {
		w.last++
		e := w.numbered(w.last)
		if err := w.store.Save(plugin.Changes{Entries: []plugin.Entry{e}}); err != nil {
			t.Error(err)
		}
		for each := range w.followers {
			if !w.mute {
				(*each)(e)
			}
		}
	}
}

func seqs(entries []plugin.Entry) (n []uint64) {
	for _, e := range entries {
		n = append(n, e.Seq)
	}
	return n
}

// EV-12: the journal, as it is asked for.
func TestEvents(t *testing.T) {
	w := newWriter(t)
	w.write(t, 10)
	path, _ := serveJournal(t, w, w.dir)
	c := Dial(path)
	for name, q := range map[string]struct {
		filter state.Filter
		want   []uint64
	}{
		"all":      {state.Filter{}, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		"together": {state.Filter{Plugin: "p1", After: 1, Limit: 2}, []uint64{7, 10}},
		"since":    {state.Filter{Since: w.numbered(9).At}, []uint64{9, 10}},
		"nobody":   {state.Filter{Plugin: "a b&c=d"}, nil},
	} {
		got, err := c.Events(t.Context(), q.filter)
		if err != nil || !cmp.Equal(q.want, seqs(got)) {
			t.Errorf("%s: %v, %v", name, seqs(got), err)
		}
	}
	got, err := c.Events(t.Context(), state.Filter{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]plugin.Entry{w.numbered(10)}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for query, want := range map[string]string{
		"after=-1": "after=-1: not the number", "limit=x": "limit=x: not a number", "since=now": "since=now: not a time", "follow=2": "follow=2: neither",
	} {
		err := c.get(t.Context(), "/v1/events?"+query, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// Damage is told, and what is good is told as well.
func TestEventsOfADamagedJournal(t *testing.T) {
	w := newWriter(t)
	w.write(t, 3)
	file := filepath.Join(w.dir, "journal.jsonl")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.Replace(b, []byte(`"seq":2`), []byte(`"seq":7`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	path, _ := serveJournal(t, w, w.dir)
	got, err := Dial(path).Events(t.Context(), state.Filter{})
	damage := (*state.SkippedError)(nil)
	if !errors.As(err, &damage) || damage.Lines != 1 || !cmp.Equal(seqs(got), []uint64{1, 3}) {
		t.Errorf("%v, %v", seqs(got), err)
	}
}

// errEnough ends a follower.
var errEnough = errors.New("enough")

// follow follows until n entries came, and hands over their numbers.
func follow(ctx context.Context, c *Client, f state.Filter, n int) ([]uint64, error) {
	var got []uint64
	err := c.Follow(ctx, f, func(e plugin.Entry) error {
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

// span is n numbers.
func span(first uint64, n int, step uint64) (all []uint64) {
	for ; len(all) < n; first += step {
		all = append(all, first)
	}
	return all
}

// EV-12: a follower is told every entry once and in order, from whenever it
// comes, while the supervisor goes on writing.
func TestFollowHasNoGapAndNoDouble(t *testing.T) {
	w := newWriter(t)
	w.write(t, 5)
	path, _ := serveJournal(t, w, w.dir)
	writeOn(t, w)
	var followers sync.WaitGroup
	for range 4 {
		followers.Go(func() {
			got, err := follow(t.Context(), Dial(path), state.Filter{Limit: 3}, 500)
			if err != nil || !cmp.Equal(got, span(got[0], 500, 1)) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	followers.Go(func() {
		got, err := follow(t.Context(), Dial(path), state.Filter{Plugin: "p2", After: 4}, 200)
		if err != nil || !cmp.Equal(got, span(5, 200, 3)) {
			t.Errorf("one plugin's: %v, %v", got, err)
		}
	})
	followers.Wait()
}

// writeOn writes until the test ends.
func writeOn(t *testing.T, w *writer) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for ctx.Err() == nil {
			w.write(t, 1)
		}
	})
	t.Cleanup(func() {
		cancel()
		all.Wait()
	})
}

// A follower that does not take what it is told holds nobody up, and is told
// all of it when it does.
func TestSlowFollower(t *testing.T) {
	w := newWriter(t)
	path, _ := serveJournal(t, w, w.dir)
	conn := connect(t, path)
	if _, err := io.WriteString(conn, "GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-w.came
	const last = 5000 // far more than a socket and the buffer hold
	w.write(t, last)
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

// What was not told live is found in the journal, though nothing comes after it.
func TestFollowCatchesUp(t *testing.T) {
	w := newWriter(t)
	w.mute = true
	path, _ := serveJournal(t, w, w.dir)
	go func() {
		<-w.came
		w.write(t, 7)
	}()
	got, err := follow(t.Context(), Dial(path), state.Filter{}, 7)
	if err != nil || !cmp.Equal(got, span(1, 7, 1)) {
		t.Errorf("%v, %v", got, err)
	}
}

// A follower whose last number is from a journal that was lost is told what
// comes in the new one.
func TestFollowANewJournal(t *testing.T) {
	w := newWriter(t)
	w.write(t, 3)
	path, _ := serveJournal(t, w, w.dir)
	writeOn(t, w)
	got, err := follow(t.Context(), Dial(path), state.Filter{After: 100_000}, 2)
	if err != nil || got[0] < 4 || !cmp.Equal(got, span(got[0], 2, 1)) {
		t.Errorf("%v, %v", got, err)
	}
}

// Following outlives the deadlines of short answers.
func TestFollowHasNoDeadline(t *testing.T) {
	w := newWriter(t)
	server := httptest.NewUnstartedServer(Handler(w, w.dir))
	path := filepath.Join(socketDir(t), "s")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = server.Listener.Close()
	server.Listener = l
	w.write(t, 1)
	const short = 50 * time.Millisecond
	server.Config.ReadTimeout, server.Config.WriteTimeout, server.Config.ConnContext = short, short, withPeer
	server.Start()
	defer server.Close()
	began := time.Now()
	err = Dial(path).Follow(t.Context(), state.Filter{}, func(plugin.Entry) error {
		if time.Since(began) > 5*short {
			return errEnough
		}
		time.AfterFunc(short/2, func() { w.write(t, 1) })
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		t.Errorf("ended after %v: %v", time.Since(began), err)
	}
}

// The end of the supervisor does not wait for its followers, who are told so;
// a follower that goes is forgotten.
func TestFollowEnds(t *testing.T) {
	w := newWriter(t)
	path, end := serveJournal(t, w, w.dir)
	ended := make(chan error, 1)
	go func() {
		ended <- Dial(path).Follow(context.Background(), state.Filter{}, func(plugin.Entry) error { return nil })
	}()
	<-w.came
	ctx, cancel := context.WithCancel(t.Context())
	went := make(chan error, 1)
	go func() { went <- Dial(path).Follow(ctx, state.Filter{}, func(plugin.Entry) error { return nil }) }()
	<-w.came
	cancel()
	if err := <-went; !errors.Is(err, context.Canceled) {
		t.Errorf("the one that went: %v", err)
	}
	waitFor(t, "one follower is left", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.followers) == 1
	})
	end()
	if err := <-ended; !errors.Is(err, ErrNoSupervisor) {
		t.Errorf("the one that stayed: %v", err)
	}
}

func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// Strangers are told nothing over TCP, where nobody knows who they are.
func TestEventsAndOrdersAreTheOwners(t *testing.T) {
	h := Handler(fake{}, t.TempDir())
	for _, c := range [][2]string{
		{http.MethodGet, "/v1/events"},
		{http.MethodPost, "/v1/plugins/hello/stop"},
		{http.MethodPost, "/v1/plugins/hello/start"},
		{http.MethodPost, "/v1/plugins/hello/restart"},
	} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(c[0], c[1], nil))
		if rec.Code != http.StatusForbidden {
			t.Errorf("%s: %d", c[1], rec.Code)
		}
	}
}
