package registry

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/boltfile"
	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/plugin"
)

// maxLegacySize is the largest legacy list that is read, in bytes.
const maxLegacySize = 16 << 20

// createDatabase creates the missing database with the records of the legacy list,
// which stays as it is (ST-02, ST-03). It is built under another name and linked to
// its place when complete: when another process was faster, the link fails, and the
// database of that process is used (ST-04).
func (r *Registry) createDatabase(ctx context.Context) error {
	if err := durable.MakeFolder(r.dir, 0o755); err != nil {
		return err
	}
	records, damaged, err := r.readLegacy()
	if err != nil {
		return fmt.Errorf("read legacy list: %w", err)
	}
	fresh, err := r.buildDatabase(ctx, records)
	if err != nil {
		return err
	}
	defer os.Remove(fresh)
	if err := os.Link(fresh, r.path); errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	r.rememberDamage(damaged...)
	r.log.WithFields(logrus.Fields{"database": r.path, "records": len(records)}).Info("Plugin database created")
	return durable.FlushFolder(r.dir)
}

// readLegacy reads the legacy list. One that is missing, empty or invalid holds no
// records (ST-03); one that cannot be read is an error, so that no plugin is forgotten.
func (r *Registry) readLegacy() ([]record.Record, []plugin.Damage, error) {
	b, err := record.ReadRegularFile(r.legacy, maxLegacySize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, nil
	case errors.Is(err, record.ErrNotRegular):
	case err != nil:
		return nil, nil, err
	}
	records, damaged := decodeLegacy(b)
	for i := range damaged {
		damaged[i].Where = strings.TrimSuffix(r.legacy+" "+damaged[i].Where, " ")
	}
	return records, damaged, nil
}

// decodeLegacy reads {"pluginList":[record…]}, in order. It returns the unusable
// records as damage.
func decodeLegacy(b []byte) ([]record.Record, []plugin.Damage) {
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, nil
	}
	var list struct {
		PluginList []json.RawMessage `json:"pluginList"`
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, []plugin.Damage{{Why: fmt.Sprintf("not a legacy list: %v", err)}}
	}
	var records []record.Record
	var damaged []plugin.Damage
	for i, raw := range list.PluginList {
		rec, err := record.Decode(raw)
		if err == nil {
			err = rec.Check()
		}
		if err != nil {
			damaged = append(damaged, plugin.Damage{Where: fmt.Sprintf("record %d", i+1), Why: err.Error()})
			continue
		}
		records = append(records, rec)
	}
	return records, damaged
}

// buildDatabase writes a complete database with these records, ids from 1, into a new
// file beside the real one, and returns its name.
func (r *Registry) buildDatabase(ctx context.Context, records []record.Record) (name string, err error) {
	changes := make([]change, len(records))
	for i, rec := range records {
		if changes[i].value, err = rec.Encode(); err != nil {
			return "", err
		}
	}
	name = filepath.Join(r.dir, layout.TempDatabase+rand.Text())
	if err := boltfile.Create(name, fileMode); err != nil {
		return "", err
	}
	db, err := boltfile.Open(ctx, name, boltfile.Options{})
	if err == nil {
		err = errors.Join((&database{DB: db}).applyChanges(changes), db.Close())
	}
	if err != nil {
		_ = os.Remove(name)
	}
	return name, err
}
