package main

import (
	"errors"
	"fmt"
	"testing"
)

func TestSplitExitCode(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name  string
		err   error
		code  exitCode
		shown error
	}{
		{"no error", nil, exitOK, nil},
		{"any error", broken, exitFailed, broken},
		{"with a code", withExitCode(exitNone, broken), exitNone, broken},
		{"with a code and nothing to print", withExitCode(exitNotRunning, nil), exitNotRunning, nil},
		{"wrapped", fmt.Errorf("while: %w", withExitCode(exitUsage, broken)), exitUsage, broken},
	} {
		code, shown := splitExitCode(c.err)
		if code != c.code || !errors.Is(shown, c.shown) || (shown == nil) != (c.shown == nil) {
			t.Errorf("%s: got %d and %v, want %d and %v", c.name, code, shown, c.code, c.shown)
		}
	}
}
