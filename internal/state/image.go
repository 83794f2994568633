package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"

	"pluginsupervisor/plugin"
)

// The buckets, and the one key of the settings.
const (
	settingsBucket = "settings"
	ackedBucket    = "acked"
	pendingBucket  = "owed"
	eventsBucket   = "events"
	restartsBucket = "restarts"
	blockedBucket  = "blocked"

	settingsKey = "settings"
)

var buckets = [...]string{settingsBucket, ackedBucket, pendingBucket, eventsBucket, restartsBucket, blockedBucket}

// image is a memory, or changes to one, in stored form: bucket → key → JSON. In
// changes null deletes an entry. Values are never modified, so images may share
// them.
type image map[string]map[string]json.RawMessage

var deletedValue = json.RawMessage("null")

func isDeleted(v json.RawMessage) bool { return bytes.Equal(v, deletedValue) }

// encodeChanges returns the image of changes. It fails for values that JSON cannot
// represent, such as a time after the year 9999.
func encodeChanges(c plugin.Changes) (image, error) {
	m := image{}
	if c.Settings != nil {
		if err := encodeEntry(m, settingsBucket, settingsKey, c.Settings); err != nil {
			return nil, err
		}
	}
	for id, e := range c.Events {
		if err := encodeEntry(m, eventsBucket, strconv.FormatUint(id, 10), e); err != nil {
			return nil, err
		}
	}
	if err := encodeEntries(m, ackedBucket, c.Acked); err != nil {
		return nil, err
	}
	if err := encodeEntries(m, pendingBucket, c.Pending); err != nil {
		return nil, err
	}
	if err := encodeEntries(m, restartsBucket, c.Restarts); err != nil {
		return nil, err
	}
	return m, encodeEntries(m, blockedBucket, c.Blocked)
}

func encodeEntries[V any](m image, bucket string, entries map[string]*V) error {
	for key, v := range entries {
		if err := encodeEntry(m, bucket, key, v); err != nil {
			return err
		}
	}
	return nil
}

func encodeEntry[V any](m image, bucket, key string, v *V) error {
	if key == "" {
		return fmt.Errorf("encode %s: empty key", bucket)
	}
	b, err := json.Marshal(v) // a nil pointer is null
	if err != nil {
		return fmt.Errorf("encode %s of %s: %w", bucket, key, err)
	}
	m.setEntry(bucket, key, b)
	return nil
}

func (m image) setEntry(bucket, key string, v json.RawMessage) {
	if m[bucket] == nil {
		m[bucket] = map[string]json.RawMessage{}
	}
	m[bucket][key] = v
}

// apply applies changes to m. With keepDeleted, for an m that is itself an image
// of changes, deletions are kept as null.
func (m image) apply(changes image, keepDeleted bool) {
	for bucket, entries := range changes {
		for key, v := range entries {
			if isDeleted(v) && !keepDeleted {
				delete(m[bucket], key)
			} else {
				m.setEntry(bucket, key, v)
			}
		}
	}
}

// newChanges returns the changes that differ from m.
func (m image) newChanges(changes image) image {
	fresh := image{}
	for bucket, entries := range changes {
		for key, v := range entries {
			if old, known := m[bucket][key]; known && bytes.Equal(old, v) || !known && isDeleted(v) {
				continue
			}
			fresh.setEntry(bucket, key, v)
		}
	}
	return fresh
}

// clone returns a copy that shares the values.
func (m image) clone() image {
	c := make(image, len(m))
	for bucket, entries := range m {
		c[bucket] = maps.Clone(entries)
	}
	return c
}

// decodeMemory decodes m. Entries that cannot be decoded are noted as damage and
// removed from m.
func (m image) decodeMemory(damage *damages) plugin.Memory {
	r := plugin.Memory{
		Acked:    decodeEntries[string, plugin.Acked](m, ackedBucket, parseName, damage),
		Pending:  decodeEntries[string, plugin.PendingReport](m, pendingBucket, parseName, damage),
		Events:   decodeEntries[uint64, plugin.Event](m, eventsBucket, parseSequence, damage),
		Restarts: decodeEntries[string, plugin.RestartRecord](m, restartsBucket, parseName, damage),
		Blocked:  decodeEntries[string, plugin.Blocked](m, blockedBucket, parseName, damage),
	}
	r.Settings = decodeEntries[string, plugin.Settings](m, settingsBucket, parseName, damage)[settingsKey]
	return r
}

func parseName(key string) (string, error)     { return key, nil }
func parseSequence(key string) (uint64, error) { return strconv.ParseUint(key, 10, 64) }

func decodeEntries[K comparable, V any](m image, bucket string, parse func(string) (K, error), damage *damages) map[K]V {
	entries := map[K]V{}
	for key, raw := range m[bucket] {
		k, err := parse(key)
		var v V
		if err == nil {
			err = json.Unmarshal(raw, &v)
		}
		if err != nil {
			damage.addNote("state.db", fmt.Sprintf("the entry %q of %s could not be read and was discarded", key, bucket))
			delete(m[bucket], key)
			continue
		}
		entries[k] = v
	}
	return entries
}
