// Package sweep removes what a killed process left behind: folders that were being
// removed, temporary files and databases, sockets that no process listens on. Without
// it they would stay for ever.
package sweep

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
)

// maxRemoved bounds how much one sweep removes. The next start removes the rest.
const maxRemoved = 10_000

// Found counts what was removed, by kind.
type Found map[Kind]int

// Kind names a kind of leftovers.
type Kind string

// The kinds, as they are named in the journal.
const (
	Removals  Kind = "half removed folders"
	Databases Kind = "temporary databases"
	Files     Kind = "temporary files"
	Sockets   Kind = "dead sockets"
)

// kinds holds the kinds in the order of a text.
var kinds = []Kind{Removals, Databases, Files, Sockets}

// String returns the counts as words; "" for none.
func (f Found) String() string {
	var words []string
	for _, k := range kinds {
		if f[k] > 0 {
			words = append(words, fmt.Sprintf("%d %s", f[k], k))
		}
	}
	return strings.Join(words, ", ")
}

// Run removes leftovers from a root. It keeps everything that has changed since the
// given time, the start of this process, and that a running process uses. It stops
// when ctx ends. The error names what could not be removed; the rest is removed all
// the same.
func Run(ctx context.Context, root string, since time.Time) (Found, error) {
	s := &sweeper{ctx: ctx, since: since, found: Found{}}
	s.walkFolder(layout.Plugins(root), func(path string, e fs.DirEntry) {
		switch {
		case layout.IsHalfRemoved(path):
			s.removeOld(Removals, path, os.RemoveAll)
		case strings.HasPrefix(e.Name(), layout.TempDatabase):
			s.removeOld(Databases, path, removeUnlocked)
		case e.IsDir():
			s.walkFolder(path, func(path string, _ fs.DirEntry) {
				if layout.IsHalfRemoved(path) {
					s.removeOld(Removals, path, os.RemoveAll)
				}
			})
		}
	})
	own := layout.Supervisor(root)
	s.walkFolder(own, func(path string, e fs.DirEntry) {
		switch {
		case e.Type() == fs.ModeSocket:
			s.removeOld(Sockets, path, removeDeadSocket)
		case e.Type().IsRegular() && (isTemp(path) || strings.HasPrefix(e.Name(), layout.WritableProbe)):
			s.removeOld(Files, path, os.Remove)
		}
	})
	for _, notes := range []string{layout.Transactions, layout.Quarantine, layout.Sequences, layout.History} {
		s.walkFolder(layout.Notes(root, notes), func(path string, e fs.DirEntry) {
			if e.Type().IsRegular() && isTemp(path) {
				s.removeOld(Files, path, os.Remove)
			}
		})
	}
	return s.found, errors.Join(s.failed...)
}

type sweeper struct {
	ctx    context.Context
	since  time.Time
	found  Found
	total  int
	failed []error
}

// walkFolder calls each for every entry of a folder, if it exists.
func (s *sweeper) walkFolder(path string, each func(path string, e fs.DirEntry)) {
	entries, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.addFailure(err)
	}
	for _, e := range entries {
		if s.ctx.Err() != nil || s.total >= maxRemoved {
			return
		}
		each(filepath.Join(path, e.Name()), e)
	}
}

// timestampLag bounds how far the timestamps of a file system are behind the clock.
const timestampLag = 20 * time.Millisecond

// errInUse means that a process uses the file.
var errInUse = errors.New("in use")

// removeOld calls remove for a path that has not changed since the start of this
// process.
func (s *sweeper) removeOld(k Kind, path string, remove func(string) error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil || !time.Unix(st.Ctim.Unix()).Before(s.since.Add(-timestampLag)) {
		return // removed already, or of a running process
	}
	switch err := remove(path); {
	case err == nil:
		s.found[k]++
		s.total++
	case !errors.Is(err, errInUse) && !errors.Is(err, fs.ErrNotExist):
		s.addFailure(err)
	}
}

// maxFailures bounds how many failures the error names.
const maxFailures = 10

func (s *sweeper) addFailure(err error) {
	if len(s.failed) < maxFailures {
		s.failed = append(s.failed, err)
	}
}

// isTemp reports whether a path is one of durable.TempName. No other file in these
// folders has its suffix.
func isTemp(path string) bool { return strings.HasSuffix(path, durable.TempSuffix) }

// removeUnlocked removes a database that no process has open.
func removeUnlocked(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := lock.TryFile(f, true); errors.Is(err, lock.ErrHeld) {
		return errInUse
	} else if err != nil {
		return err
	}
	return os.Remove(path)
}

// removeDeadSocket removes a socket that no process listens on.
func removeDeadSocket(path string) error {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		return errors.Join(errInUse, conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return errInUse // a process may listen: its queue may be full
	}
	return os.Remove(path)
}
