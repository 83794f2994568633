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

// logLine is one line of a plugin's log, for programs.
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
		Short: "Show what a plugin printed, with or without a supervisor running",
		Long: `Show what a plugin and its daemon printed. Control characters are shown as ·;
the file as it is: ROOT/supervisor/log/NAME.log. When a log is full its oldest
part is dropped, and a line says how much. With -f it goes on until it is
interrupted; with -o json each line is an object.

It exits 4 when there is no such plugin.`,
	}
	output := addOutput(cmd)
	settings := addRootSettings(cmd)
	acceptOnePlugin(cmd, settings)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is printed from now on")
	cmd.Flags().IntVarP(&number, "number", "n", 100, "show at most so many lines, the last; 0 for all")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := args[0]
		if number < 0 {
			return withExitCode(exitUsage, errors.New("-n must not be negative (try --help)"))
		}
		cfg, _, err := settings.loadConfig(cmd)
		if err != nil {
			return err
		}
		if plugin.CheckName(name) != nil { // nor may it be a part of a path
			return noPluginError(name)
		}
		out := cmd.OutOrStdout()
		tell := func(line string) error {
			_, err := fmt.Fprintln(out, view.CleanText(line))
			return err
		}
		if *output == asJSON {
			lines := json.NewEncoder(out)
			lines.SetEscapeHTML(false)
			tell = func(line string) error { return lines.Encode(logLine{name, line}) }
		}
		path := layout.Log(cfg.Root, name)
		_, err = os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) { // a plugin that is gone may have left one
			if err := checkInstalled(cmd.Context(), cfg, name); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "supervisor: %s has printed nothing yet\n", name)
		}
		if follow {
			err = tail.Follow(cmd.Context(), path, number, tell)
		} else {
			err = tail.ReadLines(path, number, tell)
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
	return cmd
}
