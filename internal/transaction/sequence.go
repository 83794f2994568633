package transaction

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"pluginsupervisor/internal/layout"
)

// LastSequence returns the highest sequence of a signed package of the plugin that
// was ever installed; 0 if there was none. A file that cannot be read is an error: a
// replay must not pass because a file is damaged.
func (s *Store) LastSequence(_ context.Context, name string) (uint64, error) {
	text, err := os.ReadFile(s.filePath(layout.Sequences, name))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read sequence of %s: %w", name, err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read sequence of %s: %w", name, err)
	}
	return n, nil
}

// SaveSequence saves the sequence of a package that is being installed, unless a
// higher one is saved.
func (s *Store) SaveSequence(ctx context.Context, name string, sequence uint64) error {
	last, err := s.LastSequence(ctx, name)
	if err != nil || sequence <= last {
		return err
	}
	if err := s.writeFile(layout.Sequences, name, strconv.AppendUint(nil, sequence, 10), "sequence"); err != nil {
		return fmt.Errorf("save sequence of %s: %w", name, err)
	}
	return nil
}
