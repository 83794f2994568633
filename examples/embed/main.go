// Command embed is a program that embeds the supervisor, with its own log, update
// handler and signals. It prints the status each interval.
//
//	embed ROOT CONTROL_PLANE_URL [INTERVAL]
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/plugin"
	"pluginsupervisor/supervisor"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) < 2 || len(args) > 3 {
		return errors.New("usage: embed ROOT CONTROL_PLANE_URL [INTERVAL]")
	}
	interval := 10 * time.Second
	if len(args) == 3 {
		var err error
		if interval, err = time.ParseDuration(args[2]); err != nil || interval <= 0 {
			return fmt.Errorf("INTERVAL %q is not a positive duration such as 10s", args[2])
		}
	}
	log := logrus.New()
	log.SetOutput(stderr)
	log.SetFormatter(&logrus.JSONFormatter{})

	s, err := supervisor.New(
		supervisor.WithRoot(args[0]),
		supervisor.WithControlPlane(args[1]),
		supervisor.WithLogger(log),
		supervisor.WithUpdateHandler(func(_ context.Context, u plugin.AssignedUpdate) bool {
			log.WithFields(logrus.Fields{"plugin": u.Name, "from": u.Installed, "to": u.Version}).Info("Update assigned")
			return false // the supervisor makes it
		}),
	)
	if err != nil {
		return err
	}
	result := make(chan error, 1)
	go func() { result <- s.Run(ctx) }()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case err := <-result: // ctx is done, or the supervisor cannot continue
			return err
		case <-tick.C:
			printStatus(ctx, stdout, s)
		}
	}
}

// printStatus prints one line for each plugin.
func printStatus(ctx context.Context, w io.Writer, s *supervisor.Supervisor) {
	status, err := s.Status(ctx)
	switch {
	case err != nil:
		fmt.Fprintln(w, err)
	case len(status.Plugins) == 0:
		fmt.Fprintln(w, "no plugins are installed")
	}
	for _, p := range status.Plugins {
		fmt.Fprintln(w, p.Name, p.Version, p.State)
	}
}
