package main

import (
	"errors"
	"fmt"
)

// exitCode is how the program ends; scripts depend on the numbers.
type exitCode int

const (
	exitOK         exitCode = 0 // also: `run` after SIGTERM or SIGINT
	exitFailed     exitCode = 1
	exitUsage      exitCode = 2   // wrong configuration, flags or arguments
	exitNotRunning exitCode = 3   // `status`: something is not as it should be
	exitNone       exitCode = 4   // no such plugin, or no supervisor
	exitRefused    exitCode = 238 // `plugin`: a package that hosts would refuse (AP-12)
)

// exitError is an error that knows how the program ends.
type exitError struct {
	code exitCode
	err  error // nil: there is nothing more to say
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// withExitCode makes err end the program with code.
func withExitCode(code exitCode, err error) error { return &exitError{code, err} }

// splitExitCode is the code an error ends the program with, and what is to be said.
func splitExitCode(err error) (code exitCode, say error) {
	var known *exitError
	switch {
	case err == nil:
		return exitOK, nil
	case errors.As(err, &known):
		return known.code, known.err
	default:
		return exitFailed, err
	}
}
