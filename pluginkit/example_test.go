package pluginkit_test

import (
	"context"
	"fmt"
	"os"

	"pluginsupervisor/pluginkit"
)

// A Persist plugin: its main function calls Main with a Daemon.
func ExampleMain() {
	main := func() {
		pluginkit.Main(pluginkit.Plugin{Daemon: func(ctx context.Context, d *pluginkit.Daemon) error {
			if err := d.WriteHeartbeat(); err != nil { // replaces the heartbeat of the previous run
				return err
			}
			// Open files and ports here: a failure makes `--start` fail.
			if err := d.ReportReady(); err != nil {
				return err
			}
			return d.RunHeartbeat(ctx) // until SIGTERM
		}})
	}
	_ = main
}

// A Once plugin: `--start` does the work, and no process remains.
func ExampleRun() {
	report := pluginkit.Plugin{Once: func(_ context.Context, dir string) error {
		fmt.Println("report written")
		return nil
	}}
	code := pluginkit.Run(context.Background(), report, []string{"--start"}, os.Stderr)
	fmt.Println("exit", code)
	// Output:
	// report written
	// exit 0
}
