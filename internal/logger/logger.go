// Package logger holds the logger that writes nothing, for the parts whose log
// is optional.
package logger

import (
	"io"

	"github.com/sirupsen/logrus"
)

// Silent returns a logger that writes nothing.
func Silent() *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

// OrSilent returns log, or a silent logger where log is nil.
func OrSilent(log logrus.FieldLogger) logrus.FieldLogger {
	if log == nil {
		return Silent()
	}
	return log
}
