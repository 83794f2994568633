package main

import (
	"context"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/inotify"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/outbox"
	"pluginsupervisor/internal/pause"
	"pluginsupervisor/plugin"
)

// How often the folder of left reports is checked while events of it come, and
// while they do not.
const (
	leftReportsEvery = time.Minute
	leftReportsSoon  = 5 * time.Second
)

// reportTaker takes a report over; when it returns without an error the report is
// saved.
type reportTaker interface {
	TakeReport(ctx context.Context, r plugin.LateReport) error
}

// leftReports takes the reports that commands could not deliver and left in the
// outbox of a root (CL-20).
type leftReports struct {
	root string
	to   reportTaker
	log  logrus.FieldLogger
}

// run takes those that are there, and each new one at once, until ctx ends.
func (l leftReports) run(ctx context.Context) {
	queue, err := inotify.Open()
	if err == nil {
		defer queue.Close()
		defer context.AfterFunc(ctx, queue.Interrupt)()
	} else {
		l.log.WithError(err).Warn("Reports that commands leave are noticed within 5 s only")
	}
	for ctx.Err() == nil {
		next := leftReportsSoon
		if queue != nil && l.watch(queue) {
			next = leftReportsEvery
		}
		l.take(ctx)
		if queue == nil {
			_ = pause.Sleep(ctx, next)
		} else if _, err := queue.Read(time.Now().Add(next)); err != nil {
			_ = pause.Sleep(ctx, leftReportsSoon)
		}
	}
}

// watch follows the folder, which is made if it is not there. It reports whether
// events will come.
func (l leftReports) watch(queue *inotify.Queue) bool {
	folder := layout.Outbox(l.root)
	if err := durable.MakeFolder(folder, 0o750); err != nil {
		return false
	}
	_, err := queue.Add(folder, unix.IN_MOVED_TO|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_ONLYDIR)
	return err == nil
}

// take takes all reports that are there. One that could not be taken stays for
// the next time.
func (l leftReports) take(ctx context.Context) {
	left, err := outbox.List(l.root)
	if err != nil {
		l.log.WithError(err).Warn("Reports that commands left cannot all be read")
	}
	for _, r := range left {
		if err := l.to.TakeReport(ctx, r.LateReport); err != nil {
			l.log.WithError(err).WithField("plugin", r.Name).Warn("Report that a command left is not taken")
			return
		}
		if err := r.Remove(); err != nil {
			l.log.WithError(err).Warn("Report that a command left was taken, and stays")
		}
	}
}
