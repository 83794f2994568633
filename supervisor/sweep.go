package supervisor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pluginsupervisor/actors"
	"pluginsupervisor/internal/packagesource"
	"pluginsupervisor/internal/sweep"
)

const (
	// sweepTimeout bounds a sweep; the next start sweeps the rest.
	sweepTimeout = 5 * time.Minute
	// problemSweep is the name of the problem that leftovers could not be removed.
	problemSweep = "removal of leftovers"
)

// sweepLeftovers removes files of processes that were killed before started, while
// the supervisor works, and notes the result as one entry of the journal.
func sweepLeftovers(ctx context.Context, root string, packages *packagesource.Source, started time.Time, system *actors.System) {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	found, err := sweep.Run(ctx, root, started)
	staged, stagedErr := packages.Sweep(ctx)
	what := found.String()
	if staged > 0 {
		if what != "" {
			what += ", "
		}
		what += fmt.Sprintf("%d folders of packages", staged)
	}
	if what != "" {
		system.NoteHostEvent("leftovers of a killed process: "+what, "removed")
	}
	if err := errors.Join(err, stagedErr); err != nil && ctx.Err() == nil {
		system.NoteProblem(problemSweep, fmt.Errorf("retried at the next start: %w", err))
	}
}
