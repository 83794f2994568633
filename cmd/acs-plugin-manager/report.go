package main

import (
	"context"
	"time"

	"pluginsupervisor/internal/outbox"
	"pluginsupervisor/internal/pause"
	"pluginsupervisor/plugin"
)

// How often a report is tried, and the pause between two tries (CL-20).
const (
	reportTries = 4
	reportPause = 2 * time.Second
)

// report sends the status of a plugin to the control plane. What cannot be
// delivered is left to the supervisor (CL-20).
func (m *manager) report(ctx context.Context, p plugin.Plugin, s plugin.Status, tag plugin.SysTag) {
	entry := plugin.ReportEntry{Name: p.Name, Version: p.Version, Status: s, SysTag: tag}
	at := time.Now()
	err := m.tryReport(ctx, entry)
	for range reportTries - 1 {
		if err == nil || pause.Sleep(ctx, m.pause) != nil {
			break
		}
		err = m.tryReport(ctx, entry)
	}
	if err == nil {
		return
	}
	m.say("%v; it is left to the supervisor", err)
	if err := outbox.Put(m.cfg.Root, at, entry); err != nil {
		m.say("%v", err)
	}
}

func (m *manager) tryReport(ctx context.Context, entry plugin.ReportEntry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendWithin)
	defer cancel()
	_, err := m.plane.Report(ctx, plugin.Report{Entries: []plugin.ReportEntry{entry}})
	return err
}
