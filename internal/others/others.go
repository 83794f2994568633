// Package others observes what other programs do on the same root: which plugins'
// name locks they hold, and that they change the plugin database (EV-21, EV-22).
//
// It takes no lock and does not poll: opening and closing a lock file are events of
// its folder, and /proc/locks lists the processes that hold a lock. A lock file that
// was opened and closed before its lock was checked counts as held. The locks of this
// process do not count.
package others

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/inotify"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/pause"
)

const lockSuffix = ".lock"

// Others observes other programs on one root. It may be used by several goroutines
// at once.
type Others struct {
	root string
	now  func() time.Time

	mu     sync.Mutex
	locks  map[string]*lockState // by name of the lock file
	due    map[string]*lockState // the locks with a next check, see lockState.nextAt
	queue  *inotify.Queue        // nil: the locks are not followed
	asked  uint64                // number of the last request to drain the queue
	served chan struct{}         // closed when that is done; nil: there is no request
	table  lock.Table            // as last read
	read   time.Time             // when it was read
}

// lockState is the state of one lock file.
type lockState struct {
	plugin string    // "": by the name of the file
	held   bool      // another program held it at the last check
	last   time.Time // when another program last held it
	due    time.Time // when a free lock is reported; zero: once it was held and is free
	checks int       // checks that are left after an event
	next   time.Time // when the next of them is due
	used   time.Time // when another program last opened it, held it or waited for it
	own    int       // expected events of this process's own opening
	opened time.Time // when this process last opened it
}

// New returns the Others of a root. It touches no file.
func New(root string) *Others {
	return &Others{root: root, now: time.Now, locks: map[string]*lockState{}, due: map[string]*lockState{}}
}

// A lock file is opened before it is locked, and closed before the lock is released:
// after an event of another program the lock is checked maxChecks times, first after
// firstCheck, then each time after four times as long.
const (
	maxChecks  = 5
	firstCheck = time.Millisecond
)

const (
	// tableMaxAge is for how long a read table is used: many plugins may exit at once.
	tableMaxAge = 2 * time.Millisecond
	// drainTimeout bounds how long WorkOn waits for the events in the queue.
	drainTimeout = 100 * time.Millisecond
	// ownEventTimeout is after how long events of this process's own opening are no
	// longer expected: the kernel merges some.
	ownEventTimeout = 10 * time.Second
)

// usedPeriod is for how long after another program has used a lock an event may be that
// program's: it may keep the file open and retry to take the lock.
const usedPeriod = time.Minute

// reportDelay is the least time between a WorkOn that reports true and the report that
// the lock is free: the caller must have handled the first one.
const reportDelay = 50 * time.Millisecond

// OpenOwn records that this process is about to open a plugin's name lock.
func (o *Others) OpenOwn(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.findOrAdd(filepath.Base(layout.NameLock(o.root, name)))
	s.own++
	s.opened = o.now()
}

// WorkOn reports whether another program holds a plugin's name lock, or did within
// that time.
func (o *Others) WorkOn(name string, within time.Duration) bool {
	path := layout.NameLock(o.root, name)
	table := o.refreshTable()
	holders := table.Holders(path)
	o.mu.Lock()
	defer o.mu.Unlock()
	s, now := o.findOrAdd(filepath.Base(path)), o.now()
	s.plugin = name
	if len(holders) > 0 {
		s.held, s.last, s.used = true, now, now
	}
	works := len(holders) > 0 || !s.last.IsZero() && now.Sub(s.last) < within
	if works {
		s.due = now.Add(reportDelay)
		s.checks, s.next = maxChecks, now
		o.schedule(filepath.Base(path), s)
		if o.queue != nil {
			o.queue.Interrupt()
		}
	}
	return works
}

// refreshTable returns which locks are held, after all events in the queue are handled.
func (o *Others) refreshTable() lock.Table {
	o.mu.Lock()
	if o.now().Sub(o.read) < tableMaxAge {
		defer o.mu.Unlock()
		return o.table
	}
	var served chan struct{}
	if o.queue != nil {
		if o.served == nil {
			o.served = make(chan struct{})
		}
		served = o.served
		o.asked++
		o.queue.Interrupt()
	}
	o.mu.Unlock()
	if served != nil {
		select {
		case <-served:
		case <-time.After(drainTimeout):
		}
	}
	table := lock.ReadTable()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.table, o.read = table, o.now()
	return table
}

func (o *Others) findOrAdd(file string) *lockState {
	s := o.locks[file]
	if s == nil {
		s = &lockState{}
		o.locks[file] = s
	}
	return s
}

// FollowLocks calls freed for each plugin whose name lock another program has released,
// until ctx ends. For a lock that is held when WorkOn reports true, it does so at least
// once.
func (o *Others) FollowLocks(ctx context.Context, freed func(name string)) error {
	folder := filepath.Dir(layout.NameLock(o.root, "any"))
	queue, err := o.openQueue(ctx, folder, 0o750, unix.IN_OPEN|unix.IN_CLOSE)
	if err != nil {
		return err
	}
	defer queue.Close()
	defer context.AfterFunc(ctx, queue.Interrupt)()
	o.mu.Lock()
	o.queue = queue
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.queue = nil
	}()
	for {
		asked, until := o.nextCheck()
		events, err := queue.Read(until)
		if ctx.Err() != nil || err != nil {
			return err
		}
		if len(events) == 0 {
			o.answerRequest(asked)
		}
		if err := o.noteEvents(events); err != nil {
			return err
		}
		for _, name := range o.checkDue() {
			freed(name)
		}
	}
}

// answerRequest answers the requests up to a number: all events that were in the queue then
// are handled.
func (o *Others) answerRequest(asked uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.served != nil && asked == o.asked {
		close(o.served)
		o.served = nil
	}
}

// openQueue returns a queue of events of a folder of the root, which is made with mode
// perm if it does not exist. Where that fails it retries until ctx ends: no other
// program uses a folder that cannot be made.
func (o *Others) openQueue(ctx context.Context, folder string, perm fs.FileMode, mask uint32) (*inotify.Queue, error) {
	for {
		_, err := os.Stat(o.root)
		if err == nil {
			err = durable.MakeFolder(folder, perm)
		}
		if err == nil || !errors.Is(err, fs.ErrNotExist) && !durable.IsRefused(err) && !errors.Is(err, unix.ENOTDIR) {
			break
		}
		if err := pause.Sleep(ctx, 10*time.Second); err != nil {
			return nil, err
		}
	}
	queue, err := inotify.Open()
	if err != nil {
		return nil, err
	}
	if _, err := queue.Add(folder, mask|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_ONLYDIR); err != nil {
		return nil, errors.Join(err, queue.Close())
	}
	return queue, nil
}

// errFolder means that the watched folder was removed or moved.
var errFolder = errors.New("its folder was removed or replaced")

func isFolderGone(e inotify.Event) bool {
	return e.Mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_IGNORED) != 0
}

// noteEvents schedules checks of the locks that have events.
func (o *Others) noteEvents(events []inotify.Event) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	for _, e := range events {
		switch {
		case isFolderGone(e):
			return errFolder
		case e.Mask&unix.IN_Q_OVERFLOW != 0:
			for file, s := range o.locks {
				s.used, s.checks, s.next = now, maxChecks, now
				o.schedule(file, s)
			}
		case strings.HasSuffix(e.Name, lockSuffix):
			s := o.findOrAdd(e.Name)
			if e.Mask&unix.IN_OPEN != 0 {
				s.noteOpened(now)
			}
			if now.Sub(s.used) < usedPeriod || !s.due.IsZero() {
				s.checks, s.next = maxChecks, now
			}
			o.schedule(e.Name, s)
		}
	}
	return nil
}

// noteOpened notes that a program has opened the lock file: this one, after OpenOwn, or
// another one, which then holds the lock or held it.
func (s *lockState) noteOpened(now time.Time) {
	if now.Sub(s.opened) > ownEventTimeout {
		s.own = 0
	}
	if s.own > 0 {
		s.own--
	} else {
		s.used, s.last = now, now
	}
}

// nextCheck returns the time of the next check, until which events are waited for; the
// zero time means no limit. asked is the number of the last request.
func (o *Others) nextCheck() (asked uint64, until time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.served != nil {
		return o.asked, o.now()
	}
	for _, s := range o.due {
		if at := s.nextAt(); !at.IsZero() && (until.IsZero() || at.Before(until)) {
			until = at
		}
	}
	return o.asked, until
}

// nextAt returns when the lock is checked next; the zero time: after the next event.
func (s *lockState) nextAt() (at time.Time) {
	if s.checks > 0 {
		at = s.next
	}
	if !s.due.IsZero() && !s.held && (at.IsZero() || s.due.Before(at)) {
		at = s.due
	}
	return at
}

// checkDue checks the locks that are due, and returns the plugins whose lock became free.
func (o *Others) checkDue() (freed []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	due := maps.Clone(o.due)
	maps.DeleteFunc(due, func(_ string, s *lockState) bool { return s.nextAt().After(now) })
	if len(due) == 0 {
		return nil
	}
	table := lock.ReadTable() // once for all locks that are due
	folder := filepath.Dir(layout.NameLock(o.root, "any"))
	for file, s := range due {
		path := filepath.Join(folder, file)
		if s.update(now, len(table.Holders(path)) > 0, table.IsAwaited(path)) {
			freed = append(freed, s.pluginName(file))
		}
		o.schedule(file, s)
	}
	return freed
}

// schedule adds a lock to those that are due, by lockState.nextAt, and forgets one without
// any state. It is called after each change of the state.
func (o *Others) schedule(file string, s *lockState) {
	if s.nextAt().IsZero() {
		delete(o.due, file)
	} else {
		o.due[file] = s
	}
	if s.checks == 0 && s.last.IsZero() && s.own == 0 {
		delete(o.locks, file)
	}
}

// update stores whether another program holds the lock or waits for it, and reports
// whether it became free, or is free when that is due to be reported.
func (s *lockState) update(now time.Time, held, awaited bool) (free bool) {
	if s.checks > 0 {
		s.checks--
		s.next = now.Add(firstCheck << (2 * (maxChecks - 1 - s.checks)))
	}
	if held || s.held {
		s.last = now
	}
	if held || awaited {
		s.used = now
	}
	isDue := !s.due.IsZero() && !s.due.After(now)
	free = !held && (s.held || isDue)
	if !held && isDue {
		s.due = time.Time{}
	}
	s.held = held
	return free
}

// pluginName returns the plugin of a lock file.
func (s *lockState) pluginName(file string) string {
	if s.plugin != "" {
		return s.plugin
	}
	return strings.TrimSuffix(file, lockSuffix)
}

// FollowRecords calls changed for each change of the plugin database, until ctx ends.
func (o *Others) FollowRecords(ctx context.Context, changed func()) error {
	database := layout.Database(o.root)
	queue, err := o.openQueue(ctx, filepath.Dir(database), 0o755, unix.IN_MODIFY|unix.IN_MOVED_TO|unix.IN_MOVED_FROM|unix.IN_DELETE)
	if err != nil {
		return err
	}
	defer queue.Close()
	defer context.AfterFunc(ctx, queue.Interrupt)()
	queue.Rest(50 * time.Millisecond) // a transaction is several writes
	for {
		events, err := queue.Read(time.Time{})
		if ctx.Err() != nil || err != nil {
			return err
		}
		relevant := false
		for _, e := range events {
			if isFolderGone(e) {
				return errFolder
			}
			relevant = relevant || e.Name == filepath.Base(database) || e.Mask&unix.IN_Q_OVERFLOW != 0
		}
		if relevant {
			changed()
		}
	}
}
