package admin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"pluginsupervisor/internal/logger"
	"pluginsupervisor/plugin"
)

// A client reads the plugins of a supervisor and requests a restart. The command
// is accepted, but not done, when SendCommand returns.
func ExampleClient() {
	dir, err := os.MkdirTemp("", "admin")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "supervisor.sock")
	l, err := Listen(socket)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, l, NewHandler(fakeSupervisor{snapshot: sampleSnapshot()}, ""), logger.Silent())
	}()

	client := Dial(socket)
	snapshot, err := client.Status(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range snapshot.Plugins {
		fmt.Println(p.Name, p.Version, p.State)
	}
	fmt.Println(client.SendCommand(ctx, CommandRestart, "hello"))
	_, err = client.SendCommand(ctx, CommandRestart, "absent")
	fmt.Println("no such plugin:", errors.Is(err, plugin.ErrNoPlugin))

	cancel()
	fmt.Println("served:", <-served)
	_, err = client.Status(context.Background())
	fmt.Println("no supervisor:", errors.Is(err, ErrNoSupervisor))
	// Output:
	// hello 1.0 running
	// crash 2.0 crash-loop
	// hello 0.9 running
	// restart hello <nil>
	// no such plugin: true
	// served: <nil>
	// no supervisor: true
}
