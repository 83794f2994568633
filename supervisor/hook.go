package supervisor

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/plugin"
)

const (
	// problemHook is the name of the problem that the update hook fails or hangs.
	problemHook = "update hook"
	// maxHookOutput bounds the output of a hook that is kept, in bytes.
	maxHookOutput = 4 << 10
)

// updateHook is the command of upgrade.hook, which may handle an update that the
// control plane assigned itself (UP-05).
type updateHook struct {
	command  []string
	timeout  time.Duration
	root     string
	packages packageFinder
	runner   *process.Runner
	note     func(what string, failed error, now time.Time) // sets or clears a problem
	log      logrus.FieldLogger
}

// packageFinder finds the package of a version at the control plane.
type packageFinder interface {
	FindPackage(ctx context.Context, name, version string) (control.Package, error)
}

// handleUpdate runs the command and reports whether it handled the update. A
// command that cannot be run or does not exit in time is a problem in status.
func (h updateHook) handleUpdate(ctx context.Context, u plugin.AssignedUpdate) bool {
	log := h.log.WithFields(logrus.Fields{"plugin": u.Name, "version": u.Version, "hook": h.command[0]})
	listed, err := h.packages.FindPackage(ctx, u.Name, u.Version)
	if err != nil {
		log.WithError(err).Warn("Cannot find the package at the control plane: the update hook gets no URL")
	}
	r := h.runner.Run(ctx, process.Command{
		Path: h.command[0], Args: h.command[1:], Timeout: h.timeout, Keep: maxHookOutput,
		Env: append(os.Environ(),
			"UPDATE_NAME="+u.Name, "UPDATE_VERSION="+u.Version, "UPDATE_INSTALLED="+u.Installed,
			"UPDATE_TIMEOUT="+strconv.Itoa(int(u.Timeout/time.Second)), "UPDATE_ROOT="+h.root,
			"UPDATE_URL="+listed.URL, "UPDATE_SHA256="+listed.SHA256),
	})
	switch {
	case r.Cancelled:
		return false
	case r.Err == nil:
		log.Info("Update hook handles the update itself")
	case r.ExitCode > 0:
		log.WithFields(logrus.Fields{"exitCode": r.ExitCode, "output": r.Output}).Info("Update hook leaves the update to the supervisor")
	default:
		log.WithError(r.Err).WithField("output", r.Output).Warn("Update hook failed, the supervisor makes the update")
		h.note(problemHook, fmt.Errorf("%s for %s %s: %w", h.command[0], u.Name, u.Version, r.Err), time.Now())
		return false
	}
	h.note(problemHook, nil, time.Now())
	return r.Err == nil
}

// firstOf returns a handler that asks first, which may be nil, and then second if
// first does not handle the update.
func firstOf(first, second plugin.UpdateHandler) plugin.UpdateHandler {
	if first == nil {
		return second
	}
	return func(ctx context.Context, u plugin.AssignedUpdate) bool { return first(ctx, u) || second(ctx, u) }
}
