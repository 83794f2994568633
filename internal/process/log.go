package process

import (
	"os"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/logfile"
)

// logTail is how much of what was appended to a log is in a Result, in bytes.
const logTail = 4 << 10

// logFile is the sink of a command that may leave a daemon. A logfile.Keeper
// bounds it, while the command runs and afterwards.
type logFile struct {
	file *os.File
	path string
	log  logrus.FieldLogger
	from int64 // position at which this run's output begins
}

func openLog(path string, log logrus.FieldLogger) (*logFile, error) {
	f, err := logfile.Open(path)
	if err != nil {
		return nil, err
	}
	l := &logFile{file: f, path: path, log: log}
	if l.from, err = logfile.End(f); err != nil {
		f.Close()
		return nil, err
	}
	return l, nil
}

func (l *logFile) fd() uintptr { return l.file.Fd() }
func (l *logFile) started()    {}
func (l *logFile) settle()     {}

func (l *logFile) text() string {
	defer l.file.Close()
	s, err := logfile.TailFrom(l.file, l.from, logTail)
	if err != nil {
		l.log.WithError(err).WithField("log", l.path).Warn("Log not read")
	}
	return s
}
