// Package others notices what other programs do on the same root: which plugins'
// name locks they hold, and that they change the plugin database (EV-21, EV-22).
//
// Nothing is taken for that and nothing is polled: opening and closing a lock file
// are events of its folder, and /proc/locks says which process holds a lock. A lock
// that is opened and closed before it was looked at counts as held. The locks of
// this process do not count.
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

// Others notices other programs on one root. It may be used by several goroutines
// at once.
type Others struct {
	root string
	now  func() time.Time

	mu     sync.Mutex
	locks  map[string]*lockState // by name of the lock file
	due    map[string]*lockState // those of them that are to be looked at, see lockState.at
	queue  *inotify.Queue        // nil: the locks are not followed
	asked  uint64                // number of the last question for what is in the queue
	served chan struct{}         // closed when the last question is answered; nil: there is none
	table  lock.Table            // as it was read last
	read   time.Time             // when that was
}

// lockState is what is known of one lock file.
type lockState struct {
	plugin string    // "": as the file says
	held   bool      // another program held it when it was looked at last
	last   time.Time // when it was seen held last
	due    time.Time // when it is to be reported, once it is free; zero: not before it was seen held
	looks  int       // further looks, as an event says that it may change hands
	next   time.Time // when the next of them is
	used   time.Time // when another program opened it last, or was seen to hold it or to wait for it
	own    int       // events to come of this process's opening it
	opened time.Time // when this process opened it last
}

// New returns the Others of a root. It touches no file.
func New(root string) *Others {
	return &Others{root: root, now: time.Now, locks: map[string]*lockState{}, due: map[string]*lockState{}}
}

// A lock file is opened before it is locked, and closed before the lock is gone:
// after an event that is not this process's own the lock is looked at this often, at first after firstLook, then
// each time after four times as long.
const (
	maxLooks  = 5
	firstLook = time.Millisecond
)

const (
	// fresh is how old what was read of all locks may be: many plugins may exit
	// together.
	fresh = 2 * time.Millisecond
	// drainWithin bounds how long WorkOn waits for the events that have come.
	drainWithin = 100 * time.Millisecond
	// forgetOwn is after how long events of this process's own opening are no
	// longer expected: the kernel merges some.
	forgetOwn = 10 * time.Second
)

// keepUsed is for how long after another program has used a lock each event of it may
// be that program's: it may hold the file open and try again and again to take the lock.
const keepUsed = time.Minute

// onItsWay is after how long who decides knows what WorkOn has reported: not before
// that it is reported that the lock is free.
const onItsWay = 50 * time.Millisecond

// OpenOwn says that this process is about to open a plugin's name lock.
func (o *Others) OpenOwn(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.state(filepath.Base(layout.NameLock(o.root, name)))
	s.own++
	s.opened = o.now()
}

// WorkOn reports whether another program holds a plugin's name lock, or did within
// that time.
func (o *Others) WorkOn(name string, within time.Duration) bool {
	path := layout.NameLock(o.root, name)
	table := o.refresh()
	holders := table.Holders(path)
	o.mu.Lock()
	defer o.mu.Unlock()
	s, now := o.state(filepath.Base(path)), o.now()
	s.plugin = name
	if len(holders) > 0 {
		s.held, s.last, s.used = true, now, now
	}
	works := len(holders) > 0 || !s.last.IsZero() && now.Sub(s.last) < within
	if works {
		s.due = now.Add(onItsWay)
		s.looks, s.next = maxLooks, now
		o.schedule(filepath.Base(path), s)
		if o.queue != nil {
			o.queue.Interrupt()
		}
	}
	return works
}

// refresh returns which locks are held, after what has happened to them has been
// noted.
func (o *Others) refresh() lock.Table {
	o.mu.Lock()
	if o.now().Sub(o.read) < fresh {
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
		case <-time.After(drainWithin):
		}
	}
	table := lock.ReadTable()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.table, o.read = table, o.now()
	return table
}

func (o *Others) state(file string) *lockState {
	s := o.locks[file]
	if s == nil {
		s = &lockState{}
		o.locks[file] = s
	}
	return s
}

// FollowLocks reports each plugin whose name lock another program has let go, until
// ctx ends: of what it holds when WorkOn reports true, once at least.
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
		asked, until := o.nextLook()
		events, err := queue.Read(until)
		if ctx.Err() != nil || err != nil {
			return err
		}
		if len(events) == 0 {
			o.serve(asked)
		}
		if err := o.note(events); err != nil {
			return err
		}
		for _, name := range o.look() {
			freed(name)
		}
	}
}

// serve answers the questions up to a number: all events that had come then are
// noted.
func (o *Others) serve(asked uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.served != nil && asked == o.asked {
		close(o.served)
		o.served = nil
	}
}

// openQueue returns a queue of events of a folder of the root, which is made with
// mode perm if it is not there. Where that fails it tries again until ctx ends: what
// cannot be made no other program uses.
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

// errFolder is the error when the watched folder is not where it was.
var errFolder = errors.New("its folder was removed or replaced")

func isFolderGone(e inotify.Event) bool {
	return e.Mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_IGNORED) != 0
}

// note has the locks looked at of which events came.
func (o *Others) note(events []inotify.Event) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	for _, e := range events {
		switch {
		case isFolderGone(e):
			return errFolder
		case e.Mask&unix.IN_Q_OVERFLOW != 0:
			for file, s := range o.locks {
				s.used, s.looks, s.next = now, maxLooks, now
				o.schedule(file, s)
			}
		case strings.HasSuffix(e.Name, lockSuffix):
			s := o.state(e.Name)
			if e.Mask&unix.IN_OPEN != 0 {
				s.noteOpened(now)
			}
			if now.Sub(s.used) < keepUsed || !s.due.IsZero() {
				s.looks, s.next = maxLooks, now
			}
			o.schedule(e.Name, s)
		}
	}
	return nil
}

// noteOpened notes that a program has opened the lock file: this one, as it said,
// or another one, which holds it now or did.
func (s *lockState) noteOpened(now time.Time) {
	if now.Sub(s.opened) > forgetOwn {
		s.own = 0
	}
	if s.own > 0 {
		s.own--
	} else {
		s.used, s.last = now, now
	}
}

// nextLook returns until when events are waited for: until a lock is to be looked at
// next; the zero time: until one comes. asked is the number of the last question.
func (o *Others) nextLook() (asked uint64, until time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.served != nil {
		return o.asked, o.now()
	}
	for _, s := range o.due {
		if at := s.at(); !at.IsZero() && (until.IsZero() || at.Before(until)) {
			until = at
		}
	}
	return o.asked, until
}

// at returns when the lock is to be looked at next; the zero time: when an event
// comes.
func (s *lockState) at() (at time.Time) {
	if s.looks > 0 {
		at = s.next
	}
	if !s.due.IsZero() && !s.held && (at.IsZero() || s.due.Before(at)) {
		at = s.due
	}
	return at
}

// look looks at the locks that are due, and returns the plugins whose lock became
// free.
func (o *Others) look() (freed []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	due := maps.Clone(o.due)
	maps.DeleteFunc(due, func(_ string, s *lockState) bool { return s.at().After(now) })
	if len(due) == 0 {
		return nil
	}
	table := lock.ReadTable() // once for all that are due: it holds every lock of the host
	folder := filepath.Dir(layout.NameLock(o.root, "any"))
	for file, s := range due {
		path := filepath.Join(folder, file)
		if s.look(now, len(table.Holders(path)) > 0, table.IsAwaited(path)) {
			freed = append(freed, s.name(file))
		}
		o.schedule(file, s)
	}
	return freed
}

// schedule has a lock looked at when lockState.at says, and forgets what nothing is
// known of. It is called after each change of the lock's state.
func (o *Others) schedule(file string, s *lockState) {
	if s.at().IsZero() {
		delete(o.due, file)
	} else {
		o.due[file] = s
	}
	if s.looks == 0 && s.last.IsZero() && s.own == 0 {
		delete(o.locks, file)
	}
}

// look notes whether another program holds the lock or waits for it, and reports
// whether it became free, or is free when that is to be reported.
func (s *lockState) look(now time.Time, held, awaited bool) (free bool) {
	if s.looks > 0 {
		s.looks--
		s.next = now.Add(firstLook << (2 * (maxLooks - 1 - s.looks)))
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

// name returns the plugin of a lock file.
func (s *lockState) name(file string) string {
	if s.plugin != "" {
		return s.plugin
	}
	return strings.TrimSuffix(file, lockSuffix)
}

// FollowRecords reports that the plugin database has changed, until ctx ends.
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
		concerns := false
		for _, e := range events {
			if isFolderGone(e) {
				return errFolder
			}
			concerns = concerns || e.Name == filepath.Base(database) || e.Mask&unix.IN_Q_OVERFLOW != 0
		}
		if concerns {
			changed()
		}
	}
}
