package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"pluginsupervisor/internal/admin"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/internal/state"
	"pluginsupervisor/plugin"
)

// fake is a supervisor without actors: it knows what it is told to know, and
// has a journal.
type fake struct {
	root  string
	store *state.Store
	// ordered is what an order does; nil accepts it.
	ordered func(order, name string) error

	mu        sync.Mutex
	snapshot  plugin.Snapshot
	last      uint64
	followers map[*func(plugin.Entry)]bool
	came      chan struct{} // a follower came
}

// newFake has a root with a path short enough for a socket.
func newFake(t *testing.T, views ...plugin.View) *fake {
	t.Helper()
	root, err := os.MkdirTemp("", "sv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	f := &fake{
		root: root, snapshot: plugin.Snapshot{At: time.Unix(1e9, 0).UTC(), Plugins: views},
		followers: map[*func(plugin.Entry)]bool{}, came: make(chan struct{}, 100),
	}
	f.store, _, err = state.Open(filepath.Join(root, "supervisor", "state.db"), logger.Silent())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.store.Close() })
	return f
}

func (f *fake) socket() string { return filepath.Join(f.root, "supervisor", "supervisor.sock") }

// serve answers on the root's socket until end is called.
func (f *fake) serve(t *testing.T) (end func()) {
	t.Helper()
	l, err := admin.Listen(f.socket())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		_ = admin.Serve(ctx, l, admin.NewHandler(f, filepath.Join(f.root, "supervisor")), logger.Silent())
		close(done)
	}()
	end = func() { cancel(); <-done }
	t.Cleanup(end)
	return end
}

// answering serves the snapshot and returns the socket.
func answering(t *testing.T, s plugin.Snapshot) string {
	t.Helper()
	f := newFake(t)
	f.snapshot = s
	f.serve(t)
	return f.socket()
}

func (f *fake) Status(context.Context) (plugin.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.snapshot
	s.Plugins = append([]plugin.View{}, s.Plugins...)
	return s, nil
}

func (f *fake) Follow(ctx context.Context, each func(plugin.Entry)) error {
	f.mu.Lock()
	f.followers[&each] = true
	f.mu.Unlock()
	f.came <- struct{}{}
	<-ctx.Done()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.followers, &each)
	return nil
}

func (f *fake) StartPlugin(_ context.Context, name string) error { return f.order("start", name) }
func (f *fake) StopPlugin(_ context.Context, name string) error  { return f.order("stop", name) }
func (f *fake) ForceStartPlugin(_ context.Context, name string) error {
	return f.order("force-start", name)
}
func (f *fake) CancelChange(_ context.Context, name string) error { return f.order("cancel", name) }

func (f *fake) RestartPlugin(_ context.Context, name string) error { return f.order("restart", name) }

func (f *fake) ChangePlugin(_ context.Context, o plugin.Change) error {
	return f.order(o.String(), o.Name)
}

func (f *fake) order(order, name string) error {
	if s, _ := f.Status(context.Background()); viewOf(s, name) == nil {
		return fmt.Errorf("%w: %s", plugin.ErrNoPlugin, name)
	}
	if f.ordered == nil {
		return nil
	}
	return f.ordered(order, name)
}

// write saves an entry under the next number, and tells the followers.
func (f *fake) write(t *testing.T, e plugin.Entry) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	e.Seq = f.last
	if err := f.store.Save(plugin.Changes{Entries: []plugin.Entry{e}}); err != nil {
		t.Error(err)
	}
	for each := range f.followers {
		(*each)(e)
	}
}

// move changes a plugin's state, and writes so.
func (f *fake) move(t *testing.T, name string, to plugin.State, cause string) {
	t.Helper()
	f.mu.Lock()
	v := viewOf(f.snapshot, name)
	e := plugin.Entry{At: time.Unix(1e9, 0).UTC(), Kind: plugin.EntryState, Plugin: name, From: v.State, To: to, Cause: cause}
	v.State, v.Why = to, cause
	f.mu.Unlock()
	f.write(t, e)
}

// supervisor runs the command line with the fake's root.
func (f *fake) supervisor(ctx context.Context, args ...string) (code exitCode, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = execute(ctx, append(args, "--root", f.root, "--config", os.DevNull), &out, &errs)
	return code, out.String(), errs.String()
}

// within is a context that ends before the test does.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errors.New("no end"))
	t.Cleanup(cancel)
	return ctx
}
