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

// An interrupted download leaves its part in a folder of staging. A later
// download of the same package resumes from it, also in another process (UP-14).
// Such folders are removed when another package of the same plugin is fetched,
// oldest first when there are more than maxPartials, and when nothing was added
// for partialAge.
const (
	partialPrefix = "partial-"
	maxPartials   = 8
	partialAge    = 7 * 24 * time.Hour
)

func isPartial(path string) bool { return strings.HasPrefix(filepath.Base(path), partialPrefix) }

// partialNamePrefix returns the prefix of the folder names of a plugin's partial
// downloads. All packages of unknown name share one prefix.
func partialNamePrefix(name string) string { return partialPrefix + shortDigest(name) + "-" }

// fetchTo fetches the package into the new file archive.
func (i *Installer) fetchTo(ctx context.Context, r Request, archive string) (fetch.Sums, error) {
	if !r.Resume || !fetch.IsRemote(r.Source) {
		return i.fetch.Fetch(ctx, r.Source, archive, r.Progress)
	}
	part, err := i.openPartial(ctx, r)
	if errors.Is(err, lock.ErrHeld) { // another process fetches the same package
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

// openPartial returns the locked folder for the download of a package, with any
// part that an earlier download left, and removes superseded ones.
func (i *Installer) openPartial(ctx context.Context, r Request) (*folder, error) {
	release, err := i.lockStaging(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	path := filepath.Join(layout.Staging(i.cfg.Root), partialNamePrefix(r.Name)+shortDigest(r.Source, r.SHA256, r.MD5))
	for {
		if err := i.cfg.Step.Before("mkdir partial"); err != nil {
			return nil, failure.Because(failure.Storage, err)
		}
		if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, failure.New(failure.Storage, "make download folder: %w", err)
		}
		f, err := lockFolder(path)
		switch {
		case err == nil:
			i.trimPartials(r.Name, path)
			return f, nil
		case errors.Is(err, lock.ErrHeld):
			return nil, err
		case !errors.Is(err, fs.ErrNotExist): // else another process has just removed it
			return nil, failure.New(failure.Storage, "lock download folder: %w", err)
		}
	}
}

// trimPartials removes the other partial downloads of the plugin, and the oldest
// ones above maxPartials; never the one at keep. Sweep removes what cannot be
// removed here.
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
		superseded := name != "" && strings.HasPrefix(filepath.Base(path), partialNamePrefix(name))
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

// lastWrite returns the time of the last write to a download.
func lastWrite(path string) (last time.Time) {
	for _, file := range []string{path, filepath.Join(path, fetch.Data)} {
		if info, err := os.Lstat(file); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}
