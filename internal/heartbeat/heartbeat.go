// Package heartbeat reads the files in which plugins say that they are alive.
//
// A plugin that wants to be watched without being asked writes the time, Unix
// seconds in decimal, into BASE/plugin/<name>/<version>/heartbeat again and
// again (SPEC 1). How old that may be is judged by plugin.Beat.Status; here it
// is only found out, of files that programs write as they please: so nothing
// here waits, and nothing but a small regular file is opened, nor is a link to
// one followed (PL-10).
//
// A date in the future would make a plugin healthy until it has passed. It is
// replaced by the time the file was last written, as the file system has it
// (PL-09). Should that lie in the future as well, the time its inode changed
// counts, which nobody can set; and if even that does, the clock of the host
// was set back since: then the file says nothing about now, and the beat is an
// error — neither healthy nor failed — until the plugin writes again.
//
// A Reader looks when it is asked. A Watcher is told by the kernel that a file
// was written and counts on the monotonic clock how long ago that is, so a
// heartbeat that stays away is noticed at its deadline, and setting the clock
// or suspending the host makes nobody late (EV-06).
package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

const (
	// maxSize is the largest file that can be a heartbeat, in bytes (PL-10).
	maxSize = 64
	// tolerance is how far in the future a beat is still believed (PL-09).
	tolerance = 5 * time.Second
	// latest is the last second of the year 9999, beyond which package time does not compare.
	latest = 253402300799
)

// Reader reads the heartbeat files below one root. It may be used by several
// goroutines at once.
type Reader struct{ root string }

// New returns a Reader of the plugins installed below root (BASE of SPEC 1).
func New(root string) *Reader { return &Reader{root: root} }

// Read returns one Beat a plugin, in order (PL-05). A plugin without the file
// is not Found (PL-06); one whose file says nothing has an Err (PL-07, PL-10),
// as has one whose name is no name of a folder, or that the end of ctx left unread.
func (r *Reader) Read(ctx context.Context, ps []plugin.Plugin, now time.Time) []plugin.Beat {
	beats := make([]plugin.Beat, len(ps))
	for i, p := range ps {
		beats[i] = plugin.Beat{Plugin: p}
		if err := ctx.Err(); err != nil {
			beats[i].Err = fmt.Errorf("read heartbeat: %w", err)
			continue
		}
		beats[i], _ = r.beat(p, now)
	}
	return beats
}

// beat reads one, and tells when its file was last written; zero is never.
func (r *Reader) beat(p plugin.Plugin, now time.Time) (b plugin.Beat, written time.Time) {
	b.Plugin = p
	dir, err := r.folder(p)
	if err == nil {
		var content []byte
		var info os.FileInfo
		content, info, err = readSmall(filepath.Join(dir, layout.Heartbeat))
		if absent(err) {
			return b, written
		}
		b.Found = true
		if err == nil {
			written = info.ModTime()
			b.Last, err = last(content, now, written, changed(info))
		}
	}
	if err != nil {
		b.Err = fmt.Errorf("read heartbeat: %w", err)
	}
	return b, written
}

// last is the date in a heartbeat, or in its place the first of the others that
// is not in the future (PL-09).
func last(content []byte, now time.Time, others ...time.Time) (time.Time, error) {
	beat, err := Parse(content)
	if err != nil {
		return time.Time{}, err
	}
	for _, t := range append([]time.Time{beat}, others...) {
		if t.Sub(now) <= tolerance {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s and the file itself are in the future", beat.UTC().Format(time.RFC3339))
}

// folder is where the plugin's version is unpacked, and never outside the root.
func (r *Reader) folder(p plugin.Plugin) (string, error) {
	for _, element := range []string{p.Name, p.Version} {
		if err := plugin.CheckName(element); err != nil {
			return "", err
		}
	}
	return layout.Version(r.root, p.Name, p.Version), nil
}

// Parse reads a heartbeat: Unix seconds in decimal, blanks around it allowed
// (PL-05). Times before 1970 or after 9999 come out as these limits, which
// judges them the same.
func Parse(b []byte) (time.Time, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("parse heartbeat: %w", err)
	}
	return time.Unix(min(max(n, 0), latest), 0), nil
}

// readSmall reads a regular file of at most maxSize bytes. What is no such file
// is not even opened: to open a device can do something. Should it become
// another kind of file in between, O_NONBLOCK keeps us from waiting for it.
func readSmall(path string) ([]byte, os.FileInfo, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, nil, err
	}
	if err := acceptable(info); err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, nil, err
	}
	if err := acceptable(info); err != nil {
		return nil, nil, err
	}
	b := make([]byte, maxSize+1)
	n, err := f.Read(b) // what is so small comes in one piece
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	if n > maxSize {
		return nil, nil, fmt.Errorf("more than %d bytes", maxSize)
	}
	return b[:n], info, nil
}

func acceptable(info os.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("not a regular file but %s", info.Mode().Type())
	case info.Size() > maxSize:
		return fmt.Errorf("%d bytes, at most %d can be a heartbeat", info.Size(), maxSize)
	default:
		return nil
	}
}

// changed is when the inode last changed.
func changed(info os.FileInfo) time.Time {
	st := info.Sys().(*syscall.Stat_t) // always, on Linux
	return time.Unix(st.Ctim.Sec, st.Ctim.Nsec)
}
