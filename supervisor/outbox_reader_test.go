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

// taken passes on the reports that were taken; the first is refused.
type taken struct {
	reports chan plugin.LateReport
	refused bool
}

func (k *taken) EnqueueReport(_ context.Context, r plugin.LateReport) error {
	if !k.refused {
		k.refused = true
		return errors.New("not now")
	}
	k.reports <- r
	return nil
}

// CL-20: reports that commands left are taken at the start, and within a second
// when they come, also after their folder was removed. One that was refused stays.
func TestLeftReports(t *testing.T) {
	root := t.TempDir()
	leave := func(name string) {
		t.Helper()
		if err := outbox.Put(root, time.Now(), plugin.ReportEntry{Name: name, Version: "1.0", Status: plugin.StatusRemoved}); err != nil {
			t.Fatal(err)
		}
	}
	k := &taken{reports: make(chan plugin.LateReport, 10)}
	expect := func(names ...string) {
		t.Helper()
		limit := time.After(3 * time.Second) // 1 s, on a machine that has other work
		for _, name := range names {
			select {
			case r := <-k.reports:
				if r.Name != name || r.Status != plugin.StatusRemoved {
					t.Errorf("taken %+v, want %s", r, name)
				}
			case <-limit:
				t.Fatalf("%s is not taken", name)
			}
		}
	}
	leave("before")
	l := outboxReader{root: root, to: k, log: logger.Silent()}
	l.enqueueReports(t.Context())
	if left, err := outbox.List(root); err != nil || len(left) != 1 {
		t.Fatalf("what was refused: %v, %v", left, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
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
			t.Errorf("left %v, %v", left, err)
			break
		}
	}
	cancel()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("does not end")
	}
}
