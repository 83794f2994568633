package messages

import (
	"time"

	"pluginsupervisor/plugin"
)

type (
	// Scan orders the Scanner to list what is installed and to run `--status`
	// of every Persist plugin, or only of those named in Only (by plugin.Key).
	Scan struct {
		Gen  uint64
		Only []string
	}
	// ScanProgressed hands over what has answered while slow probes still
	// run, so that a hung one delays nobody else's report (SC-09).
	ScanProgressed struct {
		Gen    uint64
		At     time.Time
		List   plugin.List
		Probes []plugin.Probe
	}
	// ScanCompleted ends the order and hands over the rest of the probes.
	ScanCompleted struct {
		Gen    uint64
		At     time.Time
		Listed bool // false: the plugin database could not be read, Err says why (SC-02)
		List   plugin.List
		Probes []plugin.Probe
		Err    error // with Listed: the probing as a whole failed; the probes that are here count (SC-11)
	}
)

type (
	// Pull orders the Puller to read the heartbeats of all Persist plugins.
	Pull struct{ Gen uint64 }
	// PullCompleted ends the order. A heartbeat that is missing or unreadable is a value (PL-06, PL-07).
	PullCompleted struct {
		Gen   uint64
		At    time.Time // what "now" was for the beats
		List  plugin.List
		Beats []plugin.Beat
		Err   error // the plugin database could not be read (PL-04)
	}
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
func (ScanProgressed) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging: a result may come after its receiver was stopped.
func (ScanCompleted) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging: a result may come after its receiver was stopped.
func (PullCompleted) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging: a result may come after its receiver was stopped.
func (InventoryCollected) IgnoreDeadLetterLogging() {}
