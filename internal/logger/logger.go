// Package logger writes logs: through a queue, so that a blocked reader of a log does
// not block the program, or to nowhere, for packages with an optional log.
package logger

import (
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// KeepWithoutReader makes a write to a closed pipe return an error instead of killing
// the process, so that the program survives the reader of its log. Programs that it
// runs are not affected.
func KeepWithoutReader() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// Silent returns a logger that writes nothing.
func Silent() *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

// OrSilent returns log, or a silent logger if log is nil.
func OrSilent(log logrus.FieldLogger) logrus.FieldLogger {
	if log == nil {
		return Silent()
	}
	return log
}
