package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/boltfile"
	"pluginsupervisor/plugin"
)

// lockWait is how long Open waits for another process to let the file go, as
// one that is just ending does.
const lockWait = time.Second

// foldAt is the size of the log, in bytes, above which it is folded.
const foldAt = 256 << 10

var errClosed = errors.New("state is closed")

// Store is the supervisor's durable memory. Its methods may be called
// concurrently.
type Store struct {
	path   string
	log    logrus.FieldLogger
	foldAt int64

	mu      sync.Mutex
	journal journal
	all     image // everything saved, on the disk or not
	read    bool  // all includes what was on the disk; until then it keeps deletions
	disk    *disk // nil while the disk refuses
	closed  bool
}

// Open opens the state at path and returns what it remembers; its folder is
// created. Damage is moved aside, and a disk that refuses is logged and tried
// again with each Save (EV-11): the only error is that another process holds
// the state for longer than a second. The returned memory's maps are never nil.
func Open(path string, log logrus.FieldLogger) (*Store, plugin.Memory, error) {
	return open(path, log, foldAt)
}

func open(path string, log logrus.FieldLogger, foldAt int64) (*Store, plugin.Memory, error) {
	s := &Store{path: path, log: log, foldAt: foldAt, all: image{}}
	s.journal = journal{dir: filepath.Dir(path), log: log, max: journalMax}
	err := s.reopen(lockWait)
	if errors.Is(err, boltfile.ErrLocked) {
		return nil, plugin.Memory{}, err
	}
	if err != nil {
		log.WithError(err).Error("State is kept in memory only, the disk refuses it")
	}
	remembered := s.all.memory(log)
	if remembered.Entries, err = s.journal.begin(); err != nil {
		log.WithError(err).Error("Journal is kept in memory only, the disk refuses it")
	}
	return s, remembered, nil
}

// Save stores a batch of changes: all of it or nothing. When it returns nil
// the batch survives the death of the process, and with Sync also that of the
// machine. When it returns an error the batch is remembered all the same and
// written by the first Save, or by Close, that finds the disk willing; a batch
// that could never be stored, with an empty key or a time after the year 9999,
// is refused instead. The entries of the journal are stored with it, each by
// one write, and are not flushed with Sync (EV-12).
func (s *Store) Save(c plugin.Changes) error {
	batch, err := encode(c)
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	lines, err := encodeLines(c.Entries)
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("save state: %w", errClosed)
	}
	s.all.apply(batch, !s.read)
	if err := errors.Join(s.write(batch, c.Sync), s.journal.append(lines)); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	return nil
}

func (s *Store) write(batch image, sync bool) error {
	if s.disk == nil {
		return s.reopen(0)
	}
	if len(batch) == 0 {
		return nil
	}
	err := s.disk.wal.append(batch, sync)
	if err == nil && s.disk.wal.size > s.foldAt {
		err = s.disk.fold(s.all)
	}
	if err != nil {
		return s.again(err)
	}
	return nil
}

// again tries once more, from the start, after the open files failed: damage
// is cured by that, a full disk is not.
func (s *Store) again(failure error) error {
	s.abandon()
	if err := s.reopen(0); err != nil {
		return fmt.Errorf("%w; again: %w", failure, err)
	}
	s.log.WithError(failure).Warn("State could not be written, and was written anew")
	return nil
}

// reopen opens the files and writes everything there is to them. What they
// held counts only if it was not read before.
func (s *Store) reopen(wait time.Duration) error {
	d, found, err := openDisk(s.path, wait, s.log)
	if found != nil && !s.read {
		found.apply(s.all, false)
		s.all, s.read = found, true
	}
	if err != nil {
		return err
	}
	s.disk = d
	if err := d.fold(s.all); err != nil {
		s.abandon()
		return err
	}
	return nil
}

// abandon closes files that could not be written. Why is known already.
func (s *Store) abandon() {
	_ = s.disk.close()
	s.disk = nil
}

// Acked returns the version of a plugin that the control plane acknowledged
// last.
func (s *Store) Acked(name string) (version string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var a plugin.Acked
	if !s.get(ackedBucket, name, &a) {
		return "", false
	}
	return a.Version, true
}

// Known returns the version of a plugin that was seen last: the one still
// owed, else the one acknowledged; not that of a removed plugin (ST-07).
func (s *Store) Known(name string) (version string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var o plugin.Owed
	if s.get(owedBucket, name, &o) {
		return o.Version, o.Status != plugin.StatusRemoved
	}
	var a plugin.Acked
	if s.get(ackedBucket, name, &a) {
		return a.Version, a.Status != plugin.StatusRemoved
	}
	return "", false
}

func (s *Store) get(bucket, key string, v any) bool {
	raw, ok := s.all[bucket][key]
	return ok && !isDeleted(raw) && json.Unmarshal(raw, v) == nil
}

// Close folds the log and lets the files go. After an error the last changes
// may be in memory only, and lost.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	err := errors.Join(s.settle(), s.journal.append(nil))
	s.journal.close()
	if s.disk != nil {
		err = errors.Join(err, s.disk.close())
	}
	if err != nil {
		return fmt.Errorf("close state: %w", err)
	}
	return nil
}

// settle brings everything into the database.
func (s *Store) settle() error {
	if s.disk == nil {
		return s.reopen(0)
	}
	if err := s.disk.fold(s.all); err != nil {
		return s.again(err)
	}
	return nil
}
