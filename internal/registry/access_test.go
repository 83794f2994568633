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

// A database that cannot be read now must not count as missing or damaged.
func TestReadErrorsChangeNothing(t *testing.T) {
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
		"no permission to read the database": {
			func(r *Registry) error { return os.WriteFile(r.path, []byte("anything"), 0) }, fs.ErrPermission,
		},
		"damaged, and no permission to rebuild it": {
			func(r *Registry) error { return os.WriteFile(r.path, []byte("anything"), 0o444) }, fs.ErrPermission,
		},
		"damaged, and no permission to read a package": {
			func(r *Registry) error {
				dir := filepath.Join(r.dir, "p", "1")
				return errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "config.json"), nil, 0), os.WriteFile(r.path, []byte("anything"), 0o640))
			}, fs.ErrPermission,
		},
		"no permission to read the legacy list": {
			func(r *Registry) error {
				return os.WriteFile(filepath.Join(r.dir, "installed_plugins"), []byte("{}"), 0)
			}, fs.ErrPermission,
		},
		"no permission to create a file": {func(r *Registry) error { return os.Chmod(r.dir, 0o555) }, fs.ErrPermission},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestRegistry(t)
			if err := tc.prepare(r); err != nil {
				t.Fatal(err)
			}
			before := listEntries(t, r)
			var err error
			asUnprivileged(t, filepath.Dir(r.dir), func() { _, err = r.List(t.Context()) })
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
			if err != nil && !strings.Contains(err.Error(), r.dir) {
				t.Errorf("error without a path: %v", err)
			}
			if diff := cmp.Diff(before, listEntries(t, r)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// listEntries returns names, sizes and modes of the entries of the plugin folder.
func listEntries(t *testing.T, r *Registry) []string {
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

// asUnprivileged runs work with the file permissions of a user that is not root, who
// gets the tree at dir.
func asUnprivileged(t *testing.T, dir string, work func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		work()
		return
	}
	const unprivileged = 65534
	// The folders above dir belong to the test, but are closed to other users.
	for up := dir; up != os.TempDir() && up != "/"; up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, unprivileged, unprivileged)
	})
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Setfsuid(unprivileged); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Setfsuid(0) }()
	work()
}
