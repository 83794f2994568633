package plugin

// Measure is a span of time the supervisor measures of itself (EV-18).
type Measure uint8

// The measures.
const (
	MeasureDetection Measure = iota // from the kernel's word that a plugin ended to the decision
	MeasureRestart                  // from that word to the plugin running again, waits included
	MeasureReportLag                // from when something was owed to its acknowledgement
	MeasureScan                     // a whole scan
	MeasureUpgrade                  // a whole upgrade
)

// Measures is the closed list, in the order of the constants.
var Measures = [...]Measure{MeasureDetection, MeasureRestart, MeasureReportLag, MeasureScan, MeasureUpgrade}

func (m Measure) String() string {
	return [...]string{"detection", "restart", "report_lag", "scan", "upgrade"}[m]
}
