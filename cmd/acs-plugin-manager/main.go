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
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"syscall"
	"time"

	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/inherit"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/internal/version"
)

func main() {
	if err := inherit.Drop(); err != nil {
		fmt.Fprintln(os.Stderr, "acs-plugin-manager:", err)
	}
	executable, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "acs-plugin-manager:", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	logger.KeepWithoutReader()
	code, flush := runQueued(ctx, invocation{
		args: os.Args[1:], environ: os.Environ(), executable: executable, config: config.DefaultFile, pause: reportPause,
		streams: streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, stdout: os.Stdout, stderr: os.Stderr},
	})
	stop() // the next signal ends a flush that nobody reads
	os.Exit(flush(code))
}

// invocation is how the program was called.
type invocation struct {
	args, environ []string
	executable    string        // path of this program
	config        string        // path of the configuration
	pause         time.Duration // between the tries of a report
	streams
}

// runQueued runs the program with queues before its outputs: a reader that
// stands still must not keep locks from all others (EV-27). flush waits until
// all is printed, and returns the exit code.
func runQueued(ctx context.Context, i invocation) (code int, flush func(code int) int) {
	out := logger.NewQueue(i.stdout, logger.QueueOptions{Most: math.MaxInt})
	said := logger.NewQueue(i.stderr, logger.QueueOptions{Most: math.MaxInt})
	i.stdout, i.stderr = out, said
	return run(ctx, i), func(code int) int {
		if err := out.Close(0); err != nil && code == 0 {
			code = tell(said, fmt.Errorf("print: %w", err))
		}
		_ = said.Close(0) // nothing is left to say so to
		return code
	}
}

// run is the program: it returns the exit code.
func run(ctx context.Context, i invocation) int {
	o, err := parse(i.args)
	switch {
	case err != nil:
		return tell(i.stderr, fail(exitUsage, "%w", err))
	case o.command == showHelp:
		fmt.Fprint(i.stdout, usage())
		return 0
	case o.command == showVersion:
		fmt.Fprintln(i.stdout, version.String())
		return 0
	}
	failures := i.stderr
	if o.command == status && !o.verbose {
		i.stderr = io.Discard // the existing agent parses both streams as one (CL-18)
	}
	for _, name := range o.unknown {
		fmt.Fprintf(i.stderr, "acs-plugin-manager: unknown flag %s is ignored\n", name)
	}
	m, err := newManager(o, i)
	if err == nil {
		err = m.do(ctx)
		m.close()
	}
	if o.command == status && err != nil {
		err = fail(exitDatabaseRead, "%w", err) // there is no list (CL-18)
	}
	return tell(failures, err)
}
