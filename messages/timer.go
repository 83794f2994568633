package messages

// Messages of timers to the Coordinator. Gen is the number of the timer's setting:
// the message of a timer that was set anew meanwhile is stale.
type (
	// ScanDue says that a scan is due (SPEC 4).
	ScanDue struct{ Gen uint64 }
	// PullDue says that a pull is due, or that the avoid window has passed (PL-01).
	PullDue struct{ Gen uint64 }
	// UpdateDue says that an update check is due.
	UpdateDue struct{ Gen uint64 }
	// InventoryDue says that an inventory is due.
	InventoryDue struct{ Gen uint64 }
	// RecheckDue says that `--status` is to be run again where the host could not run it (EV-24).
	RecheckDue struct{ Gen uint64 }
	// RefreshDue says that a restarted plugin is to be reported again (SC-25).
	RefreshDue struct {
		Gen uint64
		Key string
	}
	// SilenceDue says that a plugin has sent no heartbeat for so long that it hangs (PL-17).
	SilenceDue struct {
		Gen uint64
		Key string
	}
	// BudgetDue says that the restart budget of the host allows a restart again (EV-13).
	BudgetDue struct{ Gen uint64 }
	// HealthyDue says that a restarted plugin has run long enough to be healthy (RS-05).
	HealthyDue struct {
		Gen uint64
		Key string
	}
	// SaveDue says that a failed write of the durable state is to be retried.
	SaveDue struct{ Gen uint64 }
	// PendingDue says that pending reports are to be sent: gathered changes, or those
	// of an earlier process (SC-17, SC-18).
	PendingDue struct{ Gen uint64 }
	// RecordsDue says that the changed plugin database is to be read (EV-22).
	RecordsDue struct{ Gen uint64 }
	// ChecksDue says that the gathered checks of single plugins are to be ordered.
	ChecksDue struct{ Gen uint64 }
)

// ClockStepped says that the wall clock was set or the host was suspended (TM-07).
type ClockStepped struct{}

// IgnoreDeadLetterLogging marks messages that may arrive after their receiver has
// stopped, which is normal during a shutdown.
func (ClockStepped) IgnoreDeadLetterLogging() {}
