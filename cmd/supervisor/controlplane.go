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
	"pluginsupervisor/internal/supply"
)

// controlPlaneKey names the flag of commands that ask the control plane by themselves.
const controlPlaneKey = "control_plane.url"

// askControlPlane has a command ask the control plane, as the host it runs on. An
// error says where the control plane was looked for.
func askControlPlane[T any](cmd *cobra.Command, cfg config.Config, ask func(ctx context.Context, plane *control.Client) (T, error)) (answer T, err error) {
	log := logrus.New()
	log.SetOutput(cmd.ErrOrStderr())
	log.SetLevel(logrus.ErrorLevel)
	plane, err := supply.Dial(cfg, readInstanceID(cfg), log)
	if err != nil {
		return answer, withExitCode(exitUsage, err)
	}
	defer plane.Close()
	answer, err = ask(cmd.Context(), plane)
	if err != nil && !errors.Is(err, control.ErrNotListed) {
		err = fmt.Errorf("ask the control plane at %s (control_plane.url): %w", cfg.ControlPlane.URL, err)
	}
	return answer, err
}

// readInstanceID is who this host is to the control plane, "" where no supervisor has
// made up an id yet: to ask is no reason to begin an installation.
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
