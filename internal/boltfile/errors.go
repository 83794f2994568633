package boltfile

import "errors"

// ErrDamaged is wrapped by every error that says the file is not, or no
// longer, a usable database: cut short, empty, not a database at all, or with
// pages that contradict each other.
var ErrDamaged = errors.New("damaged database")

// ErrEmpty is wrapped beside ErrDamaged for a file of 0 bytes: another process
// may be about to create the database in it.
var ErrEmpty = errors.New("the file is empty")

// ErrNotRegular is wrapped when a folder, a pipe or a device is in the file's
// place.
var ErrNotRegular = errors.New("not a regular file")

// ErrLocked is wrapped when another process held the file for as long as the
// caller was willing to wait.
var ErrLocked = errors.New("locked by another process")
