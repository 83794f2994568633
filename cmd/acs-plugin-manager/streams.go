package main

import (
	"io"
	"os"

	"pluginsupervisor/internal/logger"
	"pluginsupervisor/internal/process"
)

// streams holds the caller's standard streams. Plugins get in, out and err unchanged
// (CL-17); the program itself prints to stdout and stderr, which may be queues that do
// not wait for a reader (EV-27).
type streams struct {
	in, out, err   *os.File
	stdout, stderr io.Writer
}

// forPlugins returns the streams of a plugin. foreground is for an interactive one; it
// has no effect when the input is not a terminal.
func (s streams) forPlugins(foreground bool) process.Streams {
	return process.Streams{In: s.in, Out: s.out, Err: s.err, Foreground: foreground && logger.IsTerminal(s.in)}
}
