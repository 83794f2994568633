package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/boltfile"
)

// What could be read at another time must not be taken for missing or damaged.
func TestErrorsMoveNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(r *Registry) error
		want    error
	}{
		"database is a folder": {func(r *Registry) error { return os.Mkdir(r.path, 0o755) }, boltfile.ErrNotRegular},
		"database is a pipe":   {func(r *Registry) error { return unix.Mkfifo(r.path, 0o600) }, boltfile.ErrNotRegular},
		"database is a link to nothing": {
			func(r *Registry) error { return os.Symlink("/nowhere", r.path) }, nil,
		},
		"plugin folder is a file": {
			func(r *Registry) error { return errors.Join(os.Remove(r.dir), os.WriteFile(r.dir, nil, 0o600)) }, unix.ENOTDIR,
		},
		"database may not be read": {
			func(r *Registry) error { return os.WriteFile(r.path, []byte("anything"), 0) }, fs.ErrPermission,
		},
		"damaged and may not be rebuilt": {
			func(r *Registry) error { return os.WriteFile(r.path, []byte("anything"), 0o444) }, fs.ErrPermission,
		},
		"damaged, and a package may not be read": {
			func(r *Registry) error {
				dir := filepath.Join(r.dir, "p", "1")
				return errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "config.json"), nil, 0), os.WriteFile(r.path, []byte("anything"), 0o640))
			}, fs.ErrPermission,
		},
		"legacy list may not be read": {
			func(r *Registry) error {
				return os.WriteFile(filepath.Join(r.dir, "installed_plugins"), []byte("{}"), 0)
			}, fs.ErrPermission,
		},
		"nothing may be created": {func(r *Registry) error { return os.Chmod(r.dir, 0o555) }, fs.ErrPermission},
	} {
		t.Run(name, func(t *testing.T) {
			r := root(t)
			if err := tc.prepare(r); err != nil {
				t.Fatal(err)
			}
			before := entries(t, r)
			var err error
			asOther(t, filepath.Dir(r.dir), func() { _, err = r.List(t.Context()) })
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
			if err != nil && !strings.Contains(err.Error(), r.dir) {
				t.Errorf("names no file: %v", err)
			}
			if diff := cmp.Diff(before, entries(t, r)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// entries are the names and sizes of what is in the plugin folder.
func entries(t *testing.T, r *Registry) []string {
	t.Helper()
	var all []string
	es, err := os.ReadDir(r.dir)
	if err != nil && !errors.Is(err, unix.ENOTDIR) {
		t.Fatal(err)
	}
	for _, e := range es {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprint(e.Name(), info.Size(), info.Mode()))
	}
	return all
}

// asOther runs work as somebody whom file modes keep out: as root, whom they
// do not, with another user's rights to files, who is given the tree at dir.
func asOther(t *testing.T, dir string, work func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		work()
		return
	}
	const nobody = 65534
	// The folders above dir are the test's own, but closed to others.
	for up := dir; up != os.TempDir() && up != "/"; up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, nobody, nobody)
	})
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Setfsuid(nobody); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Setfsuid(0) }()
	work()
}
