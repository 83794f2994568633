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

// Keeper limits the logs of a folder while they are written (AP-07). It is idle
// while nothing is written. Create one with its exported fields.
type Keeper struct {
	Folder string
	Limit  Limit
	// Problem is called with the name of a failing operation and its error, and
	// with a nil error once it succeeds. Calls may be repeated.
	Problem func(what string, err error)

	logs     map[string]*logState // of the folder, by file name
	strays   map[fileID]*stray
	reported map[string]bool // what Problem was called with
	proc     string          // the folder of the processes; "" for /proc
}

// logState holds the last known state of one log.
type logState struct {
	size  int64
	at    time.Time // when size was measured
	due   time.Time // of the next check without an event; zero: none
	dirty bool
}

const (
	// gatherTime is the time for which write events are collected. Together with
	// the time to shorten a log it is less than the second of AP-07.
	gatherTime = 600 * time.Millisecond
	// soon is the delay of the next check of a log that may exceed the limit within
	// a second.
	soon = 200 * time.Millisecond
	// pollEvery is the interval of size checks when the kernel reports no writes,
	// and pollFor the time until events are tried again.
	pollEvery, pollFor = 700 * time.Millisecond, 15 * time.Second
	// strayEvery is the interval at which the writers of moved and deleted logs are
	// searched, while there are such logs.
	strayEvery = time.Minute
)

// Names of problems.
const (
	problemWatch  = "watch of the log folder"
	problemFolder = "log folder"
)

// logSuffix ends the name of each log.
const logSuffix = ".log"

// errFolderGone is returned when the watched folder was moved or removed.
var errFolderGone = errors.New("log folder was moved or removed")

// Run limits the logs until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	k.logs, k.strays, k.reported = map[string]*logState{}, map[fileID]*stray{}, map[string]bool{}
	if k.proc == "" {
		k.proc = "/proc"
	}
	for ctx.Err() == nil {
		err := k.followFolder(ctx)
		if ctx.Err() == nil && !errors.Is(err, errFolderGone) { // a new folder is made at once
			k.reportProblem(problemWatch, fmt.Errorf("checking sizes each %v instead: %w", pollEvery, err))
			k.pollSizes(ctx)
		}
	}
}

// reportProblem reports an error, and once a success after a reported error.
func (k *Keeper) reportProblem(what string, err error) {
	if err != nil || k.reported[what] {
		k.reported[what] = err != nil
		k.Problem(what, err)
	}
}

// pollSizes checks all sizes for a while.
func (k *Keeper) pollSizes(ctx context.Context) {
	end := time.After(pollFor)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	k.findStrays(nil)
	for {
		if err := k.makeFolder(); err == nil {
			k.readFolder()
		}
		k.checkDue(time.Now(), true)
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
	k.reportProblem(problemFolder, err)
	return err
}

// readFolder adds all logs of the folder.
func (k *Keeper) readFolder() {
	entries, err := os.ReadDir(k.Folder)
	k.reportProblem(problemFolder, err)
	for _, e := range entries {
		k.markDirty(e.Name())
	}
}

// markDirty schedules a check of a log.
func (k *Keeper) markDirty(name string) {
	if !strings.HasSuffix(name, logSuffix) {
		return
	}
	l := k.logs[name]
	if l == nil {
		l = &logState{}
		k.logs[name] = l
	}
	l.dirty = true
}

const (
	folderEvents = unix.IN_MODIFY | addEvents | removeEvents | unix.IN_MOVE_SELF | unix.IN_ONLYDIR | unix.IN_EXCL_UNLINK
	addEvents    = unix.IN_CREATE | unix.IN_MOVED_TO
	removeEvents = unix.IN_MOVED_FROM | unix.IN_DELETE
)

// followFolder limits the logs when the kernel reports writes, until ctx ends or
// watching fails.
func (k *Keeper) followFolder(ctx context.Context) error {
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
	k.reportProblem(problemWatch, nil)
	k.readFolder()
	k.strays = map[fileID]*stray{} // their watches belong to the last queue
	k.findStrays(q)
	q.Rest(gatherTime)
	for ctx.Err() == nil {
		k.checkDue(time.Now(), false)
		events, err := q.Read(k.nextCheck())
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
					k.markDirty(name) // so that its problem is cleared
				}
				return errFolderGone
			default:
				k.markDirty(e.Name)
				moved = moved || e.Mask&^unix.IN_MODIFY != 0
			}
		}
		if moved || k.straysDue(time.Now()) {
			k.findStrays(q)
		}
	}
	return nil
}

// nextCheck returns the time of the next check without an event; the zero time for
// never.
func (k *Keeper) nextCheck() (at time.Time) {
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
		earlier(s.searchedAt.Add(strayEvery))
	}
	return at
}

// checkDue checks the logs that were written or are due, or all.
func (k *Keeper) checkDue(now time.Time, all bool) {
	due := func(l *logState) bool { return all || l.dirty || !l.due.IsZero() && !now.Before(l.due) }
	for _, name := range slices.Sorted(maps.Keys(k.logs)) {
		if l := k.logs[name]; due(l) {
			k.checkLog(name, l, now)
		}
	}
	for _, s := range k.strays {
		if due(&s.logState) {
			k.checkStray(s, now)
		}
	}
}

func (k *Keeper) checkLog(name string, l *logState, now time.Time) {
	path := filepath.Join(k.Folder, name)
	what := problemName(name)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		delete(k.logs, name)
	case err == nil && !info.Mode().IsRegular():
		err = fmt.Errorf("%s is not a regular file, its size is not limited", path)
	case err == nil:
		err = l.bound(k.Limit, path, unix.O_NOFOLLOW, info, now)
	}
	if errors.Is(err, fs.ErrNotExist) { // moved meanwhile
		err = nil
	}
	if !k.isStray(name) { // a stray of that name reports its own problem
		k.reportProblem(what, err)
	}
}

// bound shortens a log if it exceeds the limit, and schedules the next check. info
// must be of the file at the path.
func (l *logState) bound(limit Limit, path string, flag int, info fs.FileInfo, now time.Time) error {
	size, before, took := info.Size(), l.size, now.Sub(l.at)
	l.dirty, l.due = false, time.Time{}
	var failed error
	if size > limit.maxTotal() {
		if size, failed = openAndBound(limit, path, flag, info); failed != nil {
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
	} else if size+perSecond > limit.maxTotal() {
		l.due = now.Add(soon)
	}
	l.size, l.at = size, now
	return failed
}

// openAndBound shortens the log at the path and returns its new size.
func openAndBound(limit Limit, path string, flag int, info fs.FileInfo) (int64, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK|flag, 0)
	if err != nil {
		return 0, fmt.Errorf("cannot limit its size: %w", err)
	}
	defer f.Close()
	if now, err := f.Stat(); err != nil || !os.SameFile(now, info) {
		return 0, fmt.Errorf("cannot limit its size: %w", errors.Join(err, syscall.ESTALE))
	}
	size, err := limit.Bound(f)
	if err != nil {
		return 0, fmt.Errorf("cannot limit its size: %w", err)
	}
	return size, nil
}

// problemName returns the name of a log for Problem.
func problemName(name string) string { return "log of " + strings.TrimSuffix(name, logSuffix) }
