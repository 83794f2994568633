package registry

import (
	"errors"

	"pluginsupervisor/internal/boltfile"
)

// The errors that callers check with errors.Is.
var (
	// ErrLocked is wrapped when another process kept the database locked for the whole of Options.Wait (ST-09).
	ErrLocked = boltfile.ErrLocked
	// ErrNotInstalled is wrapped by MarkRemoved when there is no record of that name to remove.
	ErrNotInstalled = errors.New("no such plugin installed")
)
