package native

import (
	"context"
	"time"

	"pluginsupervisor/internal/pause"
	"pluginsupervisor/plugin"
)

// A verb that the host cannot run in a change is retried, as the plugin may be
// down meanwhile (EV-24).
const (
	hostFaultTimeout = 30 * time.Second
	hostFaultPause   = time.Second
)

// retryHostFault calls do until there is no host fault, for hostFaultTimeout at most.
func retryHostFault(ctx context.Context, do func() plugin.Outcome) plugin.Outcome {
	for deadline := time.Now().Add(hostFaultTimeout); ; {
		outcome := do()
		if !outcome.HostFault || time.Now().After(deadline) || pause.Sleep(ctx, hostFaultPause) != nil {
			return outcome
		}
	}
}

// stopPatiently stops a plugin that another version replaces.
func (c *change) stopPatiently(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return retryHostFault(ctx, func() plugin.Outcome { return c.stopAndWait(ctx, p) })
}
