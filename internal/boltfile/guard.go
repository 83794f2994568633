package boltfile

import (
	"fmt"
	"runtime/debug"
)

// Guard runs f and converts a memory fault or other panic to an error that wraps
// ErrDamaged. Otherwise a fault of a mapped file crashes the process. It covers the
// calling goroutine only.
func Guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	return f()
}
