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

// Limits of the journal: bytes of a file, and lines and bytes kept in memory while
// it cannot be written.
const (
	journalMax      = 4 << 20
	maxPendingLines = 10_000
	maxPendingBytes = journalMax
)

// journal writes one entry a line. The writer owns it.
type journal struct {
	dir     string
	log     logrus.FieldLogger
	damage  *damages
	max     int64 // bytes of a file
	f       *os.File
	size    int64   // bytes of f's complete lines
	backlog backlog // not written yet
}

// journalLine is an encoded entry.
type journalLine struct {
	seq  uint64
	at   time.Time
	line []byte
}

// encodeLines encodes entries. It fails for an entry that JSON cannot represent,
// such as a time after the year 9999.
func encodeLines(entries []plugin.Entry) ([]journalLine, error) {
	lines := make([]journalLine, 0, len(entries))
	for _, e := range entries {
		line, err := encodeLine(e)
		if err != nil {
			return nil, err
		}
		lines = append(lines, journalLine{e.Seq, e.At, line})
	}
	return lines, nil
}

// append writes the pending lines, then the later ones. After an error the rest
// stays pending for the next call. A missing file is created again (EV-29).
func (j *journal) append(later backlog) error {
	j.backlog.appendLater(later)
	if err := j.writePending(); err != nil {
		j.closeFile()
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// writePending writes all pending lines. After an error the written ones are no
// longer pending.
func (j *journal) writePending() error {
	if err := j.openFile(); err != nil {
		return err
	}
	if j.backlog.discarded > 0 {
		line, err := encodeLine(j.gapEntry())
		if err == nil {
			err = j.writeLine(line)
		}
		if err != nil {
			return err
		}
		j.backlog.discarded = 0
	}
	for len(j.backlog.lines) > 0 {
		if err := j.writeLine(j.backlog.lines[0].line); err != nil {
			return err
		}
		j.backlog.pop()
	}
	return nil
}

// gapEntry returns the entry that reports the number of discarded entries. It has
// the number and time of the last of them.
func (j *journal) gapEntry() plugin.Entry {
	return plugin.Entry{
		Seq: j.backlog.lastDiscarded.seq, At: j.backlog.lastDiscarded.at, Kind: plugin.EntryHost,
		Cause:    "the journal could not be written for too long",
		Decision: fmt.Sprintf("discarded %d entries, this entry replaces them", j.backlog.discarded),
	}
}

// writeLine writes one line. If it does not fit into the file, it starts a new
// one.
func (j *journal) writeLine(line []byte) error {
	if j.size > 0 && j.size+int64(len(line)) > j.max {
		if err := j.rotate(); err != nil {
			return err
		}
	}
	if _, err := j.f.Write(line); err != nil {
		_ = j.f.Truncate(j.size) // else openFile cuts it off later
		return err
	}
	j.size += int64(len(line))
	return nil
}

// rotate renames the file to the older one and starts a new one.
func (j *journal) rotate() error {
	j.closeFile()
	if err := os.Rename(layout.Journal(j.dir), layout.OlderJournal(j.dir)); err != nil {
		return err
	}
	return j.openFile()
}

// prepare opens the journal and returns the number of its last entry. Anything
// that is not a regular file is moved aside.
func (j *journal) prepare() (last uint64, err error) {
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
	err = errors.Join(err, j.openFile())
	last, unread := lastEntryNumber(j.dir)
	return last, errors.Join(err, unread)
}

// openFile opens the file for appending and cuts off an incomplete last line.
// Anything that is not a regular file is moved aside.
func (j *journal) openFile() error {
	path := layout.Journal(j.dir)
	if j.f != nil {
		err := lock.CheckPlace(j.f, path)
		if err == nil {
			return nil
		}
		j.log.WithError(err).Warn("Journal was removed or replaced, starting a new one")
		j.closeFile()
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
	whole, err := completeLength(f, size)
	if err == nil && whole < size {
		j.log.WithField("bytes", size-whole).Warn("Removed an incomplete last line from the journal")
		err = f.Truncate(whole)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	j.f, j.size = f, whole
	return nil
}

// closeFile closes the file. Lines are not buffered, so no error is possible.
func (j *journal) closeFile() {
	if j.f != nil {
		_ = j.f.Close()
		j.f = nil
	}
}
