package native

import (
	"context"
	"time"

	"pluginsupervisor/internal/pause"
	"pluginsupervisor/plugin"
)

// What the host cannot run in a change is tried again for hostPatience, as the
// plugin may be down meanwhile (EV-24).
const (
	hostFaultTimeout = 30 * time.Second
	hostFaultPause   = time.Second
)

// retryHostFault calls do until the host could run it, or its patience is over.
func retryHostFault(ctx context.Context, do func() plugin.Outcome) plugin.Outcome {
	for over := time.Now().Add(hostFaultTimeout); ; {
		outcome := do()
		if !outcome.HostFault || time.Now().After(over) || pause.Sleep(ctx, hostFaultPause) != nil {
			return outcome
		}
	}
}

// stopPatiently ends a plugin that makes way for another version.
func (c *change) stopPatiently(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return retryHostFault(ctx, func() plugin.Outcome { return c.stopAndWait(ctx, p) })
}
