package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/internal/transaction"
	"pluginsupervisor/plugin"
)

// versions keeps which versions of a plugin were installed, and their folders
// (UP-15).
type versions struct {
	root     string
	registry *registry.Registry
	changes  *transaction.Store
	folders  *folderRemover
	log      logrus.FieldLogger
}

// prune removes the old versions of a plugin: all that were installed once or are
// older than the current one, except for that and the one installed before it
// (UP-15). replaced is the version that the current one replaced, "" if none. A
// newer version that was only unpacked here stays. The error says what could not
// be deleted.
func (v versions) prune(name, replaced, current string) (err error) {
	installed := slices.DeleteFunc(v.changes.History(name), func(old string) bool { return old == current || old == replaced })
	if replaced != "" && replaced != current {
		installed = append(installed, replaced)
	}
	previous := ""
	if len(installed) > 0 {
		previous = installed[len(installed)-1]
	}
	kept := []string{}
	entries, _ := os.ReadDir(layout.Plugin(v.root, name))
	for _, e := range entries {
		version := e.Name()
		if !e.IsDir() || plugin.CheckName(version) != nil || version == current || version == previous || previous == "" {
			continue
		}
		dir := layout.Version(v.root, name, version)
		once := slices.Contains(installed, version)
		if !once && plugin.CompareVersions(version, current) > 0 && install.VerifiedBy(dir, name, version) == plugin.VerifiedUnknown {
			continue
		}
		if failed := v.folders.remove(dir); failed != nil {
			err = errors.Join(err, failed)
			if once {
				kept = append(kept, version)
			}
		}
	}
	if previous != "" {
		kept = append(kept, previous)
	}
	v.save(name, append(kept, current))
	return err
}

// addReplaced adds to the history that one version replaced another.
func (v versions) addReplaced(name, replaced, current string) {
	others := slices.DeleteFunc(v.changes.History(name), func(old string) bool { return old == replaced || old == current })
	v.save(name, append(others, replaced, current))
}

func (v versions) save(name string, history []string) {
	if err := v.changes.SaveHistory(name, history); err != nil {
		v.log.WithError(err).WithField("plugin", name).Warn("Cannot save the version history")
	}
}

// findPrevious returns the version that a rollback goes back to: the one that was
// installed before the current one (UP-15). Where that is not known or its folder
// is gone, it is the newest unpacked version, of the older ones if there are any
// (UP-08).
func (v versions) findPrevious(ctx context.Context, name string) (string, error) {
	current, found, err := v.registry.Find(ctx, name)
	if err != nil {
		return "", err
	}
	if !found {
		return "", fmt.Errorf("roll back %s: %w", name, registry.ErrNotInstalled)
	}
	if version := v.changes.PreviousVersion(name, current.Version); version != "" && v.isUnpacked(name, version) {
		return version, nil
	}
	entries, err := os.ReadDir(layout.Plugin(v.root, name))
	if err != nil {
		return "", fmt.Errorf("look for older versions: %w", err)
	}
	older := func(version string) bool { return plugin.CompareVersions(version, current.Version) < 0 }
	best := ""
	for _, e := range entries {
		version := e.Name()
		if !e.IsDir() || version == current.Version || plugin.CheckName(version) != nil || !v.isUnpacked(name, version) {
			continue
		}
		if best == "" || older(version) && !older(best) || older(version) == older(best) && plugin.CompareVersions(version, best) > 0 {
			best = version
		}
	}
	if best == "" {
		return "", fmt.Errorf("no other version of %s than %s is on this host", name, current.Version)
	}
	return best, nil
}

// isUnpacked reports whether the folder of a version holds a usable package.
func (v versions) isUnpacked(name, version string) bool {
	_, err := record.ReadPackageConfig(layout.Version(v.root, name, version))
	return err == nil
}
