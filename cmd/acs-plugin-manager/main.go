// Command acs-plugin-manager works on the plugins of a host from the command
// line, with the arguments, the machine output and the exit codes of the
// program of that name that hosts already have (SPEC 11). It needs no running
// supervisor and does not disturb one: they keep out of each other's way by the
// lock files of SPEC 1.
//
// Standard output carries what a machine reads, and what the plugin printed;
// everything else goes to standard error. Root and control plane are those of
// the supervisor's configuration, its environment variables included.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"pluginsupervisor/internal/logger"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/version"
)

func main() {
	if err := process.DropInherited(); err != nil {
		fmt.Fprintln(os.Stderr, "acs-plugin-manager:", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	logger.KeepWithoutReader()
	code, flush := runQueued(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop() // the next signal ends a flush that nobody reads
	os.Exit(flush(code))
}

// runQueued runs the program with queues before its outputs: a reader that
// stands still must not keep locks from all others (EV-27). flush waits until
// all is printed, and returns the exit code.
func runQueued(ctx context.Context, args, environ []string, stdout, stderr io.Writer) (code int, flush func(code int) int) {
	out := logger.NewQueue(stdout, logger.QueueOptions{Most: math.MaxInt})
	said := logger.NewQueue(stderr, logger.QueueOptions{Most: math.MaxInt})
	return run(ctx, args, environ, out, said), func(code int) int {
		if err := out.Close(0); err != nil && code == 0 {
			code = tell(said, fmt.Errorf("print: %w", err))
		}
		_ = said.Close(0) // nothing is left to say so to
		return code
	}
}

// run is the program: it returns the exit code.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	o, err := parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(stdout, o.usage)
		return 0
	case err != nil:
		return tell(stderr, fail(exitUsage, "%w", err))
	case o.version:
		fmt.Fprintln(stdout, version.String())
		return 0
	}
	m, err := newManager(o, environ, stdout, stderr)
	if err != nil {
		return tell(stderr, err)
	}
	defer m.close()
	switch {
	case o.list:
		err = m.list(ctx)
	case o.status:
		err = m.status(ctx)
	case o.exec:
		err = m.exec(ctx)
	case o.remove:
		err = m.remove(ctx)
	case o.verify:
		err = m.verify(ctx)
	}
	return tell(stderr, err)
}
