package boltfile

import "errors"

// ErrDamaged is wrapped by every error that says the file is not, or no
// longer, a usable database: cut short, empty, not a database at all, a folder
// or a device, or with pages that contradict each other.
var ErrDamaged = errors.New("damaged database")

// ErrLocked is wrapped when another process held the file for as long as the
// caller was willing to wait.
var ErrLocked = errors.New("locked by another process")
