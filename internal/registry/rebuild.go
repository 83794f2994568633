package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/boltfile"
	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/plugin"
)

// rebuildDatabase replaces the damaged database f, which is locked exclusively, by one
// made from the installed packages. It keeps the damaged one under another name
// (ST-07), and returns errReplaced. Nothing is changed until the new one is complete,
// and the name of the database always exists: else another process would assume a
// new installation.
func (r *Registry) rebuildDatabase(ctx context.Context, f *boltfile.File, cause error) error {
	fail := func(err error) error { return fmt.Errorf("%v; cannot be rebuilt: %w", cause, err) }
	records, damaged, err := r.findPackages()
	if err != nil {
		return fail(fmt.Errorf("look for packages: %w", err))
	}
	fresh, err := r.buildDatabase(ctx, records)
	if err != nil {
		return fail(err)
	}
	defer os.Remove(fresh)
	kept, err := r.replaceDamaged(f, fresh, errors.Is(cause, boltfile.ErrEmpty))
	if err != nil {
		return fail(err)
	}
	what := plugin.Damage{
		Where: r.path,
		Why:   fmt.Sprintf("%v; kept as %s, rebuilt with %d plugins found installed", cause, filepath.Base(kept), len(records)),
	}
	r.rememberDamage(append(damaged, what)...)
	r.log.WithFields(logrus.Fields{"database": r.path, "cause": cause.Error(), "kept": kept, "records": len(records)}).
		Error("Plugin database damaged, rebuilt from the installed packages")
	if err := durable.FlushFolder(r.dir); err != nil {
		return fail(err)
	}
	return errReplaced
}

// replaceDamaged replaces the damaged database by fresh, after giving it a second
// name. An empty one is filled instead, and an empty file is kept: a process that is
// about to create the database has the file open, and must not write to a file
// without a name.
func (r *Registry) replaceDamaged(f *boltfile.File, fresh string, empty bool) (kept string, err error) {
	kept, err = boltfile.PlaceAside(r.path, r.now(), func(aside string) error {
		if !empty {
			return os.Link(r.path, aside)
		}
		return durable.CreateFile(aside, nil, fileMode)
	})
	if err != nil {
		return "", err
	}
	if empty {
		err = f.Fill(fresh)
	} else {
		err = os.Rename(fresh, r.path)
	}
	if err != nil {
		_ = os.Remove(kept) // it is still the database
	}
	return kept, err
}

// findPackages reads every BASE/plugin/<name>/<version>/config.json and returns one
// record for each name: the version of the supervisor's own state, else the highest
// by SPEC 12 (ST-07). Folders without a usable package are damage; one that cannot
// be read is an error, so that no plugin is forgotten.
func (r *Registry) findPackages() ([]record.Record, []plugin.Damage, error) {
	names, err := listFolders(r.dir)
	if err != nil {
		return nil, nil, err
	}
	var records []record.Record
	var damaged []plugin.Damage
	for _, name := range names {
		versions, err := listFolders(filepath.Join(r.dir, name))
		if err != nil {
			return nil, nil, err
		}
		var found []record.PackageConfig
		for _, version := range versions {
			dir := filepath.Join(r.dir, name, version)
			c, err := record.ReadPackageConfig(dir)
			switch {
			case errors.Is(err, fs.ErrNotExist):
			case errors.Is(err, record.ErrMalformed), errors.Is(err, record.ErrRefused), errors.Is(err, record.ErrNotRegular):
				damaged = append(damaged, plugin.Damage{Where: dir, Why: err.Error()})
			case err != nil:
				return nil, nil, err
			case c.Name != name || c.Version != version:
				damaged = append(damaged, plugin.Damage{Where: dir, Why: fmt.Sprintf("config.json is of %s %s", c.Name, c.Version)})
			default:
				found = append(found, c)
			}
		}
		if len(found) > 0 {
			records = append(records, r.chooseVersion(name, found).Record())
		}
	}
	return records, damaged, nil
}

func (r *Registry) chooseVersion(name string, found []record.PackageConfig) record.PackageConfig {
	known, ok := r.preferred(name)
	best := found[0]
	for _, c := range found {
		if ok && c.Version == known {
			return c
		}
		if plugin.CompareVersions(c.Version, best.Version) > 0 {
			best = c
		}
	}
	return best
}

// listFolders lists the folders in dir whose names a plugin or a version may have,
// links to folders included, sorted.
func listFolders(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if plugin.CheckName(e.Name()) != nil {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // just removed, or a dangling link
		}
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}
