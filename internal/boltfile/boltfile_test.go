package boltfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// writeSample writes a database with a bucket of several pages, an inline bucket and a
// list of free pages, and returns its path.
func writeSample(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	db, err := Open(t.Context(), path, Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for extra := range 3 {
		if err := db.Update(func(tx *bbolt.Tx) error {
			big, err := tx.CreateBucketIfNotExists([]byte("big"))
			if err != nil {
				return err
			}
			for n := range 300 {
				if err := big.Put(fmt.Appendf(nil, "key%d", n), []byte(strings.Repeat("v", 40+extra))); err != nil {
					return err
				}
			}
			if err := big.Put([]byte("huge"), make([]byte, 10_000)); err != nil {
				return err
			}
			small, err := tx.CreateBucketIfNotExists([]byte("small"))
			if err != nil {
				return err
			}
			return small.Put([]byte("k"), []byte("v"))
		}); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// countBytes reads all keys and values and returns their size.
func countBytes(db *DB) (n int, err error) {
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error { n += len(k) + len(v); return nil })
		})
	})
	return n, err
}

func TestOpenGood(t *testing.T) {
	path := writeSample(t)
	for _, o := range []Options{{}, {Create: true}, {ReadOnly: true}} {
		db, err := Open(t.Context(), path, o)
		if err != nil {
			t.Fatalf("%+v: %v", o, err)
		}
		if n, err := countBytes(db); err != nil || n < 20_000 {
			t.Errorf("%+v: %d bytes, %v", o, n, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenMissing(t *testing.T) {
	_, err := Open(t.Context(), filepath.Join(t.TempDir(), "none.db"), Options{Wait: time.Minute})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want not exist", err)
	}
}

func TestOpenDamaged(t *testing.T) {
	good, err := os.ReadFile(writeSample(t))
	if err != nil {
		t.Fatal(err)
	}
	file := func(b []byte) func(string) error {
		return func(p string) error { return os.WriteFile(p, b, 0o600) }
	}
	for name, put := range map[string]func(path string) error{
		"empty":          file(nil),
		"text":           file([]byte(strings.Repeat("not a database\n", 1000))),
		"zeros":          file(make([]byte, 32<<10)),
		"header only":    file(good[:4096]),
		"no second page": file(good[:2*4096-1]),
		"folder":         func(p string) error { return os.Mkdir(p, 0o700) },
		"pipe":           func(p string) error { return unix.Mkfifo(p, 0o600) },
		"socket":         func(p string) error { return unix.Mknod(p, unix.S_IFSOCK|0o600, 0) },
		"device":         func(p string) error { return os.Symlink("/dev/null", p) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "test.db")
			if err := put(path); err != nil {
				t.Fatal(err)
			}
			for _, o := range []Options{{Create: true}, {ReadOnly: true}} {
				if _, err := Open(t.Context(), path, o); !errors.Is(err, ErrDamaged) {
					t.Errorf("%+v: error %v, want damaged", o, err)
				}
			}
		})
	}
}

func TestOpenLocked(t *testing.T) {
	path := writeSample(t)
	db, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, Options{Wait: 50 * time.Millisecond}); !errors.Is(err, ErrLocked) {
		t.Errorf("error %v, want locked", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, path, Options{Wait: time.Hour}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want canceled", err)
	}
	opened := make(chan error)
	go func() {
		second, err := Open(t.Context(), path, Options{Wait: time.Minute})
		if err == nil {
			err = second.Close()
		}
		opened <- err
	}()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if err := <-opened; err != nil {
		t.Errorf("after the lock was released: %v", err)
	}
}

// A process that waits for the lock of a file that is moved aside meanwhile opens the
// new file at the path.
func TestOpenReplacedWhileWaiting(t *testing.T) {
	path := writeSample(t)
	db, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan int)
	go func() {
		second, err := Open(t.Context(), path, Options{Create: true, Wait: time.Minute})
		if err != nil {
			t.Error(err)
			close(got)
			return
		}
		defer second.Close()
		n, _ := countBytes(second)
		got <- n
	}()
	if _, err := SetAside(path, time.Now()); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if n := <-got; n != 0 {
		t.Errorf("read %d bytes, want 0 from the new file", n)
	}
}

// A file that is truncated while it is open causes a fault. The process survives and
// the lock is released.
func TestFaultWhileOpen(t *testing.T) {
	path := writeSample(t)
	db, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	if _, err := countBytes(db); !errors.Is(err, ErrDamaged) {
		t.Errorf("read: error %v, want damaged", err)
	}
	err = db.Update(func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("big")) })
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("write: error %v, want damaged", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Open(t.Context(), path, Options{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("open again: error %v, want damaged and not locked", err)
	}
}
