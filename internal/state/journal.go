package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/plugin"
)

// The bounds of the journal: a file's bytes, and how much is kept in memory
// while the disk refuses.
const (
	journalMax   = 4 << 20
	waitingMax   = 10_000
	waitingBytes = journalMax
)

// journal writes what happened, an entry a line. It is owned by the writer.
type journal struct {
	dir    string
	log    logrus.FieldLogger
	damage *damages
	max    int64 // bytes of a file
	f      *os.File
	// size is that of f's whole lines.
	size    int64
	backlog backlog // not written yet
}

// waiting is a line that is to be written.
type waiting struct {
	seq  uint64
	at   time.Time
	line []byte
}

// encodeLines fails on what could never be written, such as a time after the
// year 9999.
func encodeLines(entries []plugin.Entry) ([]waiting, error) {
	lines := make([]waiting, 0, len(entries))
	for _, e := range entries {
		line, err := encodeLine(e)
		if err != nil {
			return nil, err
		}
		lines = append(lines, waiting{e.Seq, e.At, line})
	}
	return lines, nil
}

// append writes entries behind those that still wait. After an error they wait
// for the next call. A file that is not there any more is made anew (EV-29).
func (j *journal) append(later backlog) error {
	j.backlog.take(later)
	if err := j.write(); err != nil {
		j.close()
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// write writes all that wait. What was written waits no more, also after an error.
func (j *journal) write() error {
	if err := j.open(); err != nil {
		return err
	}
	if j.backlog.lost > 0 {
		line, err := encodeLine(j.confession())
		if err == nil {
			err = j.put(line)
		}
		if err != nil {
			return err
		}
		j.backlog.lost = 0
	}
	for len(j.backlog.lines) > 0 {
		if err := j.put(j.backlog.lines[0].line); err != nil {
			return err
		}
		j.backlog.pop()
	}
	return nil
}

// confession is the entry that says what is missing before it, in the place of
// the last entry that is.
func (j *journal) confession() plugin.Entry {
	return plugin.Entry{
		Seq: j.backlog.latest.seq, At: j.backlog.latest.at, Kind: plugin.EntryHost,
		Cause:    "the disk refused the journal for too long",
		Decision: fmt.Sprintf("gave up %d entries, of which this takes the place", j.backlog.lost),
	}
}

// put writes one line, in a new file if it does not fit into this one.
func (j *journal) put(line []byte) error {
	if j.size > 0 && j.size+int64(len(line)) > j.max {
		if err := j.rotate(); err != nil {
			return err
		}
	}
	if _, err := j.f.Write(line); err != nil {
		_ = j.f.Truncate(j.size) // else the next open cuts it
		return err
	}
	j.size += int64(len(line))
	return nil
}

// rotate makes the file the older one, and begins a new one.
func (j *journal) rotate() error {
	j.close()
	if err := os.Rename(layout.Journal(j.dir), layout.OlderJournal(j.dir)); err != nil {
		return err
	}
	return j.open()
}

// begin makes the journal ready to be written, and returns the number of its
// last entry. What is in the way is moved aside.
func (j *journal) begin() (last uint64, err error) {
	older := layout.OlderJournal(j.dir)
	f, _, err := openJournal(older, os.O_RDONLY)
	switch {
	case errors.Is(err, errNotRegular):
		err = j.damage.setAside(older, err)
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	case err == nil:
		f.Close()
	}
	err = errors.Join(err, j.open())
	last, unread := lastEntry(j.dir)
	return last, errors.Join(err, unread)
}

// open opens the file to append to it, and cuts off what is no whole line. What
// is not a file is moved aside.
func (j *journal) open() error {
	path := layout.Journal(j.dir)
	if j.f != nil {
		err := lock.CheckPlace(j.f, path)
		if err == nil {
			return nil
		}
		j.log.WithError(err).Warn("The journal is gone, a new one is begun")
		j.close()
	}
	if err := os.MkdirAll(j.dir, 0o750); err != nil {
		return err
	}
	f, info, err := openJournal(path, os.O_RDWR|os.O_CREATE|os.O_APPEND)
	if errors.Is(err, errNotRegular) {
		if err := j.damage.setAside(path, err); err != nil {
			return err
		}
		f, info, err = openJournal(path, os.O_RDWR|os.O_CREATE|os.O_APPEND)
	}
	if err != nil {
		return err
	}
	size := info.Size()
	whole, err := wholeLines(f, size)
	if err == nil && whole < size {
		j.log.WithField("bytes", size-whole).Warn("Dropped the torn end of the journal")
		err = f.Truncate(whole)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	j.f, j.size = f, whole
	return nil
}

// close lets the file go. Each line was written at once, there is nothing to fail.
func (j *journal) close() {
	if j.f != nil {
		_ = j.f.Close()
		j.f = nil
	}
}
