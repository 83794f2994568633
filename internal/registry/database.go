package registry

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"go.etcd.io/bbolt"

	"pluginsupervisor/internal/boltfile"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/plugin"
)

// bucketName is the name of the only bucket of the database (SPEC 1).
const bucketName = "pluginList"

// fileMode is the mode of a new database (SPEC 1).
const fileMode = 0o640

// database is the plugin database while it is open.
type database struct {
	file *boltfile.File // for its stamp
	*boltfile.DB
}

// change is one record to write: id 0 takes a new ID and is set to it; a nil value
// deletes the record.
type change struct {
	id    uint64
	value []byte
}

// readRecords returns all records in the order of their IDs (ST-05: the order of the
// keys differs), and the unusable ones as damage (ST-06, ST-15). Without the bucket
// there are none (ST-11).
func (db *database) readRecords() ([]record.Record, []plugin.Damage, error) {
	found := make(map[uint64][]byte)
	var damaged []plugin.Damage
	var noBucket bool // a value has its name
	err := db.View(func(tx *bbolt.Tx) error {
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
	if err != nil {
		return nil, nil, fmt.Errorf("read records: %w", err)
	}
	if noBucket {
		return nil, nil, fmt.Errorf("%w: %s is not a bucket", boltfile.ErrDamaged, bucketName)
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

// applyChanges writes all changes or none, and sets the new IDs in them.
func (db *database) applyChanges(changes []change) error {
	taken := slices.Clone(changes)
	err := db.Update(func(tx *bbolt.Tx) error {
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
	if err != nil {
		return fmt.Errorf("write records: %w", err)
	}
	copy(changes, taken)
	return nil
}

func applyOne(bucket *bbolt.Bucket, c *change) error {
	if c.value == nil {
		return bucket.Delete(encodeKey(c.id))
	}
	for c.id == 0 {
		id, err := bucket.NextSequence()
		if err != nil {
			return err
		}
		// A sequence that is behind its records must not overwrite one of them.
		if bucket.Get(encodeKey(id)) == nil {
			c.id = id
		}
	}
	return bucket.Put(encodeKey(c.id), c.value)
}

func encodeKey(id uint64) []byte { return binary.LittleEndian.AppendUint64(nil, id) }
