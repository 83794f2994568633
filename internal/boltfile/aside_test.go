package boltfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A file that was set aside is never overwritten, not even within the same second.
func TestSetAside(t *testing.T) {
	dir := t.TempDir()
	path, now := filepath.Join(dir, "a.db"), time.Date(2026, 3, 4, 5, 6, 7, 0, time.FixedZone("", 3600))
	names := []string{"a.db.damaged-20260304T040607Z", "a.db.damaged-20260304T040607Z-1", "a.db.damaged-20260304T040607Z-2"}
	for _, want := range names {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := SetAside(path, now)
		if err != nil || got != filepath.Join(dir, want) {
			t.Errorf("moved to %s, %v; want %s", got, err, want)
		}
	}
	for _, name := range names {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != name {
			t.Errorf("%s holds %q, %v", name, b, err)
		}
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := SetAside(path, now); err != nil || got != filepath.Join(dir, names[0]+"-3") {
		t.Errorf("folder moved to %s, %v", got, err)
	}
	if _, err := SetAside(path, now); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: error %v, want not exist", err)
	}
}

func TestCheckAndRename(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	for _, path := range []string{from, to} {
		if err := os.WriteFile(path, []byte(path), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := checkAndRename(from, to); !errors.Is(err, fs.ErrExist) {
		t.Errorf("name taken: error %v", err)
	}
	if b, err := os.ReadFile(to); err != nil || string(b) != to {
		t.Errorf("overwritten with %q, %v", b, err)
	}
	if err := checkAndRename(from, to+"-1"); err != nil {
		t.Errorf("name free: error %v", err)
	}
	if b, err := os.ReadFile(to + "-1"); err != nil || string(b) != from {
		t.Errorf("moved %q, %v", b, err)
	}
}

func TestParseAside(t *testing.T) {
	at := time.Date(2026, 3, 4, 4, 6, 7, 0, time.UTC)
	for name, want := range map[string]string{
		"a.db.damaged-20260304T040607Z":                   "a.db",
		"transactions/p.json.damaged-20260304T040607Z-12": "transactions/p.json",
		"a.db":                  "",
		"a.db.damaged-nonsense": "",
	} {
		where, when, ok := ParseAside(name)
		if ok != (want != "") || ok && (where != want || !when.Equal(at)) {
			t.Errorf("%s: %q at %v, %v, want %q at %v", name, where, when, ok, want, at)
		}
	}
}
