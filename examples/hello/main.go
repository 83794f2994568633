// Command hello is the sample of a healthy plugin: a daemon with a heartbeat.
package main

import (
	"context"
	"fmt"

	"pluginsupervisor/examples/internal/contract"
)

func main() { contract.Main(contract.Plugin{Daemon: hello}) }

func hello(ctx context.Context, d *contract.Daemon) error {
	fmt.Printf("hello %s is up\n", d.Version)
	if err := d.Beat(); err != nil { // the last beat of a life before would look like silence
		return err
	}
	if err := d.Ready(); err != nil {
		return err
	}
	return d.BeatUntil(ctx)
}
