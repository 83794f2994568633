package install

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pluginsupervisor/internal/install/failure"
	"pluginsupervisor/internal/install/fetch"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
)

// A download that breaks off leaves what came in a folder of Staging, and a
// later one of the same package goes on with it, also in another process
// (UP-14). Such folders are bounded: the plugin's earlier ones go when another
// package of it is fetched, the oldest ones go when there are too many, and each
// goes when nothing was added to it for too long.
const (
	partialPrefix = "partial-"
	maxPartials   = 8
	partialAge    = 7 * 24 * time.Hour
)

func isPartial(path string) bool { return strings.HasPrefix(filepath.Base(path), partialPrefix) }

// partialsOf is how the folders of a plugin's packages begin. Of a package whose
// name is not known before it is there, an earlier one is not known either.
func partialsOf(name string) string { return partialPrefix + fingerprint(name) + "-" }

// fetchTo brings the package to the new file archive.
func (i *Installer) fetchTo(ctx context.Context, r Request, archive string) (fetch.Sums, error) {
	if !r.Resume || !fetch.Remote(r.Source) {
		return i.fetch.Fetch(ctx, r.Source, archive, r.Progress)
	}
	part, err := i.openPartial(ctx, r)
	if errors.Is(err, lock.ErrHeld) { // another process fetches the same
		return i.fetch.Fetch(ctx, r.Source, archive, r.Progress)
	}
	if err != nil {
		return fetch.Sums{}, err
	}
	sums, kept, err := i.fetch.Resume(ctx, r.Source, part.path, r.Progress)
	if kept {
		_ = part.lock.Close()
		return sums, err
	}
	if err == nil {
		err = i.cfg.Step.Before("move download")
	}
	if err == nil {
		err = os.Rename(filepath.Join(part.path, fetch.Data), archive)
	}
	err = failure.Because(failure.Storage, err)
	if removed := part.remove(i.cfg.Step); err == nil {
		err = removed
	}
	return sums, err
}

// openPartial returns the folder for the download of a package, with what is
// there of it, for this process alone. It makes room for it first.
func (i *Installer) openPartial(ctx context.Context, r Request) (*folder, error) {
	release, err := i.openStaging(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	path := filepath.Join(layout.Staging(i.cfg.Root), partialsOf(r.Name)+fingerprint(r.Source, r.SHA256, r.MD5))
	for {
		if err := i.cfg.Step.Before("mkdir partial"); err != nil {
			return nil, failure.Because(failure.Storage, err)
		}
		if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, failure.New(failure.Storage, "make folder of a download: %w", err)
		}
		f, err := lockFolder(path)
		switch {
		case err == nil:
			i.trimPartials(r.Name, path)
			return f, nil
		case errors.Is(err, lock.ErrHeld):
			return nil, err
		case !errors.Is(err, fs.ErrNotExist): // else its last user has just removed it
			return nil, failure.New(failure.Storage, "lock folder of a download: %w", err)
		}
	}
}

// trimPartials removes the parts of downloads that are superseded by the one at
// keep, of the plugin of that name, and those that are too many. What cannot be
// removed is left to Sweep.
func (i *Installer) trimPartials(name, keep string) {
	staging := layout.Staging(i.cfg.Root)
	entries, err := os.ReadDir(staging)
	if err != nil {
		return
	}
	var paths []string
	for _, e := range entries {
		if isPartial(e.Name()) {
			paths = append(paths, filepath.Join(staging, e.Name()))
		}
	}
	slices.SortFunc(paths, func(a, b string) int { return cmp.Compare(lastWrite(b).UnixNano(), lastWrite(a).UnixNano()) })
	left := 1
	for _, path := range paths {
		superseded := name != "" && strings.HasPrefix(filepath.Base(path), partialsOf(name))
		if path == keep {
			continue
		}
		if left++; left > maxPartials || superseded {
			if f, err := lockFolder(path); err == nil {
				left--
				_ = f.remove(i.cfg.Step)
			}
		}
	}
}

// lastWrite returns when something was last added to a download.
func lastWrite(path string) (last time.Time) {
	for _, file := range []string{path, filepath.Join(path, fetch.Data)} {
		if info, err := os.Lstat(file); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}
