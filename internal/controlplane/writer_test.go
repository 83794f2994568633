package controlplane

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/control"
)

// blockWriter keeps the writer busy with one change until release is called.
func blockWriter(t *testing.T, w *writer) (release func()) {
	t.Helper()
	started, unblock := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- w.applyChange(context.Background(), func(context.Context, *sql.Tx) error {
			close(started)
			<-unblock
			return nil
		})
	}()
	<-started
	return func() {
		close(unblock)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func insertHost(name string) change {
	return func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO hosts VALUES (?, '', '', 0, 0)`, name)
		return err
	}
}

func TestWriterGroupsQueuedChanges(t *testing.T) {
	w := &writer{queue: make(chan write, maxQueue)}
	for range 2*maxGroup - 1 {
		w.queue <- write{}
	}
	var sizes []int
	for len(w.queue) > 0 {
		sizes = append(sizes, len(w.collectGroup(<-w.queue)))
	}
	if diff := cmp.Diff([]int{maxGroup, maxGroup - 1}, sizes); diff != "" {
		t.Errorf("CP-04 sizes of commits (-want +got):\n%s", diff)
	}
}

func TestWriterIsolatesFailures(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "fleet.db"))
	defer s.Close()
	ctx, failure := context.Background(), errors.New("fails alone")
	release := blockWriter(t, s.writer)
	jobs := []write{
		{insertHost("first"), make(chan error, 1)},
		{func(ctx context.Context, tx *sql.Tx) error {
			return errors.Join(insertHost("undone")(ctx, tx), failure)
		}, make(chan error, 1)},
		{insertHost("first"), make(chan error, 1)}, // duplicate key
		{insertHost("last"), make(chan error, 1)},
	}
	for _, job := range jobs { // queued behind the blocked change
		s.writer.queue <- job
	}
	release()
	var errs []error
	for _, job := range jobs {
		errs = append(errs, <-job.done)
	}
	if errs[0] != nil || !errors.Is(errs[1], failure) || errs[2] == nil || errs[3] != nil {
		t.Errorf("CP-04 errors %v, want only the second and third change to fail", errs)
	}
	hosts, err := s.ListHosts(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(hosts) != 2 || hosts[0].ID != "first" || hosts[1].ID != "last" {
		t.Errorf("CP-04 stored hosts %+v, want first and last", hosts)
	}
}

func TestFlood(t *testing.T) {
	f := newFleet(t)
	release := blockWriter(t, f.store.writer)
	for range maxQueue { // they stay queued while the writer is blocked
		f.store.writer.queue <- write{func(context.Context, *sql.Tx) error { return nil }, make(chan error, 1)}
	}
	r, err := http.Post(f.url+control.PathReport, "application/json", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusBadRequest {
		t.Errorf("CP-13 a bad request during a flood was answered %s, want 400", r.Status)
	}
	code, text := sendRequest(t, http.MethodPost, f.url+control.PathReport, `{"plugin":[]}`, nil)
	if code != http.StatusTooManyRequests {
		t.Errorf("CP-13 a report during a flood was answered %d %s, want 429", code, text)
	}
	if code, _ := sendRequest(t, http.MethodGet, f.url+"/", "", nil); code != 200 {
		t.Errorf("CP-13 the page during a flood was answered %d, want 200", code)
	}
	release()
	waitFor(t, "reports to be accepted again", func() bool {
		code, _ := sendRequest(t, http.MethodPost, f.url+control.PathReport, `{"plugin":[]}`, nil)
		return code == 200
	})
}

func TestWriterAfterClose(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "fleet.db"))
	release := blockWriter(t, s.writer)
	job := write{insertHost("queued"), make(chan error, 1)}
	s.writer.queue <- job
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	<-s.writer.quit
	release()
	if err := errors.Join(<-job.done, <-closed); err != nil {
		t.Errorf("the queued change failed: %v", err)
	}
	if err := s.writer.applyChange(context.Background(), insertHost("late")); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
}

func TestWriterReturnsWhenCanceled(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "fleet.db"))
	defer s.Close()
	release := blockWriter(t, s.writer)
	defer release()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.writer.applyChange(ctx, insertHost("h")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}
