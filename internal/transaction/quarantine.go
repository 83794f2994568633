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

// Ban puts a version into quarantine.
func (s *Store) Ban(b plugin.QuarantinedVersion) error {
	text, err := json.Marshal(b)
	if err == nil {
		err = s.write(layout.Quarantine, layout.PairName(b.Name, b.Version), text, "ban")
	}
	if err != nil {
		return fmt.Errorf("put %s %s into quarantine: %w", b.Name, b.Version, err)
	}
	return nil
}

// Banned tells whether a version is in quarantine. One whose time is over, or
// that is further away than longest (a clock that was set), is let go.
func (s *Store) Banned(name, version string, now time.Time, longest time.Duration) (plugin.QuarantinedVersion, bool) {
	var b plugin.QuarantinedVersion
	text, err := os.ReadFile(s.path(layout.Quarantine, layout.PairName(name, version)))
	if err != nil || json.Unmarshal(text, &b) != nil || b.Name != name || b.Version != version {
		return plugin.QuarantinedVersion{}, false
	}
	return b, now.Before(b.Until) && b.Until.Sub(now) <= longest
}

// Lift ends a quarantine: an operator knows better.
func (s *Store) Lift(name, version string) error {
	return s.remove(layout.Quarantine, layout.PairName(name, version))
}

// Bans are all that hold, in the order of names and versions' text.
func (s *Store) Bans(now time.Time, longest time.Duration) ([]plugin.QuarantinedVersion, error) {
	files, err := s.files(layout.Quarantine)
	var bans []plugin.QuarantinedVersion
	for _, path := range files {
		if b, holds := s.holds(path, now, longest); holds {
			bans = append(bans, b)
		}
	}
	return bans, err
}

// SweepBans removes those that do not hold any more. Nobody may ban a version
// meanwhile.
func (s *Store) SweepBans(now time.Time, longest time.Duration) error {
	files, err := s.files(layout.Quarantine)
	for _, path := range files {
		if _, holds := s.holds(path, now, longest); !holds {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}

func (s *Store) holds(path string, now time.Time, longest time.Duration) (plugin.QuarantinedVersion, bool) {
	var b plugin.QuarantinedVersion
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &b) != nil {
		return plugin.QuarantinedVersion{}, false
	}
	return s.Banned(b.Name, b.Version, now, longest)
}
