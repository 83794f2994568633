// Command hang is the sample of a plugin that hangs after a while: its process runs
// and `--status` returns 0, but it writes no heartbeat and ignores SIGTERM.
package main

import (
	"context"
	"os/signal"
	"syscall"
	"time"

	"pluginsupervisor/pluginkit"
)

func main() { pluginkit.Main(pluginkit.Plugin{Daemon: runHang}) }

// runHang writes heartbeats for the time in the file hang_after of its folder.
func runHang(ctx context.Context, d *pluginkit.Daemon) error {
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
	for { // hangs
		time.Sleep(time.Hour)
	}
}
