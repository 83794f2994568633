package messages

import (
	"time"

	"pluginsupervisor/plugin"
)

type (
	// Report orders the Reporter to deliver a report. It replaces the previous one,
	// and contains all of it that is still pending (SC-17).
	Report struct {
		Gen    uint64
		Report plugin.Report
	}
	// ReportDelivered says that a report was answered with 2xx: only now it counts
	// as acknowledged (PL-15).
	ReportDelivered struct {
		Gen    uint64
		At     time.Time
		Answer plugin.Answer
	}
	// ReportFailed says that one try failed. The Reporter retries at NextTry; the zero
	// time says that it gave up, and the content of the report stays pending (SC-20).
	ReportFailed struct {
		Gen     uint64
		At      time.Time
		Try     int
		Err     error
		NextTry time.Time
	}
	// ReportReplaced says that a newer report replaced this one, which will not be
	// delivered.
	ReportReplaced struct{ Gen uint64 }
)

type (
	// SendEvent orders the Reporter to deliver an event (LR-04). It replaces an
	// earlier one that is not delivered yet.
	SendEvent struct {
		Gen   uint64
		Event plugin.Event
	}
	// EventDelivered says that the event was answered with 2xx.
	EventDelivered struct {
		Gen uint64
		At  time.Time
	}
	// EventFailed says that one try failed; NextTry as in ReportFailed.
	EventFailed struct {
		Gen     uint64
		At      time.Time
		Try     int
		Err     error
		NextTry time.Time
	}
)
