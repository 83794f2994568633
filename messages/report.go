package messages

import (
	"time"

	"pluginsupervisor/plugin"
)

type (
	// Report orders the Reporter to deliver; it replaces the one before, which
	// it contains as far as that is still owed (SC-17).
	Report struct {
		Gen    uint64
		Report plugin.Report
	}
	// ReportDelivered says a report was answered with 2xx: only now the
	// memory of what the control plane knows changes (PL-15).
	ReportDelivered struct {
		Gen    uint64
		At     time.Time
		Answer plugin.Answer
	}
	// ReportFailed says one try failed. The Reporter tries again at NextTry; the zero
	// time says it gave this report up, and everything in it stays owed (SC-20).
	ReportFailed struct {
		Gen     uint64
		At      time.Time
		Try     int
		Err     error
		NextTry time.Time
	}
	// ReportReplaced says a newer report took this one's place before it was
	// delivered: it will not be, and the newer one has all of it that is owed.
	ReportReplaced struct{ Gen uint64 }
)

type (
	// SendEvent orders the Reporter to deliver an event (LR-04); it replaces an
	// earlier one that is still tried.
	SendEvent struct {
		Gen   uint64
		Event plugin.Event
	}
	// EventDelivered says the event was answered with 2xx.
	EventDelivered struct {
		Gen uint64
		At  time.Time
	}
	// EventFailed says one try failed; NextTry as in ReportFailed.
	EventFailed struct {
		Gen     uint64
		At      time.Time
		Try     int
		Err     error
		NextTry time.Time
	}
)
