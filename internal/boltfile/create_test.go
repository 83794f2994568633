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

// EV-30: a database has the mode that is meant, whatever the umask, and one that
// is there is left alone.
func TestCreate(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	path := filepath.Join(t.TempDir(), "f.db")
	if err := Create(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("%v, %v", info, err)
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

// Several that create a database at once get the same one, and leave nothing else.
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
		t.Errorf("there are %v, %v", entries, err)
	}
}
