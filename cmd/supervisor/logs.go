package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"pluginsupervisor/cmd/supervisor/internal/tail"
	"pluginsupervisor/cmd/supervisor/internal/view"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

// logLine is one line of a plugin's log, as JSON output.
type logLine struct {
	Plugin string `json:"plugin"`
	Line   string `json:"line"`
}

func newLogsCommand() *cobra.Command {
	var (
		number int
		follow bool
	)
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "Show the output of a plugin",
		Long: `Show the output of a plugin and its daemon, also without a supervisor. Control
characters are shown as ·; the unchanged file is ROOT/supervisor/log/NAME.log.
Each start and exit is a line with its time (UTC). When a log is full its oldest
part is removed, and a line says how much.

With -f it shows new lines until it is interrupted. With -o json each line is an
object. Exit status: 4 for no such plugin.`,
	}
	output := addOutput(cmd)
	settings := addRootSettings(cmd)
	acceptOnePlugin(cmd, settings)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "show new lines until interrupted")
	cmd.Flags().IntVarP(&number, "number", "n", 100, "show at most this many lines, the last; 0 for all")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := args[0]
		if number < 0 {
			return withExitCode(exitUsage, errors.New("-n must not be negative (try --help)"))
		}
		cfg, _, err := settings.loadConfig(cmd)
		if err != nil {
			return err
		}
		if plugin.CheckName(name) != nil { // it must not lead out of the folder of logs
			return noPluginError(name)
		}
		out := cmd.OutOrStdout()
		show := func(line string) error {
			_, err := fmt.Fprintln(out, view.CleanText(line))
			return err
		}
		if *output == asJSON {
			lines := json.NewEncoder(out)
			lines.SetEscapeHTML(false)
			show = func(line string) error { return lines.Encode(logLine{name, line}) }
		}
		path := layout.Log(cfg.Root, name)
		_, err = os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) { // the log of a removed plugin may exist
			if err := checkInstalled(cmd.Context(), cfg, name); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "supervisor: %s has printed nothing yet\n", name)
		}
		if follow {
			err = tail.Follow(cmd.Context(), path, number, show)
		} else {
			err = tail.ReadLines(path, number, show)
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
	return cmd
}
