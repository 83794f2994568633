package admin

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pluginsupervisor/plugin"
)

// Meter counts the supervisor's measured durations in histograms (EV-18). It is
// a collector of MetricsHandler.
type Meter struct {
	spans [len(plugin.Measures)]prometheus.Histogram
}

// NewMeter returns a meter with nothing counted.
func NewMeter() *Meter {
	m := &Meter{}
	for _, measure := range plugin.Measures {
		about := spans[measure]
		m.spans[measure] = prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "supervisor_" + measure.String() + "_seconds", Help: about.help, Buckets: about.buckets,
		})
	}
	return m
}

// Buckets in seconds: for kernel events, and for long operations.
var (
	quick = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5}
	slow  = []float64{.01, .05, .1, .5, 1, 5, 10, 30, 60, 300, 900, 3600}
)

var spans = [...]struct {
	help    string
	buckets []float64
}{
	plugin.MeasureDetection: {"From the exit of a plugin to the decision about it.", quick},
	plugin.MeasureRestart:   {"From the exit of a plugin until it runs again, waits included.", append(quick[:len(quick):len(quick)], 10, 30, 60, 300)},
	plugin.MeasureReportLag: {"From a change to the acknowledgement of its report by the control plane.", slow},
	plugin.MeasureScan:      {"Duration of a scan.", slow},
	plugin.MeasureUpgrade:   {"Duration of an upgrade.", slow},
}

// Observe counts one duration.
func (m *Meter) Observe(what plugin.Measure, took time.Duration) {
	m.spans[what].Observe(took.Seconds())
}

// Describe implements prometheus.Collector.
func (m *Meter) Describe(out chan<- *prometheus.Desc) {
	for _, s := range m.spans {
		s.Describe(out)
	}
}

// Collect implements prometheus.Collector.
func (m *Meter) Collect(out chan<- prometheus.Metric) {
	for _, s := range m.spans {
		s.Collect(out)
	}
}
