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
	exitNotZip        = 235
	exitUnzip         = 236
	exitConfig        = 237
	exitPackage       = 238
	exitDigest        = 239
	exitDownload      = 240
	exitDatabaseRead  = 241
	exitDatabaseWrite = 242
	exitList          = 243
	exitPermission    = 244
	exitRemoveFiles   = 245
	exitNotRun        = 246
	exitTimeout       = 247
	exitSignal        = 255
)

// exitError is an error with an exit code. Without an inner error the code is the
// plugin's, and nothing is printed.
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

// failWith returns an error with an exit code and the text of fmt.Errorf.
func failWith(code int, format string, args ...any) error {
	return &exitError{code: code, err: fmt.Errorf(format, args...)}
}

// exitCode returns the exit code of the program, and reports whether the plugin's exit
// is its cause.
func exitCode(err error) (code int, own bool) {
	if err == nil {
		return 0, true
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code, e.err == nil || e.code == exitSignal
	}
	if f, ok := errors.AsType[*failure.Error](err); ok {
		return f.ExitCode(), false
	}
	return exitUsage, false
}

// isPluginExit reports whether the exit code is the plugin's, not one for a signal.
func isPluginExit(err error) bool {
	e, ok := errors.AsType[*exitError](err)
	return ok && e.err == nil
}

// printError prints the error to stderr and returns the exit code.
func printError(stderr io.Writer, err error) int {
	code, _ := exitCode(err)
	if err != nil && !isPluginExit(err) {
		fmt.Fprintf(stderr, "acs-plugin-manager: %v\n", err)
	}
	return code
}
