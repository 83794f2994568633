package logfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/inotify"
)

// Keeper bounds the logs of a folder while they are written (AP-07). It does
// nothing while nothing is written. Create one with its exported fields.
type Keeper struct {
	Folder string
	Limit  Limit
	// Problem is called with what does not work, and with a nil error when it
	// works again; calls with the same error may be repeated.
	Problem func(what string, err error)

	logs   map[string]*log // of the folder, by file name
	strays map[identity]*stray
	wrong  map[string]bool // what Problem was called with
	proc   string          // the folder of the processes; "" for /proc
}

// log is what is known of one file.
type log struct {
	size  int64
	at    time.Time // when it was that large
	due   time.Time // when it is checked again without an event; zero: not
	dirty bool
}

const (
	// rest is how long events of writes gather. With the time that it takes to
	// bound a log it is less than the second of AP-07.
	rest = 600 * time.Millisecond
	// hurry is when a log is checked again that may exceed the limit within a second.
	hurry = 200 * time.Millisecond
	// pollEvery is how often sizes are checked where the kernel does not report
	// writes, and pollFor for how long until that is tried again.
	pollEvery, pollFor = 700 * time.Millisecond, 15 * time.Second
	// strayEvery is how often the writers of moved and deleted logs are looked for
	// while there are some.
	strayEvery = time.Minute
)

// What Problem is called with.
const (
	problemWatch  = "watch of the log folder"
	problemFolder = "log folder"
)

// logSuffix ends the name of each log.
const logSuffix = ".log"

// errFolderGone says that the folder that was watched is not there any more.
var errFolderGone = errors.New("log folder was moved or removed")

// Run bounds the logs until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	k.logs, k.strays, k.wrong = map[string]*log{}, map[identity]*stray{}, map[string]bool{}
	if k.proc == "" {
		k.proc = "/proc"
	}
	for ctx.Err() == nil {
		err := k.follow(ctx)
		if ctx.Err() == nil && !errors.Is(err, errFolderGone) { // a new one is made at once
			k.note(problemWatch, fmt.Errorf("sizes are checked each %v: %w", pollEvery, err))
			k.poll(ctx)
		}
	}
}

// note reports a problem, and the end of one that was reported.
func (k *Keeper) note(what string, err error) {
	if err != nil || k.wrong[what] {
		k.wrong[what] = err != nil
		k.Problem(what, err)
	}
}

// poll checks all sizes for a while.
func (k *Keeper) poll(ctx context.Context) {
	end := time.After(pollFor)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	k.findStrays(nil)
	for {
		if err := k.makeFolder(); err == nil {
			k.readFolder()
		}
		k.check(time.Now(), true)
		select {
		case <-ctx.Done():
			return
		case <-end:
			return
		case <-tick.C:
		}
	}
}

func (k *Keeper) makeFolder() error {
	err := os.Mkdir(k.Folder, 0o750)
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	k.note(problemFolder, err)
	return err
}

// readFolder learns which logs there are.
func (k *Keeper) readFolder() {
	entries, err := os.ReadDir(k.Folder)
	k.note(problemFolder, err)
	for _, e := range entries {
		k.touch(e.Name())
	}
}

// touch has a log checked.
func (k *Keeper) touch(name string) {
	if !strings.HasSuffix(name, logSuffix) {
		return
	}
	l := k.logs[name]
	if l == nil {
		l = &log{}
		k.logs[name] = l
	}
	l.dirty = true
}

const (
	folderEvents = unix.IN_MODIFY | comes | leaves | unix.IN_MOVE_SELF | unix.IN_ONLYDIR | unix.IN_EXCL_UNLINK
	comes        = unix.IN_CREATE | unix.IN_MOVED_TO
	leaves       = unix.IN_MOVED_FROM | unix.IN_DELETE
)

// follow bounds the logs as the kernel reports writes to them, until ctx ends
// or no more is reported.
func (k *Keeper) follow(ctx context.Context) error {
	if err := k.makeFolder(); err != nil {
		return err
	}
	q, err := inotify.Open()
	if err != nil {
		return err
	}
	defer q.Close()
	defer context.AfterFunc(ctx, q.Interrupt)()
	folder, err := q.Add(k.Folder, folderEvents)
	if err != nil {
		return err
	}
	k.note(problemWatch, nil)
	k.readFolder()
	k.strays = map[identity]*stray{} // their watches were another queue's
	k.findStrays(q)
	q.Rest(rest)
	for ctx.Err() == nil {
		k.check(time.Now(), false)
		events, err := q.Read(k.next())
		if err != nil {
			return err
		}
		moved := false
		for _, e := range events {
			switch {
			case e.Mask&unix.IN_Q_OVERFLOW != 0:
				k.readFolder()
				k.touchStrays(0)
				moved = true
			case e.Watch != folder:
				k.touchStrays(e.Watch)
			case e.Mask&(unix.IN_IGNORED|unix.IN_MOVE_SELF) != 0:
				for name := range k.logs {
					k.touch(name) // so that what is wrong with it is taken back
				}
				return errFolderGone
			default:
				k.touch(e.Name)
				moved = moved || e.Mask&^unix.IN_MODIFY != 0
			}
		}
		if moved || k.straysDue(time.Now()) {
			k.findStrays(q)
		}
	}
	return nil
}

// next returns when something is to be checked without an event; the zero time
// for never.
func (k *Keeper) next() (at time.Time) {
	earlier := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for _, l := range k.logs {
		earlier(l.due)
	}
	for _, s := range k.strays {
		earlier(s.due)
		earlier(s.sought.Add(strayEvery))
	}
	return at
}

// check bounds the logs that were written to or whose time has come, or all.
func (k *Keeper) check(now time.Time, all bool) {
	due := func(l *log) bool { return all || l.dirty || !l.due.IsZero() && !now.Before(l.due) }
	for _, name := range slices.Sorted(maps.Keys(k.logs)) {
		if l := k.logs[name]; due(l) {
			k.checkLog(name, l, now)
		}
	}
	for _, s := range k.strays {
		if due(&s.log) {
			k.checkStray(s, now)
		}
	}
}

func (k *Keeper) checkLog(name string, l *log, now time.Time) {
	path := filepath.Join(k.Folder, name)
	what := problemOf(name)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		delete(k.logs, name)
	case err == nil && !info.Mode().IsRegular():
		err = fmt.Errorf("%s is not a regular file, it is not bounded", path)
	case err == nil:
		err = l.bound(k.Limit, path, unix.O_NOFOLLOW, info, now)
	}
	if errors.Is(err, fs.ErrNotExist) { // moved since
		err = nil
	}
	if !k.isStray(name) { // else its problem is another
		k.note(what, err)
	}
}

// bound bounds a log if it has to be, and plans the next check. The file at the
// path must be the one that info is about.
func (l *log) bound(limit Limit, path string, flag int, info fs.FileInfo, now time.Time) error {
	size, before, took := info.Size(), l.size, now.Sub(l.at)
	l.dirty, l.due = false, time.Time{}
	var failed error
	if size > limit.total() {
		if size, failed = boundAt(limit, path, flag, info); failed != nil {
			size = info.Size()
		}
	}
	grown := max(0, info.Size()-before)
	if l.at.IsZero() || took <= 0 {
		grown, took = 0, time.Second
	}
	perSecond := int64(float64(grown) / took.Seconds())
	if failed != nil {
		l.due = now.Add(time.Second)
	} else if size+perSecond > limit.total() {
		l.due = now.Add(hurry)
	}
	l.size, l.at = size, now
	return failed
}

func boundAt(limit Limit, path string, flag int, info fs.FileInfo) (int64, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK|flag, 0)
	if err != nil {
		return 0, fmt.Errorf("is not bounded: %w", err)
	}
	defer f.Close()
	if now, err := f.Stat(); err != nil || !os.SameFile(now, info) {
		return 0, fmt.Errorf("is not bounded: %w", errors.Join(err, syscall.ESTALE))
	}
	size, err := limit.Bound(f)
	if err != nil {
		return 0, fmt.Errorf("is not bounded: %w", err)
	}
	return size, nil
}

// problemOf names the log of a file name as Problem is called with it.
func problemOf(name string) string { return "log of " + strings.TrimSuffix(name, logSuffix) }
