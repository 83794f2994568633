// Command acs-plugin-manager manages the plugins of a host from the command line. It
// has the arguments, the machine-readable output and the exit codes of the existing
// program of that name (SPEC 11). It needs no running supervisor and can run beside
// one: both use the lock files of SPEC 1.
//
// Standard output has the machine-readable output and the output of plugins; messages
// go to standard error. Root and control plane are those of the supervisor's
// configuration, including its environment variables.
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
	stop() // the next signal kills the process if its output is not read
	os.Exit(flush(code))
}

// invocation holds the arguments and the environment of one run of the program.
type invocation struct {
	args, environ []string
	executable    string        // path of this program
	config        string        // path of the configuration
	pause         time.Duration // between the tries of a report
	streams
}

// runQueued runs the program with queued outputs: locks must not stay held while a
// reader is blocked (EV-27). flush waits until all is printed and returns the exit
// code.
func runQueued(ctx context.Context, i invocation) (code int, flush func(code int) int) {
	out := logger.NewQueue(i.stdout, logger.QueueOptions{Most: math.MaxInt})
	messages := logger.NewQueue(i.stderr, logger.QueueOptions{Most: math.MaxInt})
	i.stdout, i.stderr = out, messages
	return run(ctx, i), func(code int) int {
		if err := out.Close(0); err != nil && code == 0 {
			code = printError(messages, fmt.Errorf("print: %w", err))
		}
		_ = messages.Close(0) // no output is left for the error
		return code
	}
}

// run runs the program and returns the exit code.
func run(ctx context.Context, i invocation) int {
	o, err := parseOptions(i.args)
	switch {
	case err != nil:
		return printError(i.stderr, failWith(exitUsage, "%w", err))
	case o.command == commandHelp:
		fmt.Fprint(i.stdout, usageText())
		return 0
	case o.command == commandVersion:
		fmt.Fprintln(i.stdout, version.String())
		return 0
	}
	failures := i.stderr
	if o.command == commandStatus && !o.verbose {
		i.stderr = io.Discard // the existing agent parses both streams as one (CL-18)
	}
	for _, name := range o.unknown {
		fmt.Fprintf(i.stderr, "acs-plugin-manager: unknown flag %s is ignored\n", name)
	}
	m, err := newManager(o, i)
	if err == nil {
		err = m.runCommand(ctx)
		m.close()
	}
	if o.command == commandStatus && err != nil {
		err = failWith(exitDatabaseRead, "%w", err) // no list was printed (CL-18)
	}
	return printError(failures, err)
}
