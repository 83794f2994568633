// Package heartbeat reads and watches the heartbeat files of plugins.
//
// A plugin writes the time, as Unix seconds in decimal, to
// BASE/plugin/<name>/<version>/heartbeat at each interval (SPEC 1). A plugin can
// put anything there. So this package never blocks on a file: it opens only small
// regular files and follows no links (PL-10). A file system may not answer at all:
// each read has a deadline, and a hung folder is not accessed again until the
// operation has returned (EV-24).
//
// A date in the future would keep a plugin healthy until the date has passed. So a
// date more than 5 s ahead is replaced by the file's modification time (PL-09). If
// that is ahead too, the change time of the inode is used, which no program can
// set. If even that is ahead, the host's clock was set back since, and the age is
// unknown: the heartbeat is an error, and the plugin is neither healthy nor failed
// until it writes again.
//
// A Reader reads the files when it is called, for pulls. A Watcher is notified by
// the kernel when a file is written. It computes the age of a heartbeat when it
// arrives, and from then on uses the monotonic clock. So an overdue heartbeat is
// noticed at its deadline, and neither setting the clock nor suspending the host
// makes a plugin late (EV-06).
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

	"pluginsupervisor/internal/bounded"
	"pluginsupervisor/internal/hostfault"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

const (
	// maxSize is the largest size of a heartbeat file, in bytes (PL-10).
	maxSize = 64
	// tolerance is the maximum that a date may be ahead (PL-09).
	tolerance = 5 * time.Second
	// latest is the last second of the year 9999, the limit of package time.
	latest = 253402300799
)

// Reader reads the heartbeat files below one root. It is safe for concurrent use.
type Reader struct {
	root string
	hung bounded.Set // folders of versions that do not answer
}

// New returns a Reader of the plugins installed below root (BASE of SPEC 1).
func New(root string) *Reader { return &Reader{root: root} }

// answerLimit is the maximum wait for a folder, the first time.
const answerLimit = time.Second

// Read returns one Heartbeat for each plugin, in order (PL-05). A plugin without
// the file is not Found (PL-06). A Heartbeat has an Err if the file has no date
// (PL-07, PL-10), if the plugin's name or version is no directory name, if its
// file system does not answer, or if ctx ended before the file was read.
func (r *Reader) Read(ctx context.Context, ps []plugin.Plugin, now time.Time) []plugin.Heartbeat {
	beats := make([]plugin.Heartbeat, len(ps))
	for i, p := range ps {
		if err := ctx.Err(); err != nil {
			beats[i] = plugin.Heartbeat{Plugin: p, Err: fmt.Errorf("read heartbeat: %w", err)}
			continue
		}
		beats[i] = r.readFile(p).heartbeatAt(p, now)
	}
	return beats
}

// reading is the result of one read of a heartbeat file.
type reading struct {
	found    bool
	date     time.Time // the content
	modified time.Time // when the content was last written
	changed  time.Time // when the inode last changed
	err      error     // why there is no date (PL-07, PL-10)
}

// readFile reads the heartbeat file of one plugin.
func (r *Reader) readFile(p plugin.Plugin) (got reading) {
	dir, err := r.pluginDir(p)
	if err != nil {
		return reading{err: err}
	}
	got, err = bounded.Run(&r.hung, dir, r.hung.NextLimit(answerLimit), func() reading { return readFolder(dir) }, nil)
	if err != nil {
		return reading{found: true, err: fmt.Errorf("%s %w", dir, err)}
	}
	return got
}

// readFolder reads the heartbeat file in a folder.
func readFolder(dir string) reading {
	content, info, err := readSmallFile(filepath.Join(dir, layout.Heartbeat))
	if isAbsent(err) {
		return reading{}
	}
	if err != nil {
		return reading{found: true, err: err}
	}
	got := reading{found: true, modified: info.ModTime(), changed: changeTime(info)}
	got.date, got.err = Parse(content)
	return got
}

// heartbeatAt returns the Heartbeat that was read, evaluated at a wall time.
func (r reading) heartbeatAt(p plugin.Plugin, now time.Time) plugin.Heartbeat {
	b := plugin.Heartbeat{Plugin: p, Found: r.found}
	err := r.err
	if r.found && err == nil {
		b.Last, err = r.beatTime(now)
	}
	if err != nil {
		b.Err = fmt.Errorf("read heartbeat: %w", err)
		b.HostFault = hostfault.Is(err) || errors.Is(err, bounded.ErrHung)
	}
	return b
}

// beatTime returns the date in the file, the file's modification time or its
// change time: the first that is not in the future (PL-09).
func (r reading) beatTime(now time.Time) (time.Time, error) {
	for _, t := range []time.Time{r.date, r.modified, r.changed} {
		if t.Sub(now) <= tolerance {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("the date %s and the times of the file are in the future", r.date.UTC().Format(time.RFC3339))
}

// equal reports whether the file was not changed between both readings.
func (r reading) equal(other reading) bool {
	return r.found == other.found && r.err == nil && other.err == nil &&
		r.date.Equal(other.date) && r.modified.Equal(other.modified) && r.changed.Equal(other.changed)
}

// pluginDir returns the folder of the plugin's version, always inside the root.
func (r *Reader) pluginDir(p plugin.Plugin) (string, error) {
	for _, element := range []string{p.Name, p.Version} {
		if err := plugin.CheckName(element); err != nil {
			return "", err
		}
	}
	return layout.Version(r.root, p.Name, p.Version), nil
}

// Parse returns the date in a heartbeat file: Unix seconds in decimal, with
// optional white space around (PL-05). For dates before 1970 or after 9999 it
// returns these limits, which have the same status.
func Parse(b []byte) (time.Time, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("parse heartbeat: %w", err)
	}
	return time.Unix(min(max(n, 0), latest), 0), nil
}

// readSmallFile reads a regular file of at most maxSize bytes. It opens no other
// kind of file, because opening a device can have effects. If the file is replaced
// meanwhile, O_NONBLOCK prevents that the open blocks.
func readSmallFile(path string) ([]byte, os.FileInfo, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, nil, err
	}
	if err := checkKind(info); err != nil {
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
	if err := checkKind(info); err != nil {
		return nil, nil, err
	}
	b := make([]byte, maxSize+1)
	n, err := f.Read(b) // one read returns a file this small
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	if n > maxSize {
		return nil, nil, fmt.Errorf("more than %d bytes", maxSize)
	}
	return b[:n], info, nil
}

// checkKind fails unless the file is regular and small.
func checkKind(info os.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("not a regular file (%s)", info.Mode().Type())
	case info.Size() > maxSize:
		return fmt.Errorf("%d bytes, at most %d are allowed", info.Size(), maxSize)
	default:
		return nil
	}
}

// changeTime returns the change time of the inode.
func changeTime(info os.FileInfo) time.Time {
	st := info.Sys().(*syscall.Stat_t) // always, on Linux
	return time.Unix(st.Ctim.Sec, st.Ctim.Nsec)
}
