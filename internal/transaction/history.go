package transaction

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"pluginsupervisor/internal/layout"
)

// history is the file of a plugin's versions that were installed, the oldest first.
type history struct {
	Name     string   `json:"name"`
	Versions []string `json:"versions"`
}

// History returns the versions of a plugin that were installed, the oldest first.
// What cannot be read is as if it was never known.
func (s *Store) History(name string) []string {
	var h history
	text, err := os.ReadFile(s.path(layout.History, name))
	if err != nil || json.Unmarshal(text, &h) != nil || h.Name != name {
		return nil
	}
	return h.Versions
}

// Previous returns the version that was installed before the current one, by
// history and not by their order (UP-15); "" if that is not known.
func (s *Store) Previous(name, current string) string {
	for _, v := range slices.Backward(s.History(name)) {
		if v != current {
			return v
		}
	}
	return ""
}

// Remember saves which versions of a plugin were installed, the oldest first.
func (s *Store) Remember(name string, versions []string) error {
	text, err := json.Marshal(history{name, versions})
	if err == nil {
		err = s.write(layout.History, name, text, "history")
	}
	if err != nil {
		return fmt.Errorf("remember the versions of %s: %w", name, err)
	}
	return nil
}

// Forget removes the history of a plugin that is removed.
func (s *Store) Forget(name string) error { return s.remove(layout.History, name) }
