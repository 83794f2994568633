package actorstest

import (
	"context"
	"errors"
	"slices"
	"time"

	"pluginsupervisor/plugin"
)

// Read returns the last heartbeats of plugins.
func (w *World) Read(_ context.Context, ps []plugin.Plugin, _ time.Time) []plugin.Heartbeat {
	w.mu.Lock()
	defer w.mu.Unlock()
	beats := make([]plugin.Heartbeat, len(ps))
	for i, p := range ps {
		beats[i].Plugin = p
		beats[i].Last, beats[i].Found = w.LastHeartbeat[p.Name]
		if w.BadHeartbeat[p.Name] {
			beats[i].Found, beats[i].Err = true, errors.New("not a number")
		}
	}
	return beats
}

// Report receives a report.
func (w *World) Report(ctx context.Context, r plugin.Report) (plugin.Answer, error) {
	w.mu.Lock()
	w.Reports = append(w.Reports, SentReport{Elapsed(), slices.Clone(r.Entries)})
	w.ReportCount++
	n, answer, latency := w.ReportCount, w.OnReport, w.Latency
	w.mu.Unlock()
	if !Elapse(ctx, latency) {
		return plugin.Answer{}, ctx.Err()
	}
	if answer == nil {
		return plugin.Answer{}, nil
	}
	return answer(n)
}

// CheckUpdates returns the updates that the control plane assigns.
func (w *World) CheckUpdates(context.Context, []plugin.Plugin) (plugin.Updates, error) {
	w.mu.Lock()
	w.UpdateChecks = append(w.UpdateChecks, time.Now())
	n, updates := len(w.UpdateChecks), w.OnUpdateCheck
	w.mu.Unlock()
	if updates == nil {
		return plugin.Updates{}, nil
	}
	return updates(n)
}

// Send receives an event.
func (w *World) Send(_ context.Context, e plugin.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Events = append(w.Events, SentEvent{Elapsed(), e})
	if w.OnEvent != nil {
		return w.OnEvent(len(w.Events))
	}
	return nil
}
