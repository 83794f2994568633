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

// lockWait is how long Open waits for another process to let the file go, as
// one that is just ending does.
const lockWait = time.Second

// foldAt is the size of the log, in bytes, above which it is folded.
const foldAt = 256 << 10

// diskLimit is how long the disk is waited for (EV-25).
const diskLimit = 2 * time.Second

var (
	errClosed  = errors.New("state is closed")
	errStalled = errors.New("the disk does not answer")
)

// Store is the supervisor's durable memory. Its methods may be called
// concurrently. A goroutine of its own, the writer, does what may take long;
// see writer.go.
type Store struct {
	path   string
	log    logrus.FieldLogger
	foldAt int64
	limit  time.Duration
	step   failpoint.Step // asked before the writer opens and writes; nil in production

	wake chan struct{} // holds one element while the writer has something to do
	done chan struct{} // closed when the writer has ended

	// The writer's:
	disk    *disk // nil while the disk refuses
	journal journal

	mu      sync.Mutex
	all     image // everything saved, on the disk or not
	read    bool  // all includes what was on the disk; until then it keeps deletions
	queue   queue // what the writer has to do next
	stalled bool  // the writer has not answered in time, and has not come back since
	failure error // why the writer failed last; nil when it did not
	closed  bool
	damage  damages
}

// Open opens the state at path and returns what it remembers; its folder is
// created. Damage is moved aside. A disk that refuses, or does not answer in two
// seconds, is logged and tried again with each Save (EV-11, EV-25): the only error
// is that another process holds the state for longer than a second. The returned
// memory's maps are never nil.
func Open(path string, log logrus.FieldLogger) (*Store, plugin.Memory, error) {
	return newStore(path, log).open()
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

func (s *Store) open() (*Store, plugin.Memory, error) {
	opened := make(chan opening, 1)
	go s.run(opened)
	var o opening
	late := time.NewTimer(s.limit)
	defer late.Stop()
	select {
	case o = <-opened:
	case <-late.C:
		o = s.readWithoutWriter()
	}
	if errors.Is(o.state, boltfile.ErrLocked) {
		_ = s.end(endNow)
		return nil, plugin.Memory{}, o.state
	}
	if o.state != nil {
		s.log.WithError(o.state).Error("State is kept in memory only, the disk refuses it")
	}
	if o.journal != nil {
		s.log.WithError(o.journal).Error("Journal is kept in memory only, the disk refuses it")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	remembered := s.all.memory(&s.damage)
	remembered.Entries = o.last
	return s, remembered, nil
}

// Save stores a batch of changes: all of it or nothing. When it returns nil
// the batch survives the death of the process, and with Sync also that of the
// machine. When it returns an error the batch is remembered all the same and
// written by the first Save, or by Close, that finds the disk willing; a batch
// that could never be stored, with an empty key or a time after the year 9999,
// is refused instead. The entries of the journal are stored with it, each by
// one write, and are not flushed with Sync (EV-12).
//
// A disk that does not answer is waited for once, for two seconds. Until it
// answers, Save returns an error at once (EV-25).
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
	if s.closed {
		s.mu.Unlock()
		return fmt.Errorf("save state: %w", errClosed)
	}
	s.queue.add(s.all.news(batch), lines, c.Sync)
	s.all.apply(batch, !s.read)
	s.mu.Unlock()
	if err := s.await(s.limit); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	return nil
}

// Check has the writer look whether its files are still there, and make them
// anew if not (EV-29). It does not wait for that.
func (s *Store) Check() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.wakeWriter()
	}
}

// Problem returns why state or journal could not be written last, nil if they
// could.
func (s *Store) Problem() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stalled {
		return errStalled
	}
	return s.failure
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
	var o plugin.PendingReport
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
	if err := s.end(endFolded); err != nil {
		return fmt.Errorf("close state: %w", err)
	}
	return nil
}
