package messages

import (
	"time"

	"pluginsupervisor/plugin"
)

type (
	// Scan orders the Scanner to list the installed plugins and to run `--status`
	// of every Persist plugin, or of those in Only (by plugin.Key). Orders may
	// overlap: a plugin whose `--status` of an earlier order still runs is left out
	// of a later one, and its result has the number of the earlier order.
	Scan struct {
		Gen  uint64
		Only []string
	}
	// ScanProgressed holds the results so far while slow probes still run, so that a
	// hung one does not delay the reports of other plugins (SC-09).
	ScanProgressed struct {
		Gen    uint64
		At     time.Time
		List   plugin.List // read when the order began; the same in each message of an order
		Probes []plugin.Probe
		// Slow reports whether the remaining probes take so long that the scan counts
		// as finished without them (TM-01).
		Slow bool
	}
	// ScanCompleted completes the order and holds the remaining results.
	ScanCompleted struct {
		Gen    uint64
		At     time.Time
		Listed bool // false: the plugin database could not be read, Err says why (SC-02)
		List   plugin.List
		Probes []plugin.Probe
		Err    error // with Listed: the probing as a whole failed; the results in Probes count (SC-11)
	}
)

// IgnoreDeadLetterLogging marks the message, see ClockStepped.
func (ScanProgressed) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging marks the message, see ClockStepped.
func (ScanCompleted) IgnoreDeadLetterLogging() {}
