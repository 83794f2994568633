package messages

import (
	"time"

	"pluginsupervisor/plugin"
)

type (
	// CollectInventory orders the Inventory to list what is installed.
	CollectInventory struct{ Gen uint64 }
	// InventoryCollected ends the order.
	InventoryCollected struct {
		Gen  uint64
		At   time.Time
		List plugin.List
		Err  error
	}
)

// IgnoreDeadLetterLogging: a result may come after its receiver was stopped.
func (InventoryCollected) IgnoreDeadLetterLogging() {}
