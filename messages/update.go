package messages

import (
	"time"

	"pluginsupervisor/plugin"
)

type (
	// CheckUpdates orders the Upgrader to ask the control plane for updates.
	CheckUpdates struct{ Gen uint64 }
	// UpdatesOffered ends the order.
	UpdatesOffered struct {
		Gen     uint64
		At      time.Time
		Asked   int // plugins it was asked for; 0: there was nothing to ask (UP-01)
		Updates plugin.Updates
		Err     error // the database, the request after its retries, or the answer (UP-01, UP-03, UP-04)
	}
	// Upgrade orders the Upgrader to carry one offer out. The Coordinator sends
	// it when nobody else touches the plugin (UP-10).
	Upgrade struct {
		Gen   uint64
		Offer plugin.Change
	}
	// UpgradeCompleted ends the order.
	UpgradeCompleted struct {
		Gen       uint64
		At        time.Time
		Offer     plugin.Change
		TakenOver bool // by a registered update handler (UP-05)
		Upgraded  plugin.Changed
	}
)

// IgnoreDeadLetterLogging: a result may come after its receiver was stopped.
func (UpdatesOffered) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging: a result may come after its receiver was stopped.
func (UpgradeCompleted) IgnoreDeadLetterLogging() {}
