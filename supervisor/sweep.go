package supervisor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pluginsupervisor/actors"
	"pluginsupervisor/internal/supply"
	"pluginsupervisor/internal/sweep"
)

const (
	// sweepTimeout bounds a sweep; the next start goes on where it stopped.
	sweepTimeout = 5 * time.Minute
	// problemSweep is a sweep that could not remove everything.
	problemSweep = "removal of leftovers"
)

// sweepLeftovers removes what processes left that were killed before started,
// beside the work of the supervisor, and notes it as one entry of the journal.
func sweepLeftovers(ctx context.Context, root string, packages *supply.Supply, started time.Time, system *actors.System) {
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
		system.NoteHostEvent("left by a process that was killed: "+what, "removed")
	}
	if err := errors.Join(err, stagedErr); err != nil && ctx.Err() == nil {
		system.NoteProblem(problemSweep, fmt.Errorf("at the next start: %w", err))
	}
}
