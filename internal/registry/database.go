package registry

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"pluginsupervisor/internal/record"
	"pluginsupervisor/plugin"
)

// bucketName is the one bucket of the database (SPEC 1).
const bucketName = "pluginList"

// fileMode of a database we create (SPEC 1).
const fileMode = 0o640

// database is the plugin database while it is open: bbolt on a file that was
// locked and checked before. Its methods are the only place where bbolt works.
type database struct {
	file   *os.File
	bolt   *bbolt.DB
	broken bool // bbolt panicked: its own locks may be held for ever
}

// change is one record to write: id 0 takes a new one and is set to it, value
// nil deletes.
type change struct {
	id    uint64
	value []byte
}

// openDatabase gives the file to bbolt, which closes and unlocks it with
// database.close, or at once when this fails other than by damage.
func openDatabase(f *os.File, write bool) (*database, error) {
	db := &database{file: f}
	err := guard(func() (err error) {
		db.bolt, err = bbolt.Open(f.Name(), fileMode, &bbolt.Options{
			ReadOnly:     !write,
			Timeout:      time.Second, // never waited for: the lock is on f already
			NoStatistics: true,
			OpenFile:     func(string, int, os.FileMode) (*os.File, error) { return f, nil },
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return db, nil
}

// close closes the file. After a panic inside bbolt it does nothing: closing
// could wait for ever, so the mapping is given up and the file left to its owner.
func (db *database) close() error {
	if db.broken {
		return nil
	}
	return db.bolt.Close()
}

// records reads all records in the order of their ids (ST-05: the order of the
// keys is another), and tells which could not be used (ST-06, ST-15). Without
// the bucket there are none (ST-11).
func (db *database) records() ([]record.Record, []plugin.Damage, error) {
	found := make(map[uint64][]byte)
	var damaged []plugin.Damage
	var noBucket bool // something else has its name
	err := db.guard(func() error {
		return db.bolt.View(func(tx *bbolt.Tx) error {
			bucket := tx.Bucket([]byte(bucketName))
			if bucket == nil {
				name, _ := tx.Cursor().Seek([]byte(bucketName))
				noBucket = string(name) == bucketName
				return nil
			}
			return bucket.ForEach(func(k, v []byte) error {
				if len(k) != 8 || v == nil {
					damaged = append(damaged, plugin.Damage{Where: fmt.Sprintf("record key %x", k), Why: "not a plugin's record"})
					return nil
				}
				found[binary.LittleEndian.Uint64(k)] = slices.Clone(v)
				return nil
			})
		})
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read records: %w", err)
	}
	if noBucket {
		return nil, nil, damagedf("%s is not a bucket", bucketName)
	}
	var records []record.Record
	for _, id := range slices.Sorted(maps.Keys(found)) {
		rec, err := record.Decode(found[id])
		if err == nil {
			err = rec.Check()
		}
		if err != nil {
			damaged = append(damaged, plugin.Damage{Where: fmt.Sprintf("record %d", id), Why: err.Error()})
			continue
		}
		rec.ID = id
		records = append(records, rec)
	}
	return records, damaged, nil
}

// apply writes all changes or none, and puts the ids that were taken into them.
func (db *database) apply(changes []change) error {
	taken := slices.Clone(changes)
	err := db.guard(func() error {
		return db.bolt.Update(func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte(bucketName))
			if err != nil {
				return err
			}
			for i := range taken {
				if err := applyOne(bucket, &taken[i]); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("write records: %w", err)
	}
	copy(changes, taken)
	return nil
}

func applyOne(bucket *bbolt.Bucket, c *change) error {
	if c.value == nil {
		return bucket.Delete(key(c.id))
	}
	for c.id == 0 {
		id, err := bucket.NextSequence()
		if err != nil {
			return err
		}
		// A sequence that fell behind its records must not cost one of them.
		if bucket.Get(key(id)) == nil {
			c.id = id
		}
	}
	return bucket.Put(key(c.id), c.value)
}

func key(id uint64) []byte { return binary.LittleEndian.AppendUint64(nil, id) }

func (db *database) guard(work func() error) error {
	err := guard(work)
	var damage *damageError
	db.broken = db.broken || errors.As(err, &damage)
	return err
}

// guard runs work that reads mapped pages: a fault on one of them, or bbolt's
// own panic about what it found there, is damage of the file (ST-07).
func guard(work func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = &damageError{why: fmt.Sprintf("transaction failed: %v", p)}
		}
	}()
	return work()
}
