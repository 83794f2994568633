package main

import (
	"errors"
	"fmt"
	"io"

	"pluginsupervisor/internal/install/failure"
)

// The exit codes of SPEC 11.
const (
	exitUsage         = 1
	exitLock          = 232
	exitNotFound      = 234
	exitPackage       = 238
	exitDatabaseRead  = 241
	exitDatabaseWrite = 242
	exitList          = 243
	exitPermission    = 244
	exitRemoveFiles   = 245
	exitNotRun        = 246
	exitTimeout       = 247
	exitSignal        = 255
)

// exitError is an error with its exit code. With no error beneath, the plugin's
// own exit code is all there is to say.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// fail is an error with an exit code and a text as by fmt.Errorf.
func fail(code int, format string, args ...any) error {
	return &exitError{code: code, err: fmt.Errorf(format, args...)}
}

// tell says on stderr why the program fails and returns its exit code.
func tell(stderr io.Writer, err error) int {
	if err == nil {
		return 0
	}
	code := exitUsage
	if e, ok := errors.AsType[*exitError](err); ok {
		if code = e.code; e.err == nil {
			return code
		}
	} else if f, ok := errors.AsType[*failure.Error](err); ok {
		code = f.ExitCode()
	}
	fmt.Fprintf(stderr, "acs-plugin-manager: %v\n", err)
	return code
}
