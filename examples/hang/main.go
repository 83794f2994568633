// Command hang is the sample of a plugin that looks alive and is not: after a
// while it is stuck. Its process is there and `--status` is content, but the
// heartbeat has stopped. It does not hear SIGTERM either.
package main

import (
	"context"
	"os/signal"
	"syscall"
	"time"

	"pluginsupervisor/examples/internal/contract"
)

func main() { contract.Main(contract.Plugin{Daemon: hang}) }

// hang beats for as long as the file hang_after in its folder says.
func hang(ctx context.Context, d *contract.Daemon) error {
	good, err := d.Duration("hang_after", 5*time.Second)
	if err != nil {
		return err
	}
	if err := d.Beat(); err != nil {
		return err
	}
	if err := d.Ready(); err != nil {
		return err
	}
	beating, cancel := context.WithTimeout(ctx, good)
	defer cancel()
	if err := d.BeatUntil(beating); err != nil || ctx.Err() != nil {
		return err
	}
	signal.Ignore(syscall.SIGTERM)
	for { // and nothing comes of it
		time.Sleep(time.Hour)
	}
}
