package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/boltfile"
	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
)

// Bucket and key of the generation with which the database was last written.
const (
	metaBucket    = "meta"
	generationKey = "generation"
)

// disk holds the two open files.
type disk struct {
	db         *boltfile.DB
	wal        *wal
	generation uint64
}

// openDisk opens the files and reads them. If they can be read but not written, it
// returns the image and an error, and no disk.
func openDisk(path string, wait time.Duration, damage *damages) (*disk, image, error) {
	if err := durable.MakeFolder(filepath.Dir(path), 0o750); err != nil {
		return nil, nil, fmt.Errorf("make folder of state: %w", err)
	}
	d := &disk{}
	found, err := d.openDB(path, boltfile.Options{Create: true, Mode: 0o600, Wait: wait})
	if errors.Is(err, boltfile.ErrDamaged) {
		if err := damage.setAside(path, err); err != nil {
			return nil, nil, err
		}
		found, err = d.openDB(path, boltfile.Options{Create: true, Mode: 0o600, Wait: wait})
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return nil, readImage(path, wait), err
	}
	if err != nil {
		return nil, nil, err
	}
	if err := d.openWAL(layout.WAL(path), found, damage); err != nil {
		return nil, found, errors.Join(err, d.db.Close())
	}
	return d, found, nil
}

// openDB opens the database and reads it.
func (d *disk) openDB(path string, o boltfile.Options) (image, error) {
	db, err := boltfile.Open(context.Background(), path, o)
	if err != nil {
		return nil, err
	}
	found := image{}
	err = db.View(func(tx *bbolt.Tx) (err error) {
		d.generation, err = readDB(tx, found)
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", path, err), db.Close())
	}
	d.db = db
	return found, nil
}

// readDB reads the database into an image. It ignores unknown buckets. A generation
// that cannot be read is 0, so that the log is applied.
func readDB(tx *bbolt.Tx, into image) (generation uint64, err error) {
	err = tx.ForEach(func(bucket []byte, b *bbolt.Bucket) error {
		if b == nil {
			return fmt.Errorf("%w: %q is not a bucket", boltfile.ErrDamaged, bucket)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if b := tx.Bucket([]byte(metaBucket)); b != nil {
		_ = json.Unmarshal(b.Get([]byte(generationKey)), &generation)
	}
	for _, bucket := range buckets {
		b := tx.Bucket([]byte(bucket))
		if b == nil {
			continue
		}
		err := b.ForEach(func(k, v []byte) error {
			into.setEntry(bucket, string(k), append(json.RawMessage(nil), v...))
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return generation, nil
}

// openWAL opens the log and applies it.
func (d *disk) openWAL(path string, found image, damage *damages) error {
	_, missing := os.Lstat(path)
	w, err := openWAL(path)
	if errors.Is(err, boltfile.ErrDamaged) {
		if err := damage.setAside(path, err); err != nil {
			return err
		}
		w, err = openWAL(path)
	}
	if err != nil {
		return fmt.Errorf("open log of state: %w", err)
	}
	l, err := readWAL(w.f)
	if err != nil {
		return errors.Join(err, w.close())
	}
	if l.damaged {
		w.close()
		if err := damage.setAside(path, errors.New("lines in the middle are damaged")); err != nil {
			return err
		}
		if w, err = openWAL(path); err != nil {
			return fmt.Errorf("open log of state: %w", err)
		}
	}
	d.wal = w
	if errors.Is(missing, fs.ErrNotExist) && d.generation > 0 {
		damage.addNote(path, "was missing and was created again")
	}
	d.applyLog(l, found)
	if l.torn > 0 && !l.damaged {
		damage.addNote(path, fmt.Sprintf("the last %d bytes were damaged and discarded", l.torn))
	}
	return nil
}

// applyLog applies the batches logged since the database was written.
func (d *disk) applyLog(l walContent, found image) {
	if l.generation < d.generation {
		return // folded already
	}
	d.generation = l.generation
	for _, batch := range l.batches {
		found.apply(batch, false)
	}
}

// readImage reads files that cannot be written; nil if that fails too.
func readImage(path string, wait time.Duration) image {
	d := &disk{}
	found, err := d.openDB(path, boltfile.Options{ReadOnly: true, Wait: wait})
	if err != nil {
		return nil
	}
	defer d.db.Close()
	if f, err := os.Open(layout.WAL(path)); err == nil {
		defer f.Close()
		if l, err := readWAL(f); err == nil {
			d.applyLog(l, found)
		}
	}
	return found
}

// fold writes everything to the database and empties the log. After an error
// the disk must be closed.
func (d *disk) fold(all image) error {
	next := d.generation + 1
	err := d.db.Update(func(tx *bbolt.Tx) error {
		for _, bucket := range buckets {
			if err := replaceBucket(tx, bucket, all[bucket]); err != nil {
				return err
			}
		}
		b, err := json.Marshal(next)
		if err != nil {
			return err
		}
		return replaceBucket(tx, metaBucket, map[string]json.RawMessage{generationKey: b})
	})
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	d.generation = next
	return d.wal.startGeneration(next)
}

// replaceBucket replaces the content of a bucket.
func replaceBucket(tx *bbolt.Tx, bucket string, entries map[string]json.RawMessage) error {
	err := tx.DeleteBucket([]byte(bucket))
	if err != nil && !errors.Is(err, berrors.ErrBucketNotFound) {
		return err
	}
	b, err := tx.CreateBucket([]byte(bucket))
	if err != nil {
		return err
	}
	for k, v := range entries {
		if err := b.Put([]byte(k), v); err != nil {
			return fmt.Errorf("%s of %s: %w", bucket, k, err)
		}
	}
	return nil
}

func (d *disk) close() error { return errors.Join(d.wal.close(), d.db.Close()) }

// checkPlace fails unless both open files are still at their paths.
func (d *disk) checkPlace() error {
	if err := d.db.CheckPlace(); err != nil {
		return err
	}
	return lock.CheckPlace(d.wal.f, d.wal.f.Name())
}
