package messages

import (
	"time"

	"pluginsupervisor/plugin"
)

type (
	// Scan orders the Scanner to list what is installed and to run `--status`
	// of every Persist plugin, or only of those named in Only (by plugin.Key).
	// Orders may overlap: a plugin whose `--status` has not answered an earlier
	// order is left out of a later one, and its answer comes with the number of
	// the order that asked.
	Scan struct {
		Gen  uint64
		Only []string
	}
	// ScanProgressed hands over what has answered while slow probes still
	// run, so that a hung one delays no other plugin's report (SC-09).
	ScanProgressed struct {
		Gen    uint64
		At     time.Time
		List   plugin.List // as it was read when the order began; the same in each message of an order
		Probes []plugin.Probe
		// Slow reports that the plugins that have not answered have been asked
		// for long: the scan is over but for them (TM-01).
		Slow bool
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

// IgnoreDeadLetterLogging: a result may come after its receiver was stopped.
func (ScanProgressed) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging: a result may come after its receiver was stopped.
func (ScanCompleted) IgnoreDeadLetterLogging() {}
