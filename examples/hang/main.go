// Command hang is the sample of a plugin that looks alive and is not: after a
// while it is stuck. Its process is there and `--status` is content, but the
// heartbeat has stopped. It does not hear SIGTERM either.
package main

import (
	"context"
	"os/signal"
	"syscall"
	"time"

	"pluginsupervisor/pluginkit"
)

func main() { pluginkit.Main(pluginkit.Plugin{Daemon: hang}) }

// hang beats for as long as the file hang_after in its folder says.
func hang(ctx context.Context, d *pluginkit.Daemon) error {
	good, err := d.ReadDuration("hang_after", 5*time.Second)
	if err != nil {
		return err
	}
	if err := d.WriteHeartbeat(); err != nil {
		return err
	}
	if err := d.ReportReady(); err != nil {
		return err
	}
	beating, cancel := context.WithTimeout(ctx, good)
	defer cancel()
	if err := d.RunHeartbeat(beating); err != nil || ctx.Err() != nil {
		return err
	}
	signal.Ignore(syscall.SIGTERM)
	for { // and nothing comes of it
		time.Sleep(time.Hour)
	}
}
