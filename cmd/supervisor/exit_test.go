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
		{"with a code", exit(exitNone, broken), exitNone, broken},
		{"with a code and nothing to say", exit(exitNotRunning, nil), exitNotRunning, nil},
		{"wrapped", fmt.Errorf("while: %w", exit(exitUsage, broken)), exitUsage, broken},
	} {
		code, say := exitOf(c.err)
		if code != c.code || !errors.Is(say, c.say) || (say == nil) != (c.say == nil) {
			t.Errorf("%s: %d, %v", c.name, code, say)
		}
	}
}
