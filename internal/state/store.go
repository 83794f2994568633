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
	"pluginsupervisor/internal/failpoint"
	"pluginsupervisor/plugin"
)

// lockWait is the time that Open waits for another process to release the file,
// such as one that is exiting.
const lockWait = time.Second

// foldAt is the size of the log above which it is folded, in bytes.
const foldAt = 256 << 10

// diskLimit is the maximum wait for the disk (EV-25).
const diskLimit = 2 * time.Second

var (
	errClosed  = errors.New("state is closed")
	errStalled = errors.New("the disk does not answer")
)

// Store is the supervisor's durable memory. It is safe for concurrent use. One
// goroutine, the writer, accesses the files; see writer.go.
type Store struct {
	path   string
	log    logrus.FieldLogger
	foldAt int64
	limit  time.Duration
	step   failpoint.Step // called before the writer opens and writes; nil in production

	wake chan struct{} // holds one element while the writer has work
	done chan struct{} // closed when the writer has returned

	// Owned by the writer:
	disk    *disk // nil while the files cannot be written
	journal journal

	mu      sync.Mutex
	all     image // everything saved, on disk or not
	read    bool  // all includes the content of the disk; until then it keeps deletions
	queue   queue // work for the writer
	stalled bool  // the writer exceeded the limit and has not answered since
	failure error // last error of the writer; nil after a success
	closed  bool
	damage  damages
}

// Open opens the state at path, creates its folder, and returns the saved memory.
// Damaged files are moved aside. If the disk cannot be written, or does not answer
// within two seconds, this is logged and each Save tries again (EV-11, EV-25). The
// only error is that another process locks the state for longer than a second.
// The maps of the returned memory are never nil.
func Open(path string, log logrus.FieldLogger) (*Store, plugin.Memory, error) {
	return newStore(path, log).openStore()
}

func newStore(path string, log logrus.FieldLogger) *Store {
	s := &Store{
		path: path, log: log, foldAt: foldAt, limit: diskLimit,
		wake: make(chan struct{}, 1), done: make(chan struct{}), all: image{},
	}
	s.damage.log = log
	s.journal = journal{dir: filepath.Dir(path), log: log, damage: &s.damage, max: journalMax}
	return s
}

func (s *Store) openStore() (*Store, plugin.Memory, error) {
	opened := make(chan openResult, 1)
	go s.runWriter(opened)
	var o openResult
	late := time.NewTimer(s.limit)
	defer late.Stop()
	select {
	case o = <-opened:
	case <-late.C:
		o = s.readWithoutWriter()
	}
	if errors.Is(o.state, boltfile.ErrLocked) {
		_ = s.stopWriter(stopAtOnce)
		return nil, plugin.Memory{}, o.state
	}
	if o.state != nil {
		s.log.WithError(o.state).Error("State is kept in memory only: it cannot be written")
	}
	if o.journal != nil {
		s.log.WithError(o.journal).Error("Journal is kept in memory only: it cannot be written")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	remembered := s.all.decodeMemory(&s.damage)
	remembered.Entries = o.last
	return s, remembered, nil
}

// Save stores a batch of changes, all or none. After nil the batch survives a
// crash of the process, and with Sync also a power failure. After an error the
// batch stays in memory, and the next Save or Close that can write stores it. A
// batch that cannot be encoded, with an empty key or a time after the year 9999,
// is rejected instead. The journal entries of the batch are stored with it, each
// by one write; Sync does not flush them (EV-12).
//
// Save waits two seconds for a disk that does not answer. After that it returns an
// error at once until the disk answers (EV-25).
func (s *Store) Save(c plugin.Changes) error {
	batch, err := encodeChanges(c)
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	lines, err := encodeLines(c.Entries)
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return fmt.Errorf("save state: %w", errClosed)
	}
	s.queue.add(s.all.newChanges(batch), lines, c.Sync)
	s.all.apply(batch, !s.read)
	s.mu.Unlock()
	if err := s.waitForWriter(s.limit); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	return nil
}

// Check makes the writer check that its files exist, and create them again if not
// (EV-29). It does not wait.
func (s *Store) Check() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.wakeWriter()
	}
}

// Problem returns the error of the last write of state and journal, nil if it
// succeeded.
func (s *Store) Problem() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stalled {
		return errStalled
	}
	return s.failure
}

// Acked returns the last version of a plugin that the control plane acknowledged.
func (s *Store) Acked(name string) (version string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var a plugin.Acked
	if !s.decodeValue(ackedBucket, name, &a) {
		return "", false
	}
	return a.Version, true
}

// Known returns the last known version of a plugin: from its pending report, else
// the acknowledged one. It returns false for a removed plugin (ST-07).
func (s *Store) Known(name string) (version string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var o plugin.PendingReport
	if s.decodeValue(pendingBucket, name, &o) {
		return o.Version, o.Status != plugin.StatusRemoved
	}
	var a plugin.Acked
	if s.decodeValue(ackedBucket, name, &a) {
		return a.Version, a.Status != plugin.StatusRemoved
	}
	return "", false
}

func (s *Store) decodeValue(bucket, key string, v any) bool {
	raw, ok := s.all[bucket][key]
	return ok && !isDeleted(raw) && json.Unmarshal(raw, v) == nil
}

// Close folds the log and closes the files. After an error the last changes may be
// lost.
func (s *Store) Close() error {
	if err := s.stopWriter(foldAndStop); err != nil {
		return fmt.Errorf("close state: %w", err)
	}
	return nil
}
