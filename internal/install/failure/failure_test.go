package failure_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"pluginsupervisor/internal/install/failure"
)

func TestExitCode(t *testing.T) {
	for _, tt := range []struct {
		reason failure.Reason
		code   int
	}{
		{failure.Locked, 232},
		{failure.NotFound, 234},
		{failure.NotZip, 235},
		{failure.Unzip, 236},
		{failure.Config, 237},
		{failure.Package, 238},
		{failure.Exists, 238},
		{failure.Digest, 239},
		{failure.Signature, 239},
		{failure.Download, 240},
		{failure.Storage, 236},
	} {
		if got := failure.New(tt.reason, "x").ExitCode(); got != tt.code {
			t.Errorf("%s: exit code %d, want %d", tt.reason, got, tt.code)
		}
	}
	if got := failure.New(failure.Storage, "mkdir: %w", fs.ErrPermission).ExitCode(); got != 244 {
		t.Errorf("no permission: exit code %d, want 244", got)
	}
}

func TestBecause(t *testing.T) {
	inner := failure.New(failure.NotZip, "not a zip")
	var e *failure.Error
	if err := failure.Because(failure.Storage, fmt.Errorf("unpack: %w", inner)); !errors.As(err, &e) || e.Reason != failure.NotZip {
		t.Errorf("got %v, want the first reason, %s", err, failure.NotZip)
	}
	if failure.Because(failure.Storage, nil) != nil {
		t.Error("Because of nil is an error, want nil")
	}
	full := failure.Because(failure.Unzip, fmt.Errorf("write a: %w", syscall.ENOSPC))
	if !errors.As(full, &e) || !e.DiskFull() || !strings.HasPrefix(full.Error(), "the disk is full: ") {
		t.Errorf("got %v, want the full disk named first", full)
	}
}
