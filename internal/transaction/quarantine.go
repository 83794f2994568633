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

// Quarantine puts a version into quarantine.
func (s *Store) Quarantine(b plugin.QuarantinedVersion) error {
	text, err := json.Marshal(b)
	if err == nil {
		err = s.writeFile(layout.Quarantine, layout.PairName(b.Name, b.Version), text, "ban")
	}
	if err != nil {
		return fmt.Errorf("put %s %s into quarantine: %w", b.Name, b.Version, err)
	}
	return nil
}

// FindQuarantined tells whether a version is in quarantine. One whose time is over, or
// that is further away than longest (a clock that was set), is let go.
func (s *Store) FindQuarantined(name, version string, now time.Time, longest time.Duration) (plugin.QuarantinedVersion, bool) {
	var b plugin.QuarantinedVersion
	text, err := os.ReadFile(s.filePath(layout.Quarantine, layout.PairName(name, version)))
	if err != nil || json.Unmarshal(text, &b) != nil || b.Name != name || b.Version != version {
		return plugin.QuarantinedVersion{}, false
	}
	return b, now.Before(b.Until) && b.Until.Sub(now) <= longest
}

// LiftQuarantine ends a quarantine: an operator knows better.
func (s *Store) LiftQuarantine(name, version string) error {
	return s.removeFile(layout.Quarantine, layout.PairName(name, version))
}

// ListQuarantined are all that hold, in the order of names and versions' text.
func (s *Store) ListQuarantined(now time.Time, longest time.Duration) ([]plugin.QuarantinedVersion, error) {
	files, err := s.listFiles(layout.Quarantine)
	var bans []plugin.QuarantinedVersion
	for _, path := range files {
		if b, holds := s.readActive(path, now, longest); holds {
			bans = append(bans, b)
		}
	}
	return bans, err
}

// RemoveExpired removes those that do not hold any more. Nobody may ban a version
// meanwhile.
func (s *Store) RemoveExpired(now time.Time, longest time.Duration) error {
	files, err := s.listFiles(layout.Quarantine)
	for _, path := range files {
		if _, holds := s.readActive(path, now, longest); !holds {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}

func (s *Store) readActive(path string, now time.Time, longest time.Duration) (plugin.QuarantinedVersion, bool) {
	var b plugin.QuarantinedVersion
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &b) != nil {
		return plugin.QuarantinedVersion{}, false
	}
	return s.FindQuarantined(b.Name, b.Version, now, longest)
}
