package registry

import (
	"errors"

	"pluginsupervisor/internal/boltfile"
)

// What callers may ask for with errors.Is.
var (
	// ErrLocked is wrapped when another process kept the database locked for all of Options.Wait (ST-09).
	ErrLocked = boltfile.ErrLocked
	// ErrNotInstalled is wrapped by MarkRemoved when no record of that name is left to remove.
	ErrNotInstalled = errors.New("no such plugin installed")
)
