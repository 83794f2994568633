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
	owedBucket     = "owed"
	eventsBucket   = "events"
	restartsBucket = "restarts"
	blockedBucket  = "blocked"

	settingsKey = "settings"
)

var buckets = [...]string{settingsBucket, ackedBucket, owedBucket, eventsBucket, restartsBucket, blockedBucket}

// image is memory, or changes to it, as they are stored: bucket → key → JSON.
// In changes null deletes an entry. The values are never written to again, so
// that images may share them.
type image map[string]map[string]json.RawMessage

var deleted = json.RawMessage("null")

func isDeleted(v json.RawMessage) bool { return bytes.Equal(v, deleted) }

// encode turns changes into their image. It fails on what could never be
// stored, such as a time after the year 9999.
func encode(c plugin.Changes) (image, error) {
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
	if err := encodeEntries(m, owedBucket, c.Pending); err != nil {
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
	m.put(bucket, key, b)
	return nil
}

func (m image) put(bucket, key string, v json.RawMessage) {
	if m[bucket] == nil {
		m[bucket] = map[string]json.RawMessage{}
	}
	m[bucket][key] = v
}

// apply changes m. What is deleted is gone from m, unless it is itself an image
// of changes.
func (m image) apply(changes image, keepDeleted bool) {
	for bucket, entries := range changes {
		for key, v := range entries {
			if isDeleted(v) && !keepDeleted {
				delete(m[bucket], key)
			} else {
				m.put(bucket, key, v)
			}
		}
	}
}

// news returns the changes that m does not have yet.
func (m image) news(changes image) image {
	fresh := image{}
	for bucket, entries := range changes {
		for key, v := range entries {
			if old, known := m[bucket][key]; known && bytes.Equal(old, v) || !known && isDeleted(v) {
				continue
			}
			fresh.put(bucket, key, v)
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

// memory decodes m. Entries that cannot be decoded are noted as damage, and
// dropped from m as well.
func (m image) memory(damage *damages) plugin.Memory {
	r := plugin.Memory{
		Acked:    decodeEntries[string, plugin.Acked](m, ackedBucket, name, damage),
		Pending:  decodeEntries[string, plugin.PendingReport](m, owedBucket, name, damage),
		Events:   decodeEntries[uint64, plugin.Event](m, eventsBucket, sequence, damage),
		Restarts: decodeEntries[string, plugin.RestartRecord](m, restartsBucket, name, damage),
		Blocked:  decodeEntries[string, plugin.Blocked](m, blockedBucket, name, damage),
	}
	r.Settings = decodeEntries[string, plugin.Settings](m, settingsBucket, name, damage)[settingsKey]
	return r
}

func name(key string) (string, error)     { return key, nil }
func sequence(key string) (uint64, error) { return strconv.ParseUint(key, 10, 64) }

func decodeEntries[K comparable, V any](m image, bucket string, parse func(string) (K, error), damage *damages) map[K]V {
	entries := map[K]V{}
	for key, raw := range m[bucket] {
		k, err := parse(key)
		var v V
		if err == nil {
			err = json.Unmarshal(raw, &v)
		}
		if err != nil {
			damage.note("state.db", fmt.Sprintf("the entry %q of %s could not be read and was dropped", key, bucket))
			delete(m[bucket], key)
			continue
		}
		entries[k] = v
	}
	return entries
}
