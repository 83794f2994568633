package process

import (
	"os"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/logfile"
)

// logTailSize is the number of bytes of the log that a Result returns as output.
const logTailSize = 4 << 10

// logFile is the sink of a command that may leave a daemon. A logfile.Keeper limits its size, while
// the command runs and afterwards.
type logFile struct {
	file *os.File
	path string
	log  logrus.FieldLogger
	from int64 // offset at which the output of this command begins
}

// openLog opens the log of a command and marks the event in it, unless that is "".
func openLog(path, event string, log logrus.FieldLogger) (*logFile, error) {
	f, err := logfile.Open(path)
	if err != nil {
		return nil, err
	}
	if event != "" {
		if err := logfile.MarkEvent(path, time.Now(), event); err != nil { // the command is started all the same
			log.WithError(err).WithField("log", path).Debug("Cannot mark a start in the plugin log")
		}
	}
	l := &logFile{file: f, path: path, log: log}
	if l.from, err = logfile.End(f); err != nil {
		f.Close()
		return nil, err
	}
	return l, nil
}

func (l *logFile) fd() uintptr   { return l.file.Fd() }
func (l *logFile) childStarted() {}
func (l *logFile) drainOutput()  {}

func (l *logFile) closeAndRead() string {
	defer l.file.Close()
	s, err := logfile.TailFrom(l.file, l.from, logTailSize)
	if err != nil {
		l.log.WithError(err).WithField("log", l.path).Warn("Cannot read the end of the plugin log")
	}
	return s
}
