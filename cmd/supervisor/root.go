package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"pluginsupervisor/internal/logger"
)

const longHelp = `Keeps the plugins of this host running and reports their state to a
control plane.

Every setting is a key of the configuration file, an environment variable
SUPERVISOR_… and a flag. A flag overrides the environment, which overrides the
file. ` + "`supervisor config show`" + ` prints the effective configuration.`

// execute runs the command line: data on stdout, everything else on stderr.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) exitCode {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	code, shown := splitExitCode(root.ExecuteContext(ctx))
	stderr = root.ErrOrStderr() // a queue, if run has set one
	if shown != nil {
		for line := range strings.SplitSeq(shown.Error(), "\n") {
			fmt.Fprintln(stderr, "supervisor: "+line)
		}
	}
	if queue, ok := stderr.(*logger.Queue); ok {
		_ = queue.Close(logger.FlushWithin) // there is no other place to report it
	}
	return code
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "supervisor",
		Short:         "Keeps the plugins of this host running",
		Long:          longHelp,
		SilenceUsage:  true,
		SilenceErrors: true,
		// Without this, an unknown command prints the help and exits 0.
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return withExitCode(exitUsage, fmt.Errorf("no such command: %s (try --help)", args[0]))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return withExitCode(exitUsage, fmt.Errorf("%w (try --help)", err))
	})
	root.AddCommand(newRunCommand(), newDemoCommand(),
		newStatusCommand(), newWhyCommand(), newEventsCommand(), newLogsCommand(), newListCommand(),
		newStartCommand(), newStopCommand(), newRestartCommand(), newWaitCommand(),
		newInstallCommand(), newUpgradeCommand(), newRollbackCommand(), newRemoveCommand(), newCancelCommand(),
		newPluginCommand(), newVerifyCommand(), newKeygenCommand(), newSignCommand(),
		newConfigCommand(), newVersionCommand())
	return root
}

// checkArguments returns check with its error as a usage error.
func checkArguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return withExitCode(exitUsage, fmt.Errorf("%w (try --help)", err))
		}
		return nil
	}
}

// format is the value of --output.
type format string

const (
	asText format = "text"
	asJSON format = "json"
)

func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "format" }

// Set implements pflag.Value.
func (f *format) Set(s string) error {
	if s != string(asText) && s != string(asJSON) {
		return errors.New("text or json")
	}
	*f = format(s)
	return nil
}

// addOutput adds the flag -o to a command.
func addOutput(cmd *cobra.Command) *format {
	f := asText
	cmd.Flags().VarP(&f, "output", "o", "output `format`: text or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return &f
}

// writeJSON writes v as indented JSON.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
