package supervisor

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/internal/outbox"
	"pluginsupervisor/plugin"
)

// fakeQueue sends on the reports that it enqueues. It rejects the first one.
type fakeQueue struct {
	reports  chan plugin.LateReport
	rejected bool
}

func (k *fakeQueue) EnqueueReport(_ context.Context, r plugin.LateReport) error {
	if !k.rejected {
		k.rejected = true
		return errors.New("not now")
	}
	k.reports <- r
	return nil
}

// CL-20: reports in the outbox are enqueued at the start, new ones within a second,
// also after the outbox was removed. A report that was rejected stays.
func TestOutboxReader(t *testing.T) {
	root := t.TempDir()
	leave := func(name string) {
		t.Helper()
		if err := outbox.Put(root, time.Now(), plugin.ReportEntry{Name: name, Version: "1.0", Status: plugin.StatusRemoved}); err != nil {
			t.Fatal(err)
		}
	}
	k := &fakeQueue{reports: make(chan plugin.LateReport, 10)}
	expect := func(names ...string) {
		t.Helper()
		limit := time.After(3 * time.Second) // 1 s, on a machine that has other work
		for _, name := range names {
			select {
			case r := <-k.reports:
				if r.Name != name || r.Status != plugin.StatusRemoved {
					t.Errorf("enqueued %+v, want %s", r, name)
				}
			case <-limit:
				t.Fatalf("the report of %s is not enqueued", name)
			}
		}
	}
	leave("before")
	l := outboxReader{root: root, to: k, log: logger.Silent()}
	l.enqueueReports(t.Context())
	if left, err := outbox.List(root); err != nil || len(left) != 1 {
		t.Fatalf("outbox after a rejected report: %v, %v; want one report", left, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		l.enqueueUntilDone(ctx)
	}()
	expect("before")
	leave("first")
	expect("first")
	if err := os.RemoveAll(layout.Outbox(root)); err != nil {
		t.Fatal(err)
	}
	leave("second")
	expect("second")
	for until := time.Now().Add(time.Second); ; time.Sleep(time.Millisecond) {
		if left, err := outbox.List(root); err == nil && len(left) == 0 {
			break
		} else if time.Now().After(until) {
			t.Errorf("outbox holds %v, %v; want nothing", left, err)
			break
		}
	}
	cancel()
	select {
	case <-stopped:
	case <-time.After(10 * time.Second):
		t.Error("enqueueUntilDone does not return")
	}
}
