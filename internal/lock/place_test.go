package lock

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// EV-29: a file that was removed, or another in its place, is noticed.
func TestCheckPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := CheckPlace(f, path); err != nil {
		t.Errorf("in its place: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := CheckPlace(f, path); !errors.Is(err, ErrReplaced) {
		t.Errorf("removed: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CheckPlace(f, path); !errors.Is(err, ErrReplaced) {
		t.Errorf("replaced: %v", err)
	}
}
