package main

import (
	"errors"
	"fmt"
	"testing"
)

func TestExitOf(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name string
		err  error
		code exitCode
		say  error
	}{
		{"no error", nil, exitOK, nil},
		{"any error", broken, exitFailed, broken},
		{"with a code", withExitCode(exitNone, broken), exitNone, broken},
		{"with a code and nothing to say", withExitCode(exitNotRunning, nil), exitNotRunning, nil},
		{"wrapped", fmt.Errorf("while: %w", withExitCode(exitUsage, broken)), exitUsage, broken},
	} {
		code, say := splitExitCode(c.err)
		if code != c.code || !errors.Is(say, c.say) || (say == nil) != (c.say == nil) {
			t.Errorf("%s: %d, %v", c.name, code, say)
		}
	}
}
