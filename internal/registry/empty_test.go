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
		r, _ := fleet(t)
		overwrite(t, r.path, nil)
		if l := expect(t, r, rebuilt...); len(l.Damaged) != 1 {
			t.Errorf("%v", l.Damaged)
		}
		if got := aside(t, r); len(got) != 1 {
			t.Errorf("trace: %v", got)
		}
		tidy(t, r)
	})
	t.Run("ST-08 being created under its lock", func(t *testing.T) {
		r, _ := fleet(t)
		f, err := os.OpenFile(r.path, os.O_RDWR|os.O_CREATE, 0o640)
		if err != nil || unix.Flock(int(f.Fd()), unix.LOCK_EX) != nil {
			t.Fatal(err)
		}
		got := make(chan plugin.List)
		go func() { got <- list(t, r) }()
		db, err := bbolt.Open(r.path, 0o640, &bbolt.Options{OpenFile: func(string, int, os.FileMode) (*os.File, error) { return f, nil }})
		if err != nil {
			t.Fatal(err)
		}
		migrated(t, db)
		l := <-got
		if diff := cmp.Diff([]string{"1 theirs 1"}, told(l)); diff != "" || len(l.Damaged) > 0 {
			t.Errorf("%v %s", l.Damaged, diff)
		}
	})
	// However long the creator takes between opening and locking, the file it
	// writes is the database.
	t.Run("ST-08 a slow creator loses nothing", func(t *testing.T) {
		r, _ := fleet(t)
		f, err := os.OpenFile(r.path, os.O_RDWR|os.O_CREATE, 0o640)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, r, rebuilt...)
		db, err := bbolt.Open(r.path, 0o640, &bbolt.Options{OpenFile: func(string, int, os.FileMode) (*os.File, error) { return f, nil }})
		if err != nil {
			t.Fatal(err)
		}
		migrated(t, db)
		expect(t, r, append(rebuilt[:3:3], "4 theirs 1")...)
	})
}

// migrated writes and closes as the existing program does once it has the lock.
func migrated(t *testing.T, db *bbolt.DB) {
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
		return b.Put(encodeKey(id), []byte(minimal("theirs", "1")))
	})
	if err != nil || db.Close() != nil {
		t.Fatal(err)
	}
}
