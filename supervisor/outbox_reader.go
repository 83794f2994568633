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

// outboxRetry is after how long the folder of left reports is checked where no
// events of it come, or a report could not be taken.
const outboxRetry = 900 * time.Millisecond

// reportQueue takes a report over; when it returns without an error the report is
// saved.
type reportQueue interface {
	EnqueueReport(ctx context.Context, r plugin.LateReport) error
}

// outboxReader takes the reports that commands could not deliver and left in the
// outbox of a root (CL-20).
type outboxReader struct {
	root string
	to   reportQueue
	log  logrus.FieldLogger
}

// enqueueUntilDone takes those that are there, and each new one at once, until ctx ends.
func (l outboxReader) enqueueUntilDone(ctx context.Context) {
	queue, err := inotify.Open()
	if err == nil {
		defer queue.Close()
		defer context.AfterFunc(ctx, queue.Interrupt)()
	} else {
		l.log.WithError(err).Warn("Reports that commands leave are not noticed by event")
	}
	for ctx.Err() == nil {
		watched := queue != nil && l.watchOutbox(queue)
		if l.enqueueReports(ctx) && watched {
			if _, err := queue.Read(time.Time{}); err == nil {
				continue
			}
		}
		_ = pause.Sleep(ctx, outboxRetry)
		if !watched { // not at once: it may be being removed
			_ = durable.MakeFolder(layout.Outbox(l.root), 0o750) // tried again
		}
	}
}

// watchOutbox follows the folder. It reports whether events will come.
func (l outboxReader) watchOutbox(queue *inotify.Queue) bool {
	_, err := queue.Add(layout.Outbox(l.root), unix.IN_MOVED_TO|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_ONLYDIR)
	return err == nil
}

// enqueueReports takes all reports that are there, and reports whether it could. One that
// could not be taken stays for the next time.
func (l outboxReader) enqueueReports(ctx context.Context) bool {
	left, err := outbox.List(l.root)
	if err != nil {
		l.log.WithError(err).Warn("Reports that commands left cannot all be read")
	}
	for _, r := range left {
		if err := l.to.EnqueueReport(ctx, r.LateReport); err != nil {
			l.log.WithError(err).WithField("plugin", r.Name).Warn("Report that a command left is not taken")
			return false
		}
		if err = r.Remove(); err != nil {
			l.log.WithError(err).Warn("Report that a command left was taken, and stays")
		}
	}
	return err == nil
}
