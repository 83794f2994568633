package registry

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600))

// newRebuildRegistry returns the registry of a root with every kind of package for a
// rebuild.
func newRebuildRegistry(t *testing.T) (*Registry, *logtest.Hook) {
	t.Helper()
	log, hook := logtest.NewNullLogger()
	r := New(Options{
		Root: t.TempDir(), Log: log, Now: func() time.Time { return noon },
		Known: func(name string) (string, bool) {
			v, ok := map[string]string{"known": "1.5", "moved-on": "9"}[name]
			return v, ok
		},
	})
	for _, p := range []struct{ name, version string }{
		{"agent", "1.9"},
		{"agent", "1.10"},
		{"agent", "1.10rc1"},
		{"known", "1.4"},
		{"known", "1.5"},
		{"known", "1.6"},
		{"moved-on", "2"},
		{"moved-on", "3"},
	} {
		unpackPackage(t, r, p.name, p.version, `"pluginType":"Persist"`)
	}
	for _, empty := range []string{"empty", "cache/2.0", ".hidden/1"} {
		if err := os.MkdirAll(filepath.Join(r.dir, empty), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return r, hook
}

var rebuiltPlugins = []string{"1 agent 1.10", "2 known 1.5", "3 moved-on 3"}

func TestST07Rebuilt(t *testing.T) { // ST-07
	for name, spoil := range map[string]func(t *testing.T, path string){
		"ST-07 not a database": func(t *testing.T, path string) {
			overwriteFile(t, path, []byte(strings.Repeat("not a database. ", 4096)))
		},
		"ST-07 a few bytes": func(t *testing.T, path string) { overwriteFile(t, path, []byte("x")) },
		"ST-07 truncated": func(t *testing.T, path string) {
			putRaw(t, path, minimalRecord("a", "1"), minimalRecord("b", strings.Repeat("1", 100)))
			if err := os.Truncate(path, int64(3*os.Getpagesize())); err != nil {
				t.Fatal(err)
			}
		},
		"ST-07 zeros": func(t *testing.T, path string) { overwriteFile(t, path, make([]byte, 1<<16)) },
	} {
		t.Run(name, func(t *testing.T) {
			r, hook := newRebuildRegistry(t)
			spoil(t, r.path)
			spoiled, err := os.ReadFile(r.path)
			if err != nil {
				t.Fatal(err)
			}
			l := expectPlugins(t, r, rebuiltPlugins...)
			if len(l.Damaged) != 1 || l.Damaged[0].Where != r.path {
				t.Errorf("damaged: %v", l.Damaged)
			}
			kept := r.path + ".damaged-20260301T110000Z"
			if b, err := os.ReadFile(kept); err != nil || string(b) != string(spoiled) {
				t.Errorf("set aside: %d bytes of %d, %v", len(b), len(spoiled), err)
			}
			if e := loggedErrors(hook); len(e) != 1 || e[0].Data["kept"] != kept || e[0].Data["records"] != 3 {
				t.Errorf("logged: %v", e)
			}
			if again := expectPlugins(t, r, rebuiltPlugins...); len(again.Damaged) != 1 {
				t.Errorf("second list: damaged %v, want one", again.Damaged)
			}
			if got := len(listSetAside(t, r)); got != 1 {
				t.Errorf("%d files set aside", got)
			}
			if n := len(readAllRaw(t, r.path)); n != 3 {
				t.Errorf("bbolt reads %d records", n)
			}
			checkNoTempFiles(t, r)
		})
	}
}

func loggedErrors(hook *logtest.Hook) (all []*logrus.Entry) {
	for _, e := range hook.AllEntries() {
		if e.Level == logrus.ErrorLevel {
			all = append(all, e)
		}
	}
	return all
}

func overwriteFile(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o640); err != nil {
		t.Fatal(err)
	}
}

// ST-07: the file is truncated during a transaction, so that reading a page would be
// a fatal signal; once while it reads, once while it writes.
func TestST07TransactionFaults(t *testing.T) { // ST-07
	for _, write := range []bool{false, true} {
		t.Run(fmt.Sprintf("ST-07 writing %v", write), func(t *testing.T) {
			r, _ := newRebuildRegistry(t)
			putRaw(t, r.path, minimalRecord("a", "1"))
			cut := false
			err := r.withDatabase(t.Context(), write, func(db *database) error {
				if !cut {
					cut = true
					if err := os.Truncate(r.path, int64(2*os.Getpagesize())); err != nil {
						t.Fatal(err)
					}
				}
				if write {
					return db.applyChanges([]change{{value: []byte(minimalRecord("b", "1"))}})
				}
				_, _, err := db.readRecords()
				return err
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			want := rebuiltPlugins
			if write {
				want = append(want[:3:3], "4 b 1")
			}
			if l := expectPlugins(t, r, want...); len(l.Damaged) != 1 {
				t.Errorf("damaged: %v", l.Damaged)
			}
			if n := countOpenFiles(t, r.path); n != 0 {
				t.Errorf("%d descriptors left open", n)
			}
		})
	}
}

func TestST07UnusablePackagesAreReported(t *testing.T) { // ST-07
	r, _ := newRebuildRegistry(t)
	unpackPackage(t, r, "agent", "2.0")
	overwriteFile(t, filepath.Join(r.dir, "agent", "2.0", "config.json"), []byte(minimalRecord("other", "2.0", `"runPath":"p"`)))
	unpackPackage(t, r, "broken", "1")
	overwriteFile(t, filepath.Join(r.dir, "broken", "1", "config.json"), []byte("{"))
	unpackPackage(t, r, "escaping", "1", `"runPath":"p"`)
	overwriteFile(t, filepath.Join(r.dir, "escaping", "1", "config.json"), []byte(minimalRecord("escaping", "1", `"runPath":"../../p"`)))
	overwriteFile(t, r.path, []byte("x"))
	l := expectPlugins(t, r, rebuiltPlugins...)
	var where []string
	for _, d := range l.Damaged {
		where = append(where, strings.TrimPrefix(d.Where, r.dir))
	}
	if diff := cmp.Diff([]string{"/agent/2.0", "/broken/1", "/escaping/1", "/installed_plugins.db"}, where); diff != "" {
		t.Error(diff)
	}
}

// Two damages within a second keep two files.
func TestST07TwiceInASecond(t *testing.T) {
	r, _ := newRebuildRegistry(t)
	for n := range 3 {
		overwriteFile(t, r.path, fmt.Append(nil, n))
		expectPlugins(t, r, rebuiltPlugins...)
	}
	if got := len(listSetAside(t, r)); got != 3 {
		t.Errorf("%d files set aside", got)
	}
}

// ST-06: a damage is logged once, not for every list.
func TestST06LoggedOnce(t *testing.T) { // ST-06
	r, hook := newRebuildRegistry(t)
	putRaw(t, r.path, "oops")
	for range 3 {
		if l := expectPlugins(t, r); len(l.Damaged) != 1 {
			t.Fatalf("%v", l.Damaged)
		}
	}
	if got := len(hook.AllEntries()); got != 1 {
		t.Errorf("%d log lines, want 1", got)
	}
}
