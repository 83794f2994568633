package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"pluginsupervisor/internal/failpoint"
)

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	if b, err := os.ReadFile(path); err != nil || string(b) != want {
		t.Errorf("%s holds %q, %v; want %q", filepath.Base(path), b, err, want)
	}
}

func wantNames(t *testing.T, folder string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("folder holds %q, %v; want %q", got, err, want)
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, text := range []string{"first", "2"} {
		if err := WriteFile(path, []byte(text), 0o600, nil); err != nil {
			t.Fatal(err)
		}
		wantFile(t, path, text)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("file %v, %v, want mode 0600", info, err)
	}
	wantNames(t, dir, "f")
}

// A name may have the maximum length of the file system: the temporary file's name is
// not longer.
func TestWriteFileWithLongName(t *testing.T) {
	for _, length := range []int{235, 236, 251, 252, 255} {
		dir := t.TempDir()
		name := strings.Repeat("n", length)
		if err := WriteFile(filepath.Join(dir, name), []byte("x"), 0o600, nil); err != nil {
			t.Errorf("%d bytes: %v", length, err)
		}
		wantNames(t, dir, name)
	}
}

// A crash before any step leaves the old file or the new one. The next writer leaves no
// other file.
func TestWriteFileInterrupted(t *testing.T) {
	crash := errors.New("crash")
	var passed []string
	for _, point := range []string{"write", "rename", "flush"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "f")
		if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		err := WriteFile(path, []byte("new"), 0o600, func(name string) error {
			if name == point {
				return crash
			}
			passed = append(passed, name)
			return nil
		})
		if !errors.Is(err, crash) {
			t.Errorf("%s: %v", point, err)
		}
		wantFile(t, path, map[string]string{"write": "old", "rename": "old", "flush": "new"}[point])
		if err := WriteFile(path, []byte("next"), 0o600, nil); err != nil {
			t.Errorf("after %s: %v", point, err)
		}
		wantFile(t, path, "next")
		wantNames(t, dir, "f")
	}
	if want := []string{"write", "write", "rename"}; !slices.Equal(passed, want) {
		t.Errorf("steps %q, want %q", passed, want)
	}
}

func TestWriteFileOnFullDisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	full := failpoint.Step(func(name string) error {
		if name == "write" {
			return os.Symlink("/dev/full", TempName(path))
		}
		return nil
	})
	if err := WriteFile(path, []byte("new"), 0o600, full); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v, want no space", err)
	}
	wantFile(t, path, "old")
	wantNames(t, dir, "f")
}

func TestCreateFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := CreateFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CreateFile(path, []byte("y"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over an existing file: %v", err)
	}
	wantFile(t, path, "x")
}

func TestFlushFolder(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := errors.Join(root.Mkdir("sub", 0o700), FlushFolder(dir), FlushFolderIn(root, "sub")); err != nil {
		t.Error(err)
	}
	if err := FlushFolder(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if err := FlushFolderIn(root, "missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing below root: %v", err)
	}
}

func TestIsRefused(t *testing.T) {
	for err, want := range map[error]bool{
		&fs.PathError{Op: "open", Path: "x", Err: syscall.ENOSPC}: true, syscall.EROFS: true, syscall.EACCES: false, errors.New("other"): false,
	} {
		if got := IsRefused(err); got != want {
			t.Errorf("%v: refused %v, want %v", err, got, want)
		}
	}
}

// EV-30: new folders and their new parents have the given mode, regardless of the
// umask.
func TestMakeFolder(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	dir := t.TempDir()
	path := filepath.Join(dir, "a", "b")
	if err := MakeFolder(path, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, made := range []string{path, filepath.Dir(path)} {
		if info, err := os.Stat(made); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v, %v", made, info, err)
		}
	}
	if err := errors.Join(os.Chmod(path, 0o700), MakeFolder(path, 0o755)); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("existing folder: %v, %v, want mode 0700", info, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MakeFolder(filepath.Join(dir, "file"), 0o755); err == nil {
		t.Error("MakeFolder over a file succeeded, want an error")
	}
}
