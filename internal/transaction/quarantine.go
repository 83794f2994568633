package transaction

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// Ban keeps a version of a plugin from being installed.
type Ban struct {
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Until   time.Time `json:"until"`
	Cause   string    `json:"cause"`
}

func (b Ban) Error() string {
	return fmt.Sprintf("version %s is in quarantine until %s: %s", b.Version, b.Until.Local().Format("2006-01-02 15:04"), b.Cause)
}

// Ban puts a version into quarantine.
func (s *Store) Ban(b Ban) error {
	text, err := json.Marshal(b)
	if err == nil {
		err = s.write(quarantine, banName(b.Name, b.Version), text, "ban")
	}
	if err != nil {
		return fmt.Errorf("put %s %s into quarantine: %w", b.Name, b.Version, err)
	}
	return nil
}

// Banned tells whether a version is in quarantine. One whose time is over, or
// that is further away than longest (a clock that was set), is let go.
func (s *Store) Banned(name, version string, now time.Time, longest time.Duration) (Ban, bool) {
	var b Ban
	text, err := os.ReadFile(s.path(quarantine, banName(name, version)))
	if err != nil || json.Unmarshal(text, &b) != nil || b.Name != name || b.Version != version {
		return Ban{}, false
	}
	return b, now.Before(b.Until) && b.Until.Sub(now) <= longest
}

// Lift ends a quarantine: an operator knows better.
func (s *Store) Lift(name, version string) error {
	return s.remove(quarantine, banName(name, version))
}

// Bans are all that hold; those that do not any more are removed.
func (s *Store) Bans(now time.Time, longest time.Duration) ([]Ban, error) {
	files, err := s.files(quarantine)
	var bans []Ban
	for _, path := range files {
		text, failed := os.ReadFile(path)
		var b Ban
		if failed == nil {
			failed = json.Unmarshal(text, &b)
		}
		if _, holds := s.Banned(b.Name, b.Version, now, longest); failed == nil && holds {
			bans = append(bans, b)
		} else {
			_ = os.Remove(path) // if that fails it is tried again next time
		}
	}
	return bans, err
}

// banName has a character in it that no name or version has.
func banName(name, version string) string { return name + "@" + version }
