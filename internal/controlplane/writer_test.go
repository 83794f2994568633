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

// hold keeps the writer busy with one change until release is called.
func hold(t *testing.T, w *writer) (release func()) {
	t.Helper()
	started, end := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- w.do(context.Background(), func(context.Context, *sql.Tx) error {
			close(started)
			<-end
			return nil
		})
	}()
	<-started
	return func() {
		close(end)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func insert(name string) change {
	return func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO hosts VALUES (?, '', '', 0, 0)`, name)
		return err
	}
}

func TestWriterTakesAllThatWait(t *testing.T) {
	w := &writer{queue: make(chan write, maxQueue)}
	for range 2*maxGroup - 1 {
		w.queue <- write{}
	}
	var sizes []int
	for len(w.queue) > 0 {
		sizes = append(sizes, len(w.group(<-w.queue)))
	}
	if diff := cmp.Diff([]int{maxGroup, maxGroup - 1}, sizes); diff != "" {
		t.Errorf("CP-04 sizes of commits: %s", diff)
	}
}

func TestWriterIsolatesFailures(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "fleet.db"))
	defer s.Close()
	ctx, ours := context.Background(), errors.New("ours alone")
	release := hold(t, s.writer)
	jobs := []write{
		{insert("first"), make(chan error, 1)},
		{func(ctx context.Context, tx *sql.Tx) error {
			return errors.Join(insert("undone")(ctx, tx), ours)
		}, make(chan error, 1)},
		{insert("first"), make(chan error, 1)}, // breaks the key
		{insert("last"), make(chan error, 1)},
	}
	for _, job := range jobs { // one after the other, all behind the one that is held
		s.writer.queue <- job
	}
	release()
	var errs []error
	for _, job := range jobs {
		errs = append(errs, <-job.done)
	}
	if errs[0] != nil || !errors.Is(errs[1], ours) || errs[2] == nil || errs[3] != nil {
		t.Errorf("CP-04 one change's failure is its own: %v", errs)
	}
	hosts, err := s.Hosts(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(hosts) != 2 || hosts[0].ID != "first" || hosts[1].ID != "last" {
		t.Errorf("CP-04 kept %+v", hosts)
	}
}

func TestFlood(t *testing.T) {
	f := newFleet(t)
	release := hold(t, f.store.writer)
	for range maxQueue { // nobody takes them while the writer is held
		f.store.writer.queue <- write{func(context.Context, *sql.Tx) error { return nil }, make(chan error, 1)}
	}
	r, err := http.Post(f.url+control.PathReport, "application/json", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusBadRequest {
		t.Errorf("CP-13 a bad request during a flood got %s", r.Status)
	}
	code, text := ask(t, http.MethodPost, f.url+control.PathReport, `{"plugin":[]}`, nil)
	if code != http.StatusTooManyRequests {
		t.Errorf("CP-13 a report during a flood got %d %s", code, text)
	}
	if code, _ := ask(t, http.MethodGet, f.url+"/", "", nil); code != 200 {
		t.Errorf("CP-13 the page during a flood got %d", code)
	}
	release()
	waitFor(t, "the flood to end", func() bool {
		code, _ := ask(t, http.MethodPost, f.url+control.PathReport, `{"plugin":[]}`, nil)
		return code == 200
	})
}

func TestWriterAfterClose(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "fleet.db"))
	release := hold(t, s.writer)
	job := write{insert("queued"), make(chan error, 1)}
	s.writer.queue <- job
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	<-s.writer.quit
	release()
	if err := errors.Join(<-job.done, <-closed); err != nil {
		t.Errorf("what was queued is committed: %v", err)
	}
	if err := s.writer.do(context.Background(), insert("late")); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
}

func TestWriterAnswersOneThatGaveUp(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "fleet.db"))
	defer s.Close()
	release := hold(t, s.writer)
	defer release()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.writer.do(ctx, insert("h")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
