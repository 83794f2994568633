package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"pluginsupervisor/internal/pack"
	"pluginsupervisor/internal/plugincheck"
)

// checkFormat is the value of --output of `plugin check`.
type checkFormat string

const asJUnit checkFormat = "junit"

func (f *checkFormat) String() string { return string(*f) }
func (f *checkFormat) Type() string   { return "format" }

// Set implements pflag.Value.
func (f *checkFormat) Set(s string) error {
	if s != string(asText) && s != string(asJSON) && s != string(asJUnit) {
		return errors.New("text, json or junit")
	}
	*f = checkFormat(s)
	return nil
}

func newPluginCheckCommand() *cobra.Command {
	output := checkFormat(asText)
	cmd := &cobra.Command{
		Use:   "check DIR|PACKAGE",
		Short: "Test whether a plugin keeps the plugin contract",
		Long: `Test whether a plugin keeps the plugin contract. The plugin is installed in a
temporary folder and goes through every stage: install, start, stop, kill -9,
restart, upgrade, remove. Each rule is one line; a rule that fails says what was
expected, what happened, and what to do. Nothing of the plugin is left.

Exit status: 0 if no rule failed, 1 if one did, 238 if hosts refuse the package.`,
		Args: checkArguments(cobra.ExactArgs(1)),
	}
	cmd.Flags().VarP(&output, "output", "o", "text, json or junit")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json", "junit"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
		defer stop()
		return checkPlugin(ctx, cmd, args[0], output)
	}
	return cmd
}

func checkPlugin(ctx context.Context, cmd *cobra.Command, source string, output checkFormat) error {
	out := cmd.OutOrStdout()
	var broken error // of out
	o := plugincheck.Options{Source: source, Subreaper: true}
	if output == checkFormat(asText) {
		o.Progress = func(r plugincheck.Result) { broken = errors.Join(broken, plugincheck.WriteResult(out, r)) }
	}
	report, err := plugincheck.Run(ctx, o)
	if report.Package != nil {
		for _, w := range findWarnings(&pack.Made{Package: report.Package}) {
			fmt.Fprintln(cmd.ErrOrStderr(), "supervisor: warning: "+w)
		}
	}
	if err != nil {
		return err
	}
	switch output {
	case asJUnit:
		err = plugincheck.WriteJUnit(out, report)
	case checkFormat(asJSON):
		err = writeJSON(out, report)
	default:
		err = plugincheck.WriteSummary(out, report)
	}
	switch {
	case broken != nil || err != nil:
		return errors.Join(broken, err)
	case report.Package == nil:
		return withExitCode(exitRefused, nil)
	case !report.Passed:
		return withExitCode(exitFailed, nil)
	}
	return nil
}
