package registry

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"pluginsupervisor/plugin"
)

// newTestRegistry returns the registry of a new root with a plugin folder.
func newTestRegistry(t testing.TB) *Registry {
	t.Helper()
	r := New(Options{Root: t.TempDir()})
	if err := os.Mkdir(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return r
}

// putRaw writes values as the existing program does: bbolt, the next sequence as key.
func putRaw(t testing.TB, path string, values ...string) {
	t.Helper()
	editRaw(t, path, func(b *bbolt.Bucket) error {
		for _, v := range values {
			id, err := b.NextSequence()
			if err != nil {
				return err
			}
			if err := b.Put(binary.LittleEndian.AppendUint64(nil, id), []byte(v)); err != nil {
				return err
			}
		}
		return nil
	})
}

func editRaw(t testing.TB, path string, work func(*bbolt.Bucket) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o640, &bbolt.Options{Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("pluginList"))
		if err != nil {
			return err
		}
		return work(b)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// readAllRaw reads every record with bbolt alone, by ID. It omits keys that are no ID.
func readAllRaw(t testing.TB, path string) map[uint64]string {
	t.Helper()
	all := make(map[uint64]string)
	editRaw(t, path, func(b *bbolt.Bucket) error {
		return b.ForEach(func(k, v []byte) error {
			if len(k) == 8 {
				all[binary.LittleEndian.Uint64(k)] = string(v)
			}
			return nil
		})
	})
	return all
}

// minimalRecord returns a record of that name and version, with more fields if given.
func minimalRecord(name, version string, more ...string) string {
	return fmt.Sprintf(`{"name":%q,"version":%q%s}`, name, version, strings.Join(append([]string{""}, more...), ","))
}

// unpackPackage writes the folder of an installed package.
func unpackPackage(t testing.TB, r *Registry, name, version string, more ...string) {
	t.Helper()
	dir := filepath.Join(r.dir, name, version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	more = append(more, `"runPath":"main.sh"`)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(minimalRecord(name, version, more...)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func listPlugins(t testing.TB, r *Registry) plugin.List {
	t.Helper()
	l, err := r.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// describeList returns one line for each plugin: ID, name, version, and whether it is
// removed or a duplicate.
func describeList(l plugin.List) []string {
	var lines []string
	for _, p := range l.Plugins {
		line := fmt.Sprintf("%d %s %s", p.ID, p.Name, p.Version)
		if p.Removed {
			line += " removed"
		}
		if p.Duplicate {
			line += " duplicate"
		}
		lines = append(lines, line)
	}
	return lines
}

func expectPlugins(t testing.TB, r *Registry, want ...string) plugin.List {
	t.Helper()
	l := listPlugins(t, r)
	if diff := cmp.Diff(want, describeList(l)); diff != "" {
		t.Errorf("plugins (-want +got):\n%s", diff)
	}
	return l
}

func checkUndamaged(t testing.TB, l plugin.List) {
	t.Helper()
	if len(l.Damaged) > 0 {
		t.Errorf("damaged: %v", l.Damaged)
	}
}

// listSetAside returns the damaged files that were set aside.
func listSetAside(t testing.TB, r *Registry) []string {
	t.Helper()
	names, err := filepath.Glob(r.path + ".damaged-*")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// checkNoTempFiles fails when a temporary database is left in the plugin folder.
func checkNoTempFiles(t testing.TB, r *Registry) {
	t.Helper()
	hidden, err := filepath.Glob(filepath.Join(r.dir, ".installed*"))
	if err != nil || len(hidden) > 0 {
		t.Errorf("left over: %v %v", hidden, err)
	}
}

func decodeMembers(t testing.TB, record string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(record), &m); err != nil {
		t.Fatal(err)
	}
	return m
}
