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

// exitCode is what the program exits with, and whether that is the plugin's own
// end, of which there is no more to say.
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

// isPluginsOwn reports whether the exit code is the plugin's own, not that of a
// signal.
func isPluginsOwn(err error) bool {
	e, ok := errors.AsType[*exitError](err)
	return ok && e.err == nil
}

// tell says on stderr why the program fails and returns its exit code.
func tell(stderr io.Writer, err error) int {
	code, _ := exitCode(err)
	if err != nil && !isPluginsOwn(err) {
		fmt.Fprintf(stderr, "acs-plugin-manager: %v\n", err)
	}
	return code
}
