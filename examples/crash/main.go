// Command crash is the sample of a plugin that keeps crashing: it starts, and fails a
// few seconds later, every time.
package main

import (
	"context"
	"errors"
	"time"

	"pluginsupervisor/pluginkit"
)

func main() { pluginkit.Main(pluginkit.Plugin{Daemon: runCrash}) }

// runCrash runs for the time in the file crash_after of its folder.
func runCrash(ctx context.Context, d *pluginkit.Daemon) error {
	runtime, err := d.ReadDuration("crash_after", 2*time.Second)
	if err != nil {
		return err
	}
	if err := d.ReportReady(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(runtime):
		return errors.New("cannot open /etc/crash.conf: no such file or directory")
	}
}
