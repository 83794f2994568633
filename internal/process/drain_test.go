package process

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// RS-10: Drain rejects new commands and waits for running ones.
func TestDrain(t *testing.T) {
	f := newFamily(t)
	r := NewRunner(Options{Grace: shortGrace})
	ends := []func() Result{f.runInBackground(r, f.command("hang")), f.runInBackground(r, f.command("hang"))}
	f.awaitAlive(2)
	if n := r.Running(); n != 2 {
		t.Errorf("%d are running, want 2", n)
	}

	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Drain(impatient); !errors.Is(err, context.Canceled) {
		t.Errorf("with all running: error %v", err)
	}
	res := r.Run(t.Context(), f.command("exit", "0"))
	if diff := cmp.Diff(summary{Result{ExitCode: -1}, ErrDraining.Error()}, summarize(res)); diff != "" {
		t.Error(diff)
	}
	if !errors.Is(res.Err, ErrDraining) {
		t.Errorf("rejected with %v, want ErrDraining", res.Err)
	}

	if res := ends[0](); !res.Cancelled {
		t.Errorf("%+v", res)
	}
	if err := r.Drain(impatient); !errors.Is(err, context.Canceled) {
		t.Errorf("with one running: %v", err)
	}
	drained := make(chan error)
	for range 2 {
		go func() { drained <- r.Drain(t.Context()) }()
	}
	if res := ends[1](); !res.Cancelled {
		t.Errorf("%+v", res)
	}
	for range 2 {
		if err := <-drained; err != nil {
			t.Error(err)
		}
	}
	f.checkNone()
	if n := r.Running(); n != 0 {
		t.Errorf("%d are running, want 0", n)
	}
}

func TestDrainIdle(t *testing.T) {
	r := NewRunner(Options{})
	for range 2 {
		if err := r.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
