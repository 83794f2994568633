package failpoint_test

import (
	"errors"
	"testing"

	"pluginsupervisor/internal/failpoint"
)

func TestBefore(t *testing.T) {
	var none failpoint.Step
	if err := none.Before("write"); err != nil {
		t.Errorf("without a step: %v", err)
	}
	no := errors.New("no")
	step := failpoint.Step(func(name string) error {
		if name == "fsync" {
			return no
		}
		return nil
	})
	if err := step.Before("write"); err != nil {
		t.Errorf("before write: %v", err)
	}
	if err := step.Before("fsync"); !errors.Is(err, no) {
		t.Errorf("before fsync: %v, want %v", err, no)
	}
}
