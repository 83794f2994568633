package transaction

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

// Quarantine adds a version to the quarantine.
func (s *Store) Quarantine(q plugin.QuarantinedVersion) error {
	text, err := json.Marshal(q)
	if err == nil {
		err = s.writeFile(layout.Quarantine, layout.PairName(q.Name, q.Version), text, "quarantine")
	}
	if err != nil {
		return fmt.Errorf("put %s %s into quarantine: %w", q.Name, q.Version, err)
	}
	return nil
}

// FindQuarantined returns the quarantine of a version, and whether it is active: it
// has not expired, nor does it last longer than longest, as after a clock change.
func (s *Store) FindQuarantined(name, version string, now time.Time, longest time.Duration) (plugin.QuarantinedVersion, bool) {
	var q plugin.QuarantinedVersion
	text, err := os.ReadFile(s.filePath(layout.Quarantine, layout.PairName(name, version)))
	if err != nil || json.Unmarshal(text, &q) != nil || q.Name != name || q.Version != version {
		return plugin.QuarantinedVersion{}, false
	}
	return q, now.Before(q.Until) && q.Until.Sub(now) <= longest
}

// LiftQuarantine removes a version from the quarantine, when an operator asks for it.
func (s *Store) LiftQuarantine(name, version string) error {
	return s.removeFile(layout.Quarantine, layout.PairName(name, version))
}

// ListQuarantined returns all active quarantines, sorted by the text of name and
// version.
func (s *Store) ListQuarantined(now time.Time, longest time.Duration) ([]plugin.QuarantinedVersion, error) {
	files, err := s.listFiles(layout.Quarantine)
	var all []plugin.QuarantinedVersion
	for _, path := range files {
		if q, active := s.readActive(path, now, longest); active {
			all = append(all, q)
		}
	}
	return all, err
}

// RemoveExpired removes the quarantines that are not active any more. No version may
// be put into quarantine at the same time.
func (s *Store) RemoveExpired(now time.Time, longest time.Duration) error {
	files, err := s.listFiles(layout.Quarantine)
	for _, path := range files {
		if _, active := s.readActive(path, now, longest); !active {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}

func (s *Store) readActive(path string, now time.Time, longest time.Duration) (plugin.QuarantinedVersion, bool) {
	var q plugin.QuarantinedVersion
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &q) != nil {
		return plugin.QuarantinedVersion{}, false
	}
	return s.FindQuarantined(q.Name, q.Version, now, longest)
}
