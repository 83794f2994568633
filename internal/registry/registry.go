package registry

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/boltfile"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/plugin"
)

// DefaultWait limits the wait for the lock of another process (ST-09).
const DefaultWait = 5 * time.Second

// Options are the place of the database and its settings. Only Root is needed.
type Options struct {
	Root string        // BASE, the installation root
	Wait time.Duration // for another process's lock; not positive: DefaultWait
	// Known returns the version of a plugin in the supervisor's own state; a rebuild
	// prefers it to the highest one found (ST-07). May be nil.
	Known func(name string) (version string, ok bool)
	Log   logrus.FieldLogger // nil: nothing is logged
	Now   func() time.Time   // nil: time.Now
}

// Registry is the plugin database of one root. It keeps no file open: each call
// opens and closes it (ST-09). It may be used by several goroutines at once; readers
// do not block each other.
type Registry struct {
	dir       string // BASE/plugin
	path      string // the database
	legacy    string // the older list of plugins
	wait      time.Duration
	preferred func(name string) (string, bool)
	log       logrus.FieldLogger
	now       func() time.Time

	mu         sync.Mutex             // guards the fields below
	cached     cachedRecords          // of the database
	pastDamage []plugin.Damage        // of files that were replaced, as long as the Registry exists
	logged     map[plugin.Damage]bool // by the last list
}

// New returns the registry of o.Root. It touches no file.
func New(o Options) *Registry {
	r := &Registry{dir: layout.Plugins(o.Root), wait: o.Wait, preferred: o.Known, log: o.Log, now: o.Now}
	r.path, r.legacy = layout.Database(o.Root), layout.LegacyList(o.Root)
	if r.wait <= 0 {
		r.wait = DefaultWait
	}
	if r.preferred == nil {
		r.preferred = func(string) (string, bool) { return "", false }
	}
	r.log = logger.OrSilent(r.log)
	if r.now == nil {
		r.now = time.Now
	}
	return r
}

// List returns every usable record in the order of the IDs, removed ones and
// duplicates included (ST-05, ST-10), and the damage (ST-06, ST-07, ST-15). The error
// means that the database could not be read at all.
func (r *Registry) List(ctx context.Context) (plugin.List, error) {
	records, damaged, err := r.Records(ctx)
	if err != nil {
		return plugin.List{}, err
	}
	list := plugin.List{Damaged: r.reportDamage(damaged)}
	taken := make(map[string]bool)
	for _, rec := range records {
		p := rec.Plugin()
		if !p.Removed {
			p.Duplicate = taken[p.Name]
			taken[p.Name] = true
		}
		list.Plugins = append(list.Plugins, p)
	}
	return list, nil
}

// Records returns every usable record as it is in the database, and the damage, by
// the rules of List.
func (r *Registry) Records(ctx context.Context) ([]record.Record, []plugin.Damage, error) {
	records, damaged, err := r.loadRecords(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("list plugins: %w", err)
	}
	return records, damaged, nil
}

// Find returns the record of a plugin, which is the first one of that name that is
// not removed (ST-10), and whether there is one.
func (r *Registry) Find(ctx context.Context, name string) (record.Record, bool, error) {
	records, _, err := r.loadRecords(ctx)
	if err != nil {
		return record.Record{}, false, fmt.Errorf("find plugin %s: %w", name, err)
	}
	rec, found := findInstalled(records, name)
	return rec, found, nil
}

// Put writes the record and returns its ID; it ignores rec.ID. The plugin of that name
// keeps its ID (ST-14) and its unknown fields, also those that rec lacks. If there is
// none, its removed records are deleted and it gets a new ID (ST-13). A record that
// breaks the rules of SPEC 1 is record.ErrRefused.
func (r *Registry) Put(ctx context.Context, rec record.Record) (uint64, error) {
	if err := rec.Check(); err != nil {
		return 0, fmt.Errorf("put plugin: %w", err)
	}
	var id uint64
	err := r.withDatabase(ctx, true, func(db *database) error {
		records, _, err := db.readRecords()
		if err != nil {
			return err
		}
		old, found := findInstalled(records, rec.Name)
		changes := []change{{id: old.ID}}
		if changes[0].value, err = rec.InheritUnknown(old).Encode(); err != nil {
			return err
		}
		for _, other := range records {
			if !found && other.Name == rec.Name {
				changes = append(changes, change{id: other.ID})
			}
		}
		err = db.applyChanges(changes)
		id = changes[0].id
		return err
	}, nil)
	if err != nil {
		return 0, fmt.Errorf("put plugin %s: %w", rec.Name, err)
	}
	return id, nil
}

// MarkRemoved marks the plugin of that name as removed and keeps its record
// (CL-10). If there is none, the error wraps ErrNotInstalled.
func (r *Registry) MarkRemoved(ctx context.Context, name string) error {
	err := r.withDatabase(ctx, true, func(db *database) error {
		records, _, err := db.readRecords()
		if err != nil {
			return err
		}
		rec, found := findInstalled(records, name)
		if !found {
			return ErrNotInstalled
		}
		rec.Removed = true
		value, err := rec.Encode()
		if err != nil {
			return err
		}
		return db.applyChanges([]change{{id: rec.ID, value: value}})
	}, nil)
	if err != nil {
		return fmt.Errorf("mark plugin %s removed: %w", name, err)
	}
	return nil
}

func (r *Registry) loadRecords(ctx context.Context) (records []record.Record, damaged []plugin.Damage, err error) {
	err = r.withDatabase(ctx, false, func(db *database) error {
		records, damaged, err = db.readRecords()
		if err == nil {
			r.storeCached(db.file, records, damaged)
		}
		return err
	}, func(f *boltfile.File) bool {
		last, unchanged := r.findCached(f)
		records, damaged = last.records, last.damaged
		return unchanged
	})
	return records, damaged, err
}

// findInstalled returns the plugin of that name among records in ID order (ST-10).
func findInstalled(records []record.Record, name string) (record.Record, bool) {
	for _, rec := range records {
		if rec.Name == name && !rec.Removed {
			return rec, true
		}
	}
	return record.Record{}, false
}
