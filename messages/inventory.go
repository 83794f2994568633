package messages

import (
	"time"

	"pluginsupervisor/plugin"
)

type (
	// CollectInventory orders the Inventory to list what is installed.
	CollectInventory struct{ Gen uint64 }
	// InventoryCollected completes the order.
	InventoryCollected struct {
		Gen  uint64
		At   time.Time
		List plugin.List
		Err  error
	}
)

// IgnoreDeadLetterLogging marks the message, see ClockStepped.
func (InventoryCollected) IgnoreDeadLetterLogging() {}
