package boltfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// EV-30: a new database has the given mode regardless of the umask; an existing one is
// not changed.
func TestCreate(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	path := filepath.Join(t.TempDir(), "f.db")
	if err := Create(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("file %v, %v, want mode 0640", info, err)
	}
	if err := Create(path, 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over an existing file: %v", err)
	}
	db, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// Concurrent creators get the same database and leave no other file.
func TestCreateWholeAtOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f.db")
	var creators sync.WaitGroup
	for range 8 {
		creators.Go(func() {
			if err := createWhole(path, 0o600); err != nil {
				t.Error(err)
			}
		})
	}
	creators.Wait()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("files %v, %v, want 1", entries, err)
	}
}
