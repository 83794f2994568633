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
	// problemHook is an update hook that cannot be run, or hangs.
	problemHook = "update hook"
	// maxHookOutput is how much of what a hook prints is kept, in bytes.
	maxHookOutput = 4 << 10
)

// updateHook is the command of upgrade.hook, which may take over an update that
// the control plane assigned (UP-05).
type updateHook struct {
	command  []string
	timeout  time.Duration
	root     string
	packages packageFinder
	runner   *process.Runner
	note     func(what string, failed error, now time.Time) // sets or solves a problem
	log      logrus.FieldLogger
}

// packageFinder finds the package of a version at the control plane.
type packageFinder interface {
	FindPackage(ctx context.Context, name, version string) (control.Package, error)
}

// handleUpdate runs the command, and reports whether it took the update over. One that
// cannot be run or does not end in time did not, and is a problem in status.
func (h updateHook) handleUpdate(ctx context.Context, u plugin.AssignedUpdate) bool {
	log := h.log.WithFields(logrus.Fields{"plugin": u.Name, "version": u.Version, "hook": h.command[0]})
	listed, err := h.packages.FindPackage(ctx, u.Name, u.Version)
	if err != nil {
		log.WithError(err).Warn("The update hook is not given the URL of the package")
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
		log.Info("The update hook took the update over")
	case r.ExitCode > 0:
		log.WithFields(logrus.Fields{"exitCode": r.ExitCode, "output": r.Output}).Info("The update hook did not take the update over")
	default:
		log.WithError(r.Err).WithField("output", r.Output).Warn("The update hook failed, the supervisor makes the update")
		h.note(problemHook, fmt.Errorf("%s for %s %s: %w", h.command[0], u.Name, u.Version, r.Err), time.Now())
		return false
	}
	h.note(problemHook, nil, time.Now())
	return r.Err == nil
}

// firstOf returns a handler that asks the second one for what the first, which
// may be nil, does not take over.
func firstOf(first, second plugin.UpdateHandler) plugin.UpdateHandler {
	if first == nil {
		return second
	}
	return func(ctx context.Context, u plugin.AssignedUpdate) bool { return first(ctx, u) || second(ctx, u) }
}
