package registry

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"pluginsupervisor/plugin"
)

func TestST08Empty(t *testing.T) { // ST-08
	t.Run("ST-08 rebuilt", func(t *testing.T) {
		r, _ := newRebuildRegistry(t)
		overwriteFile(t, r.path, nil)
		if l := expectPlugins(t, r, rebuiltPlugins...); len(l.Damaged) != 1 {
			t.Errorf("%v", l.Damaged)
		}
		if got := listSetAside(t, r); len(got) != 1 {
			t.Errorf("trace: %v", got)
		}
		checkNoTempFiles(t, r)
	})
	t.Run("ST-08 being created under its lock", func(t *testing.T) {
		r, _ := newRebuildRegistry(t)
		f, err := os.OpenFile(r.path, os.O_RDWR|os.O_CREATE, 0o640)
		if err != nil || unix.Flock(int(f.Fd()), unix.LOCK_EX) != nil {
			t.Fatal(err)
		}
		got := make(chan plugin.List)
		go func() { got <- listPlugins(t, r) }()
		db, err := bbolt.Open(r.path, 0o640, &bbolt.Options{OpenFile: func(string, int, os.FileMode) (*os.File, error) { return f, nil }})
		if err != nil {
			t.Fatal(err)
		}
		writeAndClose(t, db)
		l := <-got
		if diff := cmp.Diff([]string{"1 theirs 1"}, describeList(l)); diff != "" || len(l.Damaged) > 0 {
			t.Errorf("%v %s", l.Damaged, diff)
		}
	})
	// The creator may take any time between opening and locking: the file that it
	// writes is the database.
	t.Run("ST-08 a slow creator loses nothing", func(t *testing.T) {
		r, _ := newRebuildRegistry(t)
		f, err := os.OpenFile(r.path, os.O_RDWR|os.O_CREATE, 0o640)
		if err != nil {
			t.Fatal(err)
		}
		expectPlugins(t, r, rebuiltPlugins...)
		db, err := bbolt.Open(r.path, 0o640, &bbolt.Options{OpenFile: func(string, int, os.FileMode) (*os.File, error) { return f, nil }})
		if err != nil {
			t.Fatal(err)
		}
		writeAndClose(t, db)
		expectPlugins(t, r, append(rebuiltPlugins[:3:3], "4 theirs 1")...)
	})
}

// writeAndClose writes and closes the database, as the existing program does once it
// has the lock.
func writeAndClose(t *testing.T, db *bbolt.DB) {
	t.Helper()
	err := db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte(bucketName))
		if err != nil {
			return err
		}
		id, err := b.NextSequence()
		if err != nil {
			return err
		}
		return b.Put(encodeKey(id), []byte(minimalRecord("theirs", "1")))
	})
	if err != nil || db.Close() != nil {
		t.Fatal(err)
	}
}
