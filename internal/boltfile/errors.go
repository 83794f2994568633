package boltfile

import "errors"

// ErrDamaged is wrapped by every error for a file that is not, or no longer, a
// usable database: truncated, empty, not a database, or with inconsistent pages.
var ErrDamaged = errors.New("damaged database")

// ErrEmpty is wrapped beside ErrDamaged for a file of 0 bytes: another process
// may be about to create the database in it.
var ErrEmpty = errors.New("the file is empty")

// ErrNotRegular is wrapped when the path is a folder, a pipe or a device.
var ErrNotRegular = errors.New("not a regular file")

// ErrLocked is wrapped when another process held the lock for all of Options.Wait.
var ErrLocked = errors.New("locked by another process")
