package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/boltfile"
	"pluginsupervisor/internal/powerfail"
	"pluginsupervisor/internal/record"
)

// ST-02, ST-04, ST-07: after a power failure the database is there and whole, with
// all that was written to it, when it was just created, with or without a legacy list,
// and when it replaced a damaged or an empty one, which is kept.
func TestPowerFailure(t *testing.T) {
	damaged := bytes.Repeat([]byte("not a database\n"), 1000)
	for name, c := range map[string]struct {
		prepare   func(t *testing.T, r *Registry)
		found     string // when it is opened first
		kept      []byte // of the file that was there; nil: there was none
		redundant map[string]string
	}{
		"created": {prepare: func(*testing.T, *Registry) {}},
		"created from the legacy list": {
			prepare: func(t *testing.T, r *Registry) {
				writeLegacyRecords(t, r, minimalRecord("agent", "1.0"))
			},
			found: "1 agent 1.0",
		},
		"rebuilt": {
			prepare: func(t *testing.T, r *Registry) {
				unpackPackage(t, r, "agent", "1.0")
				overwriteFile(t, r.path, damaged)
			},
			found: "1 agent 1.0", kept: damaged,
		},
		"filled": {
			prepare: func(t *testing.T, r *Registry) {
				unpackPackage(t, r, "agent", "1.0")
				overwriteFile(t, r.path, nil)
			},
			found: "1 agent 1.0", kept: []byte{},
			redundant: map[string]string{
				"flush of root/plugin/.installed_plugins.db.* after write":           "it is read again and copied",
				"flush of root/plugin/.installed_plugins.db.* after chmod, truncate": "it is read again and copied",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var after []string // the list, by the number of changes made
			recording := powerfail.Record(t, func(f powerfail.Folder) {
				r := New(Options{Root: filepath.Join(f.Path, "root")})
				c.prepare(t, r)
				f.Settle()
				unix.Umask(0o077)
				after = append(after, c.found)
				changed := func(err error) {
					if err != nil {
						t.Fatal(err)
					}
					f.Acknowledge()
					after = append(after, strings.Join(describeList(listPlugins(t, r)), ", "))
				}
				_, err := r.List(t.Context())
				changed(err)
				for _, version := range []string{"2.0", "3.0"} {
					_, err := r.Put(t.Context(), record.Record{Name: "p", Version: version})
					changed(err)
				}
				changed(r.MarkRemoved(t.Context(), "p"))
			})
			flushes := powerfail.Flushes{}
			recording.Check(t, flushes, func(i powerfail.Image) error {
				r := New(Options{Root: filepath.Join(i.Path, "root")})
				if err := errors.Join(checkWholeOrEmpty(r), checkSetAside(r, c.kept, i.Acknowledged > 0)); err != nil {
					return err
				}
				l, err := r.List(context.Background())
				if err != nil {
					return err
				}
				got, want := strings.Join(describeList(l), ", "), after[i.Acknowledged:min(i.Acknowledged+2, len(after))]
				if !slices.Contains(want, got) || i.Acknowledged > 0 && len(l.Damaged) > 0 {
					return fmt.Errorf("listed %q, damaged %v; want one of %q", got, l.Damaged, want)
				}
				if i.Acknowledged == 0 {
					return checkMode(r.path, fileMode)
				}
				return errors.Join(checkMode(r.path, fileMode), checkMode(r.dir, 0o755), checkMode(filepath.Dir(r.dir), 0o755))
			})
			flushes.CheckNeeded(t, c.redundant)
		})
	}
}

// checkMode returns an error unless an existing file has the mode (EV-30).
func checkMode(path string, want os.FileMode) error {
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm() != want {
		err = fmt.Errorf("%s has mode %v", path, info.Mode())
	}
	return err
}

// writeLegacyRecords writes a legacy list.
func writeLegacyRecords(t testing.TB, r *Registry, records ...string) {
	t.Helper()
	text := `{"pluginList":[` + strings.Join(records, ",") + `]}`
	if err := errors.Join(os.MkdirAll(r.dir, 0o755), os.WriteFile(r.legacy, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// checkWholeOrEmpty returns an error for a database that another program takes for
// whole, and which is not.
func checkWholeOrEmpty(r *Registry) error {
	f, err := boltfile.Lock(context.Background(), r.path, boltfile.Options{ReadOnly: true})
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if _, begun := f.Stamp(); !begun {
		return nil
	}
	db, err := f.Open()
	if err != nil {
		return err
	}
	return db.Close()
}

// checkSetAside returns an error unless the damaged file is kept: under another name,
// or, before it was rebuilt, in its place.
func checkSetAside(r *Registry, content []byte, rebuilt bool) error {
	if len(content) == 0 && (content == nil || !rebuilt) {
		return nil // there is nothing to keep
	}
	places, err := filepath.Glob(r.path + ".damaged-*")
	if !rebuilt {
		places = append(places, r.path)
	}
	for _, path := range places {
		if b, failed := os.ReadFile(path); failed == nil && bytes.Equal(b, content) {
			return err
		}
	}
	return fmt.Errorf("the damaged file is not kept in %v", places)
}
