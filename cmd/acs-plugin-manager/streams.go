package main

import (
	"io"
	"os"

	"pluginsupervisor/internal/logger"
	"pluginsupervisor/internal/process"
)

// streams are the caller's standard streams. Plugins get them as they are
// (CL-17); what this program prints itself goes to stdout and stderr, which need
// not be the same and wait for no reader (EV-27).
type streams struct {
	in, out, err   *os.File
	stdout, stderr io.Writer
}

// forPlugins returns the streams that a plugin gets. foreground is for one that
// is interactive, and says nothing where the input is no terminal.
func (s streams) forPlugins(foreground bool) process.Streams {
	return process.Streams{In: s.in, Out: s.out, Err: s.err, Foreground: foreground && logger.IsTerminal(s.in)}
}
