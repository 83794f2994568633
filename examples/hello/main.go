// Command hello is the sample of a healthy plugin: a daemon with a heartbeat.
package main

import (
	"context"
	"fmt"

	"pluginsupervisor/pluginkit"
)

func main() { pluginkit.Main(pluginkit.Plugin{Daemon: runHello}) }

func runHello(ctx context.Context, d *pluginkit.Daemon) error {
	fmt.Printf("hello %s is up\n", d.Version)
	if err := d.WriteHeartbeat(); err != nil { // without it, the old heartbeat of an earlier run counts
		return err
	}
	if err := d.ReportReady(); err != nil {
		return err
	}
	return d.RunHeartbeat(ctx)
}
