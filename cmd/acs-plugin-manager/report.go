package main

import (
	"context"
	"time"

	"pluginsupervisor/internal/outbox"
	"pluginsupervisor/internal/pause"
	"pluginsupervisor/plugin"
)

// The number of tries of a report, and the pause between two of them (CL-20).
const (
	reportTries = 4
	reportPause = 2 * time.Second
)

// sendReport sends the status of a plugin to the control plane. A report that cannot be
// delivered is queued for the supervisor (CL-20).
func (m *manager) sendReport(ctx context.Context, p plugin.Plugin, s plugin.Status, tag plugin.SysTag) {
	entry := plugin.ReportEntry{Name: p.Name, Version: p.Version, Status: s, SysTag: tag}
	at := time.Now()
	err := m.sendReportOnce(ctx, entry)
	for range reportTries - 1 {
		if err == nil || pause.Sleep(ctx, m.pause) != nil {
			break
		}
		err = m.sendReportOnce(ctx, entry)
	}
	if err == nil {
		return
	}
	m.printLine("%v; queued the report for the supervisor", err)
	if err := outbox.Put(m.cfg.Root, at, entry); err != nil {
		m.printLine("%v", err)
	}
}

func (m *manager) sendReportOnce(ctx context.Context, entry plugin.ReportEntry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer cancel()
	_, err := m.plane.Report(ctx, plugin.Report{Entries: []plugin.ReportEntry{entry}})
	return err
}
