package process

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/lock"
)

// Sizes of a log in bytes, and how often it is looked at while a command runs (SPEC 11).
const (
	logMax     = 1 << 20
	logKeep    = 64 << 10
	logTail    = 4 << 10 // of it in a Result
	logChecked = time.Second
)

// logFile is the sink of a command that may leave a daemon. It is cut while
// the command runs; afterwards that is the business of whoever calls TrimLog.
type logFile struct {
	file   *os.File
	path   string
	log    logrus.FieldLogger
	warned bool          // that it cannot be cut; once a run is enough
	from   int64         // where this run's output begins; the watcher's until done is closed
	stop   chan struct{} // nil before started
	done   chan struct{}
}

// openLog opens the file for append, and makes its folder. What is not a
// regular file is refused, symlinks too, and a FIFO does not block.
func openLog(path string, log logrus.FieldLogger) (*logFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("create log folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	size, err := regularSize(f)
	if err == nil {
		err = unix.SetNonblock(int(f.Fd()), false) // the flag would be the plugin's too
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open log: %w", err)
	}
	l := &logFile{file: f, path: path, log: log, from: size}
	l.trim()
	return l, nil
}

func (l *logFile) fd() uintptr { return l.file.Fd() }

func (l *logFile) started() {
	l.stop, l.done = make(chan struct{}), make(chan struct{})
	go l.watch()
}

func (l *logFile) settle() {}

func (l *logFile) watch() {
	defer close(l.done)
	tick := time.NewTicker(logChecked)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
			l.trim()
		}
	}
}

func (l *logFile) trim() {
	cut, err := trimLog(l.path)
	if err != nil && !l.warned {
		l.log.WithError(err).WithField("log", l.path).Warn("Log not cut")
		l.warned = true
	}
	l.from = max(0, l.from-cut)
}

func (l *logFile) text() string {
	if l.stop != nil {
		close(l.stop)
		<-l.done
	}
	defer l.file.Close()
	s, err := l.tail()
	if err != nil {
		l.log.WithError(err).WithField("log", l.path).Warn("Log not read")
	}
	return s
}

// tail reads the end of what was appended since the file was opened. It goes
// by the open file: the path may lead to another by now.
func (l *logFile) tail() (string, error) {
	f, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", l.file.Fd()))
	if err != nil {
		return "", fmt.Errorf("open log for reading: %w", err)
	}
	defer f.Close()
	size, err := regularSize(f)
	if err != nil {
		return "", err
	}
	if size < l.from {
		l.from = 0 // cut by another
	}
	from := max(l.from, size-logTail)
	b, err := io.ReadAll(io.NewSectionReader(f, from, size-from))
	if err != nil {
		return "", fmt.Errorf("read log: %w", err)
	}
	return string(b), nil
}

// TrimLog cuts a log file above 1 MiB to its last 64 KiB. A missing file is no
// error; one that is not a regular file is, a symlink too.
//
// The file is cut in place, because a daemon that appends to it keeps it open
// and would go on writing into a replaced one: the tail is copied to the front
// and the file truncated behind it. What is appended during the copy is copied
// too; lost is only what comes between the last look at the size and the
// truncation, the next system call, and a line may be torn there. Of several that cut at once, also in
// other processes, one does and the others return.
func TrimLog(path string) error {
	_, err := trimLog(path)
	return err
}

// trimLog is TrimLog that says how many bytes it took from the front.
func trimLog(path string) (cut int64, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("open log to cut: %w", err)
	}
	defer f.Close()
	size, err := regularSize(f)
	if err != nil || size <= logMax {
		return 0, err
	}
	if err := lock.TryFile(f, true); err != nil {
		if errors.Is(err, lock.ErrHeld) {
			return 0, nil
		}
		return 0, fmt.Errorf("lock log to cut: %w", err)
	}
	return cutFront(f)
}

// cutRounds bounds the chase after a daemon that writes while we copy.
const cutRounds = 8

func cutFront(f *os.File) (int64, error) {
	buf := make([]byte, logKeep)
	size, err := regularSize(f)
	for range cutRounds {
		if err != nil || size <= logMax {
			return 0, err // another was faster
		}
		if _, err := f.ReadAt(buf, size-logKeep); err != nil {
			return 0, fmt.Errorf("read end of log: %w", err)
		}
		if _, err := f.WriteAt(buf, 0); err != nil {
			return 0, fmt.Errorf("move end of log: %w", err)
		}
		copied := size
		if size, err = regularSize(f); size == copied {
			break
		}
	}
	if err := f.Truncate(logKeep); err != nil {
		return 0, fmt.Errorf("truncate log: %w", err)
	}
	return size - logKeep, err
}

func regularSize(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("look at log: %w", err)
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is not a regular file", f.Name())
	}
	return info.Size(), nil
}

// TailLog is the end of a log, at most 4 KiB; "" if there is none.
func TailLog(path string) string {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	size, err := regularSize(f)
	if err != nil {
		return ""
	}
	from := max(0, size-logTail)
	b, err := io.ReadAll(io.NewSectionReader(f, from, size-from))
	if err != nil {
		return ""
	}
	return string(b)
}
