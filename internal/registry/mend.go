package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/durable"
	"pluginsupervisor/plugin"
)

// mend replaces the damaged database f, which is locked exclusively, by one
// made from the installed packages, and keeps it under another name (ST-07).
// Until the new one is complete nothing is touched, and at no moment does the
// database's name lead nowhere: somebody would take it for a fresh installation.
func (r *Registry) mend(f *os.File, empty bool, cause error) error {
	records, damaged, err := r.packages()
	if err != nil {
		return fmt.Errorf("look for packages: %w", err)
	}
	fresh, err := r.build(records)
	if err != nil {
		return err
	}
	defer os.Remove(fresh)
	aside, err := r.keepAside(empty)
	if err != nil {
		return err
	}
	if empty {
		err = fill(f, fresh)
	} else {
		err = os.Rename(fresh, r.path)
	}
	if err != nil {
		_ = os.Remove(aside) // it still is the database
		return err
	}
	what := plugin.Damage{
		Where: r.path,
		Why:   fmt.Sprintf("%v; kept as %s, rebuilt with %d plugins found installed", cause, filepath.Base(aside), len(records)),
	}
	r.remember(append(damaged, what)...)
	r.log.WithFields(logrus.Fields{"database": r.path, "cause": cause.Error(), "kept": aside, "records": len(records)}).
		Error("Plugin database damaged, rebuilt from the installed packages")
	return durable.FlushFolder(r.dir)
}

// keepAside gives the damaged file a second name with the time, or leaves an
// empty file of such a name as a trace of an empty one.
func (r *Registry) keepAside(empty bool) (string, error) {
	stamp := r.path + ".damaged-" + r.now().UTC().Format("20060102T150405Z")
	aside := stamp
	for n := 2; ; n++ {
		var err error
		if empty {
			var f *os.File
			if f, err = os.OpenFile(aside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode); err == nil {
				return aside, f.Close()
			}
		} else if err = os.Link(r.path, aside); err == nil {
			return aside, nil
		}
		if !errors.Is(err, fs.ErrExist) || n > 99 {
			return "", err
		}
		aside = fmt.Sprintf("%s-%d", stamp, n)
	}
}

// fill copies a complete database into the empty file f. An empty file is not
// replaced but filled, because a process that is about to create the database
// has it open: whatever it writes next must not go into a file without a name.
// The meta pages come last; without them it is a damaged one.
func fill(f *os.File, name string) error {
	image, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	metas := 2 * os.Getpagesize() // the size of a page that bbolt chooses
	for _, part := range []struct{ from, to int }{{metas, len(image)}, {0, metas}} {
		if _, err = f.WriteAt(image[part.from:part.to], int64(part.from)); err == nil {
			err = f.Sync()
		}
		if err != nil {
			_ = f.Truncate(0)
			return err
		}
	}
	return nil
}

// packages looks at every BASE/plugin/<name>/<version>/config.json and makes
// one record a name: the version that our own state knows, else the highest by
// SPEC 12 (ST-07). Folders that hold no usable package are told; one that
// cannot be read is an error, lest its plugin be forgotten.
func (r *Registry) packages() ([]Record, []plugin.Damage, error) {
	names, err := folders(r.dir)
	if err != nil {
		return nil, nil, err
	}
	var records []Record
	var damaged []plugin.Damage
	for _, name := range names {
		versions, err := folders(filepath.Join(r.dir, name))
		if err != nil {
			return nil, nil, err
		}
		var found []PackageConfig
		for _, version := range versions {
			dir := filepath.Join(r.dir, name, version)
			c, err := ReadPackageConfig(dir)
			switch {
			case errors.Is(err, fs.ErrNotExist):
			case errors.Is(err, ErrMalformed), errors.Is(err, ErrRefused), errors.Is(err, errNotRegular):
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
			records = append(records, r.choose(name, found).Record())
		}
	}
	return records, damaged, nil
}

func (r *Registry) choose(name string, found []PackageConfig) PackageConfig {
	known, ok := r.prefer(name)
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

// folders lists the folders in dir whose names a plugin or a version may have,
// links to folders included, sorted.
func folders(dir string) ([]string, error) {
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
			continue // gone meanwhile, or a link that leads nowhere
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
