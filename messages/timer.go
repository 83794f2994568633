package messages

// Timers tell the Coordinator that something is due. Gen says which setting
// of the timer fired: one that was set anew meanwhile is stale.
type (
	// ScanDue says the scan period ended (SPEC 4).
	ScanDue struct{ Gen uint64 }
	// PullDue says the pull period, or the avoid window it waited for, ended (PL-01).
	PullDue struct{ Gen uint64 }
	// UpdateDue says the update period ended.
	UpdateDue struct{ Gen uint64 }
	// InventoryDue says the inventory period ended.
	InventoryDue struct{ Gen uint64 }
	// RecheckDue says the plugins that the host could not ask are to be asked again (EV-24).
	RecheckDue struct{ Gen uint64 }
	// RefreshDue says a restarted plugin is to be reported again (SC-25).
	RefreshDue struct {
		Gen uint64
		Key string
	}
	// SilenceDue says a plugin that does not beat has been silent for so long that it hangs (PL-17).
	SilenceDue struct {
		Gen uint64
		Key string
	}
	// BudgetDue says the host's restart budget has something again (EV-13).
	BudgetDue struct{ Gen uint64 }
	// HealthyDue says a restarted plugin has had the time to prove itself healthy (RS-05).
	HealthyDue struct {
		Gen uint64
		Key string
	}
	// SaveDue says durable state that could not be written is to be tried again.
	SaveDue struct{ Gen uint64 }
	// PendingDue says that what is pending for the control plane is to be sent:
	// gathered changes, or what the process before this one left (SC-17, SC-18).
	PendingDue struct{ Gen uint64 }
	// RecordsDue says that the plugin database is to be read, as it has changed (EV-22).
	RecordsDue struct{ Gen uint64 }
	// ChecksDue says that the checks of single plugins which have gathered are to
	// be ordered.
	ChecksDue struct{ Gen uint64 }
)

// ClockStepped says the wall clock was set or the host was suspended (TM-07).
type ClockStepped struct{}

// IgnoreDeadLetterLogging marks messages that may arrive after their receiver
// has gone, which is normal during a stop.
func (ClockStepped) IgnoreDeadLetterLogging() {}
