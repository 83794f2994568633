package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/packagesource"
)

// controlPlaneKey is the key whose flag commands have that ask the control plane.
const controlPlaneKey = "control_plane.url"

// askControlPlane calls ask with a client that identifies as this host. The error
// has the URL of the control plane.
func askControlPlane[T any](cmd *cobra.Command, cfg config.Config, ask func(ctx context.Context, client *control.Client) (T, error)) (answer T, err error) {
	log := logrus.New()
	log.SetOutput(cmd.ErrOrStderr())
	log.SetLevel(logrus.ErrorLevel)
	client, err := packagesource.NewClient(cfg, readInstanceID(cfg), log)
	if err != nil {
		return answer, withExitCode(exitUsage, err)
	}
	defer client.Close()
	answer, err = ask(cmd.Context(), client)
	if err != nil && !errors.Is(err, control.ErrNotListed) {
		err = fmt.Errorf("ask the control plane at %s (control_plane.url): %w", cfg.ControlPlane.URL, err)
	}
	return answer, err
}

// readInstanceID returns the ID of this host at the control plane, "" if no
// supervisor has generated one yet: a question must not create an installation.
func readInstanceID(cfg config.Config) string {
	if _, err := os.Stat(layout.Supervisor(cfg.Root)); err != nil && cfg.InstanceID == "" {
		return ""
	}
	who, err := config.InstanceID(cfg.Root, cfg.InstanceID, config.MachineIDFile)
	if err != nil {
		return ""
	}
	return who.ID
}
