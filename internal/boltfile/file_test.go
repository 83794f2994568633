package boltfile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
)

func mustLock(t *testing.T, path string, o Options) *File {
	t.Helper()
	f, err := Lock(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// A damaged file stays locked until it is closed, so that its owner can replace it.
func TestDamagedStaysLocked(t *testing.T) {
	path := writeSample(t)
	for name, spoil := range map[string]func(f *File) error{
		"before it is opened": func(*File) error { return os.Truncate(path, 4096) },
		"by a transaction": func(f *File) error {
			db, err := f.Open()
			if err != nil {
				return err
			}
			if err := os.Truncate(path, 2*4096); err != nil {
				return err
			}
			_, err = countBytes(db)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			path = writeSample(t)
			f := mustLock(t, path, Options{})
			err := spoil(f)
			if err == nil {
				_, err = f.Open()
			}
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("error %v, want damaged", err)
			}
			if _, err := Lock(t.Context(), path, Options{}); !errors.Is(err, ErrLocked) {
				t.Errorf("second lock: error %v, want locked", err)
			}
			if err := errors.Join(f.Close(), f.Close()); err != nil {
				t.Error(err)
			}
			mustLock(t, path, Options{})
		})
	}
}

func TestLockNotRegular(t *testing.T) {
	if _, err := Lock(t.Context(), t.TempDir(), Options{}); !errors.Is(err, ErrNotRegular) || errors.Is(err, ErrDamaged) {
		t.Errorf("error %v, want not regular and not damaged", err)
	}
}

func TestStamp(t *testing.T) {
	path := writeSample(t)
	stamp := func() (Stamp, bool) {
		t.Helper()
		f := mustLock(t, path, Options{ReadOnly: true})
		defer f.Close()
		return f.Stamp()
	}
	first, ok := stamp()
	if again, _ := stamp(); !ok || again != first {
		t.Errorf("unchanged file: stamp %v, then %v", first, again)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte("small")).Put([]byte("k"), []byte("w")) }), db.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, before.ModTime(), before.ModTime()); err != nil {
		t.Fatal(err)
	}
	second, ok := stamp()
	if !ok || second.meta == first.meta {
		t.Errorf("stamp after a write: %v, want another than %v", second, first)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if s, ok := stamp(); ok {
		t.Errorf("stamp of an empty file: %v, want none", s)
	}
}

func TestFill(t *testing.T) {
	from, path := writeSample(t), filepath.Join(t.TempDir(), "empty.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := mustLock(t, path, Options{})
	if _, err := f.Open(); !errors.Is(err, ErrEmpty) || !errors.Is(err, ErrDamaged) {
		t.Errorf("error %v, want empty and damaged", err)
	}
	if err := f.Fill(from); err != nil {
		t.Fatal(err)
	}
	db, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if n, err := countBytes(db); err != nil || n < 20_000 {
		t.Errorf("%d bytes, %v", n, err)
	}
}
