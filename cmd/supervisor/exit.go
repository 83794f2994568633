package main

import (
	"errors"
	"fmt"
)

// exitCode is the exit status of the program; scripts depend on the numbers.
type exitCode int

const (
	exitOK         exitCode = 0 // also: `run` after SIGTERM or SIGINT
	exitFailed     exitCode = 1
	exitUsage      exitCode = 2   // wrong configuration, flags or arguments
	exitNotRunning exitCode = 3   // `status`: a plugin does not run as it should
	exitNone       exitCode = 4   // no such plugin, or no supervisor
	exitRefused    exitCode = 238 // `plugin`: a package that hosts reject (AP-12)
)

// exitError is an error with the exit status of the program.
type exitError struct {
	code exitCode
	err  error // nil: nothing is printed
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// withExitCode returns err with the exit status of the program.
func withExitCode(code exitCode, err error) error { return &exitError{code, err} }

// splitExitCode returns the exit status for an error, and the error to print.
func splitExitCode(err error) (code exitCode, shown error) {
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
