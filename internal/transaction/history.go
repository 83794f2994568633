package transaction

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"pluginsupervisor/internal/layout"
)

// history is the content of the file of a plugin's installed versions, the oldest first.
type history struct {
	Name     string   `json:"name"`
	Versions []string `json:"versions"`
}

// History returns the versions of a plugin that were installed, the oldest first.
// A history that cannot be read is empty.
func (s *Store) History(name string) []string {
	var h history
	text, err := os.ReadFile(s.filePath(layout.History, name))
	if err != nil || json.Unmarshal(text, &h) != nil || h.Name != name {
		return nil
	}
	return h.Versions
}

// PreviousVersion returns the version that was installed before the current one, by
// history and not by their order (UP-15); "" if that is not known.
func (s *Store) PreviousVersion(name, current string) string {
	for _, v := range slices.Backward(s.History(name)) {
		if v != current {
			return v
		}
	}
	return ""
}

// SaveHistory saves which versions of a plugin were installed, the oldest first.
func (s *Store) SaveHistory(name string, versions []string) error {
	text, err := json.Marshal(history{name, versions})
	if err == nil {
		err = s.writeFile(layout.History, name, text, "history")
	}
	if err != nil {
		return fmt.Errorf("save version history of %s: %w", name, err)
	}
	return nil
}

// RemoveHistory removes the history of a plugin that is removed.
func (s *Store) RemoveHistory(name string) error { return s.removeFile(layout.History, name) }
