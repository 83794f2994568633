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

// fakeSupervisor is a supervisor without actors, with a given snapshot and a journal.
type fakeSupervisor struct {
	root  string
	store *state.Store
	// onCommand handles a command; nil accepts each.
	onCommand func(command, name string) error

	mu        sync.Mutex
	snapshot  plugin.Snapshot
	last      uint64
	followers map[*func(plugin.Entry)]bool
	followed  chan struct{} // receives a value for each new follower
}

// newFake returns a fakeSupervisor on a new root, whose path is short enough for a
// socket.
func newFake(t *testing.T, views ...plugin.View) *fakeSupervisor {
	t.Helper()
	root, err := os.MkdirTemp("", "sv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	f := &fakeSupervisor{
		root: root, snapshot: plugin.Snapshot{At: time.Unix(1e9, 0).UTC(), Plugins: views},
		followers: map[*func(plugin.Entry)]bool{}, followed: make(chan struct{}, 100),
	}
	f.store, _, err = state.Open(filepath.Join(root, "supervisor", "state.db"), logger.Silent())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.store.Close() })
	return f
}

func (f *fakeSupervisor) socket() string {
	return filepath.Join(f.root, "supervisor", "supervisor.sock")
}

// serve answers on the socket of the root until end is called.
func (f *fakeSupervisor) serve(t *testing.T) (end func()) {
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

// serveSnapshot serves a snapshot and returns the path of the socket.
func serveSnapshot(t *testing.T, s plugin.Snapshot) string {
	t.Helper()
	f := newFake(t)
	f.snapshot = s
	f.serve(t)
	return f.socket()
}

func (f *fakeSupervisor) Status(context.Context) (plugin.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.snapshot
	s.Plugins = append([]plugin.View{}, s.Plugins...)
	return s, nil
}

func (f *fakeSupervisor) Follow(ctx context.Context, each func(plugin.Entry)) error {
	f.mu.Lock()
	f.followers[&each] = true
	f.mu.Unlock()
	f.followed <- struct{}{}
	<-ctx.Done()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.followers, &each)
	return nil
}

func (f *fakeSupervisor) StartPlugin(_ context.Context, name string) error {
	return f.handleCommand("start", name)
}

func (f *fakeSupervisor) StopPlugin(_ context.Context, name string) error {
	return f.handleCommand("stop", name)
}

func (f *fakeSupervisor) ForceStartPlugin(_ context.Context, name string) error {
	return f.handleCommand("force-start", name)
}

func (f *fakeSupervisor) CancelChange(_ context.Context, name string) error {
	return f.handleCommand("cancel", name)
}

func (f *fakeSupervisor) RestartPlugin(_ context.Context, name string) error {
	return f.handleCommand("restart", name)
}

func (f *fakeSupervisor) ChangePlugin(_ context.Context, o plugin.Change) error {
	return f.handleCommand(o.String(), o.Name)
}

func (f *fakeSupervisor) handleCommand(command, name string) error {
	if s, _ := f.Status(context.Background()); findView(s, name) == nil {
		return fmt.Errorf("%w: %s", plugin.ErrNoPlugin, name)
	}
	if f.onCommand == nil {
		return nil
	}
	return f.onCommand(command, name)
}

// writeEntry saves an entry under the next number, and passes it to the followers.
func (f *fakeSupervisor) writeEntry(t *testing.T, e plugin.Entry) {
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

// setState changes the state of a plugin and writes the entry of it.
func (f *fakeSupervisor) setState(t *testing.T, name string, to plugin.State, cause string) {
	t.Helper()
	f.mu.Lock()
	v := findView(f.snapshot, name)
	e := plugin.Entry{At: time.Unix(1e9, 0).UTC(), Kind: plugin.EntryState, Plugin: name, From: v.State, To: to, Cause: cause}
	v.State, v.Why = to, cause
	f.mu.Unlock()
	f.writeEntry(t, e)
}

// runCommandLine runs a command line with the root of the fake.
func (f *fakeSupervisor) runCommandLine(ctx context.Context, args ...string) (code exitCode, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = execute(ctx, append(args, "--root", f.root, "--config", os.DevNull), &out, &errs)
	return code, out.String(), errs.String()
}

// limitTime returns a context that ends after timeLimit.
func limitTime(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), timeLimit, errors.New("the test has timed out"))
	t.Cleanup(cancel)
	return ctx
}
