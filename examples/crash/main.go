// Command crash is the sample of a plugin that will not stay up: it starts
// well, and fails a few seconds later, every time.
package main

import (
	"context"
	"errors"
	"time"

	"pluginsupervisor/pluginkit"
)

func main() { pluginkit.Main(pluginkit.Plugin{Daemon: crash}) }

// crash lives for as long as the file crash_after in its folder says.
func crash(ctx context.Context, d *pluginkit.Daemon) error {
	life, err := d.ReadDuration("crash_after", 2*time.Second)
	if err != nil {
		return err
	}
	if err := d.ReportReady(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(life):
		return errors.New("cannot open /etc/crash.conf: no such file or directory")
	}
}
