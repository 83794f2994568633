package supervisor

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

// outboxRetry is the delay before the outbox is checked again where it cannot be
// watched or a report was not enqueued.
const outboxRetry = 900 * time.Millisecond

// reportQueue enqueues a report. The report is saved when the error is nil.
type reportQueue interface {
	EnqueueReport(ctx context.Context, r plugin.LateReport) error
}

// outboxReader enqueues the reports that commands could not deliver and wrote to
// the outbox of a root (CL-20).
type outboxReader struct {
	root string
	to   reportQueue
	log  logrus.FieldLogger
}

// enqueueUntilDone enqueues the reports that exist, and each new one, until ctx ends.
func (l outboxReader) enqueueUntilDone(ctx context.Context) {
	queue, err := inotify.Open()
	if err == nil {
		defer queue.Close()
		defer context.AfterFunc(ctx, queue.Interrupt)()
	} else {
		l.log.WithError(err).Warn("Cannot watch the outbox: it is checked each 0.9s")
	}
	for ctx.Err() == nil {
		watched := queue != nil && l.watchOutbox(queue)
		if l.enqueueReports(ctx) && watched {
			if _, err := queue.Read(time.Time{}); err == nil {
				continue
			}
		}
		_ = pause.Sleep(ctx, outboxRetry)
		if !watched { // after the delay: another program may be removing it
			_ = durable.MakeFolder(layout.Outbox(l.root), 0o750) // retried
		}
	}
}

// watchOutbox adds a watch of the outbox and reports whether events will come.
func (l outboxReader) watchOutbox(queue *inotify.Queue) bool {
	_, err := queue.Add(layout.Outbox(l.root), unix.IN_MOVED_TO|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_ONLYDIR)
	return err == nil
}

// enqueueReports enqueues all reports of the outbox and reports whether it could.
// A report that was not enqueued stays.
func (l outboxReader) enqueueReports(ctx context.Context) bool {
	left, err := outbox.List(l.root)
	if err != nil {
		l.log.WithError(err).Warn("Cannot read all reports in the outbox")
	}
	for _, r := range left {
		if err := l.to.EnqueueReport(ctx, r.LateReport); err != nil {
			l.log.WithError(err).WithField("plugin", r.Name).Warn("Cannot enqueue a report of the outbox, retrying")
			return false
		}
		if err = r.Remove(); err != nil {
			l.log.WithError(err).Warn("Cannot remove an enqueued report from the outbox")
		}
	}
	return err == nil
}
