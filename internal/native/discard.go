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

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

// removeFolder removes a folder of a plugin. What is half removed has another name
// and is no plugin and no version any more. A folder that cannot be renamed, as
// in a lower layer of its file system, is removed where it is (EV-32). The error
// says what is left.
func (m *Manager) removeFolder(dir string) error {
	left := layout.HalfRemoved(dir)
	err := m.step.Before("set aside " + filepath.Base(dir))
	if err == nil {
		err = os.RemoveAll(left)
	}
	if err == nil {
		err = os.Rename(dir, left)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return m.noteUndeleted(dir, nil)
	case errors.Is(err, unix.EXDEV):
		left, err = dir, removeConfigs(dir)
	}
	if err == nil {
		err = m.step.Before("remove " + filepath.Base(dir))
	}
	if err == nil {
		err = os.RemoveAll(left)
	}
	return m.noteUndeleted(dir, err)
}

// removeConfigs removes the config.json of a version, or of a plugin's versions,
// before anything else: a folder without one is taken for a version by nobody.
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

// undeleted are the folders that could not be removed. The zero value is empty.
type undeleted struct {
	mu   sync.Mutex
	each map[string]plugin.Problem // by path
}

// noteUndeleted keeps for the status that a folder could not be removed, or
// forgets it, and returns the error in words for an operator.
func (m *Manager) noteUndeleted(dir string, err error) error {
	u := &m.undeleted
	u.mu.Lock()
	defer u.mu.Unlock()
	if err == nil {
		delete(u.each, dir)
		return nil
	}
	m.log.WithError(err).WithField("folder", dir).Warn("Folder of a plugin cannot be removed")
	err = fmt.Errorf("%s could not be deleted: %w", dir, err)
	if u.each == nil {
		u.each = map[string]plugin.Problem{}
	}
	u.each[dir] = plugin.Problem{What: "delete folder", Why: err.Error(), Since: time.Now()}
	return err
}

// listUndeleted returns the folders that could not be removed, in the order of their
// paths.
func (m *Manager) listUndeleted() (problems []plugin.Problem) {
	m.undeleted.mu.Lock()
	defer m.undeleted.mu.Unlock()
	for _, path := range slices.Sorted(maps.Keys(m.undeleted.each)) {
		problems = append(problems, m.undeleted.each[path])
	}
	return problems
}

// joinNotes is two notes as one.
func joinNotes(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// pruneVersions removes the versions of a plugin that are old now: all that were
// installed once, or lie there from before the current one, but for that and the
// one before it by history (UP-15). from is the version that the current one
// replaced, "" if none. A version that was only unpacked here, and is newer,
// stays. The error says what could not be deleted.
func (m *Manager) pruneVersions(name, from, current string) (err error) {
	installed := slices.DeleteFunc(m.changes.History(name), func(v string) bool { return v == current || v == from })
	if from != "" && from != current {
		installed = append(installed, from)
	}
	previous := ""
	if len(installed) > 0 {
		previous = installed[len(installed)-1]
	}
	kept := []string{}
	entries, _ := os.ReadDir(layout.Plugin(m.root, name))
	for _, e := range entries {
		v := e.Name()
		if !e.IsDir() || plugin.CheckName(v) != nil || v == current || v == previous || previous == "" {
			continue
		}
		dir := m.versionFolder(name, v)
		once := slices.Contains(installed, v)
		if !once && plugin.CompareVersions(v, current) > 0 && install.VerifiedBy(dir, name, v) == plugin.VerifiedUnknown {
			continue
		}
		if failed := m.removeFolder(dir); failed != nil {
			err = errors.Join(err, failed)
			if once {
				kept = append(kept, v)
			}
		}
	}
	if previous != "" {
		kept = append(kept, previous)
	}
	if failed := m.changes.SaveHistory(name, append(kept, current)); failed != nil {
		m.log.WithError(failed).WithField("plugin", name).Warn("History of the versions cannot be saved")
	}
	return err
}

// saveReplaced notes that one version replaced another.
func (m *Manager) saveReplaced(name, from, to string) {
	versions := slices.DeleteFunc(m.changes.History(name), func(v string) bool { return v == from || v == to })
	if err := m.changes.SaveHistory(name, append(versions, from, to)); err != nil {
		m.log.WithError(err).WithField("plugin", name).Warn("History of the versions cannot be saved")
	}
}
