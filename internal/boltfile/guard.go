package boltfile

import (
	"fmt"
	"runtime/debug"
)

// Guard runs f and turns a memory fault or any other panic inside into an
// error that wraps ErrDamaged. The fault of a mapped file is otherwise the end
// of the process. It covers the calling goroutine only.
func Guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	return f()
}
