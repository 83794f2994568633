package registry

import "errors"

// What callers may ask for with errors.Is.
var (
	// ErrLocked is wrapped when another process kept the database locked for all of Options.Wait (ST-09).
	ErrLocked = errors.New("locked by another process")
	// ErrNotInstalled is wrapped by MarkRemoved when no record of that name is left to remove.
	ErrNotInstalled = errors.New("no such plugin installed")
	// ErrRefused is wrapped when a name, a version or a runPath breaks the rules of SPEC 1 (ST-15).
	ErrRefused = errors.New("refused")
	// ErrMalformed is wrapped when a record or a config.json is not JSON of the right shape.
	ErrMalformed = errors.New("malformed")
)
