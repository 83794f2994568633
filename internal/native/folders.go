package native

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/failpoint"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

// folderRemover removes folders of plugins, and keeps for the status which could
// not be removed.
type folderRemover struct {
	step failpoint.Step // called before each step; nil in production
	log  logrus.FieldLogger

	mu        sync.Mutex
	undeleted map[string]plugin.Problem // by path
}

// remove removes a folder of a plugin. It renames the folder first: a half
// removed one is no plugin and no version any more. A folder that cannot be
// renamed, as in a lower layer of its file system, is removed in its place
// (EV-32). The error says which folder is left.
func (r *folderRemover) remove(dir string) error {
	renamed := layout.HalfRemoved(dir)
	err := r.step.Before("set aside " + filepath.Base(dir))
	if err == nil {
		err = os.RemoveAll(renamed)
	}
	if err == nil {
		err = os.Rename(dir, renamed)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r.note(dir, nil)
	case errors.Is(err, unix.EXDEV):
		renamed, err = dir, removeConfigs(dir)
	}
	if err == nil {
		err = r.step.Before("remove " + filepath.Base(dir))
	}
	if err == nil {
		err = os.RemoveAll(renamed)
	}
	return r.note(dir, err)
}

// removeConfigs removes the config.json of a version, or of each version of a
// plugin, before anything else: a folder without one is no version.
func removeConfigs(dir string) error {
	files := []string{filepath.Join(dir, layout.PackageConfig)}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		files = append(files, filepath.Join(dir, e.Name(), layout.PackageConfig))
	}
	for _, file := range files {
		if failed := os.Remove(file); failed != nil && !errors.Is(failed, fs.ErrNotExist) && !errors.Is(failed, unix.ENOTDIR) {
			err = errors.Join(err, failed)
		}
	}
	return err
}

// note keeps that a folder cannot be removed, or forgets it where err is nil. It
// returns the error in words for an operator.
func (r *folderRemover) note(dir string, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		delete(r.undeleted, dir)
		return nil
	}
	r.log.WithError(err).WithField("folder", dir).Warn("Cannot delete a plugin folder")
	err = fmt.Errorf("%s could not be deleted: %w", dir, err)
	if r.undeleted == nil {
		r.undeleted = map[string]plugin.Problem{}
	}
	r.undeleted[dir] = plugin.Problem{What: "delete folder", Why: err.Error(), Since: time.Now()}
	return err
}

// listUndeleted returns the folders that could not be removed, sorted by path.
func (r *folderRemover) listUndeleted() (problems []plugin.Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, path := range slices.Sorted(maps.Keys(r.undeleted)) {
		problems = append(problems, r.undeleted[path])
	}
	return problems
}
