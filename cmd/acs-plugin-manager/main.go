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
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/version"
)

func main() {
	if err := process.DropInherited(); err != nil {
		fmt.Fprintln(os.Stderr, "acs-plugin-manager:", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
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
