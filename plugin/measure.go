package plugin

// Measure names a duration that the supervisor measures of itself (EV-18).
type Measure uint8

// The measures.
const (
	MeasureDetection Measure = iota // from the exit event of a plugin to the decision
	MeasureRestart                  // from the exit event to the plugin running again, waits included
	MeasureReportLag                // from when a status became pending to its acknowledgement
	MeasureScan                     // a whole scan
	MeasureUpgrade                  // a whole upgrade
)

// Measures holds all measures, in the order of the constants.
var Measures = [...]Measure{MeasureDetection, MeasureRestart, MeasureReportLag, MeasureScan, MeasureUpgrade}

func (m Measure) String() string {
	return [...]string{"detection", "restart", "report_lag", "scan", "upgrade"}[m]
}
