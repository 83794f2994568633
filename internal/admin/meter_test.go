package admin

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/plugin"
)

// EV-18: the supervisor's measured durations are served as histograms.
func TestMeter(t *testing.T) {
	m := NewMeter()
	for _, measure := range plugin.Measures {
		m.Observe(measure, 3*time.Millisecond)
	}
	w := httptest.NewRecorder()
	MetricsHandler(fakeSupervisor{}, "1.2.3", m).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text := w.Body.String()
	for _, want := range []string{
		`supervisor_detection_seconds_bucket{le="0.005"} 1`, `supervisor_detection_seconds_bucket{le="0.0025"} 0`,
		"supervisor_restart_seconds_count 1", "supervisor_report_lag_seconds_count 1", "supervisor_scan_seconds_sum 0.003",
		"supervisor_upgrade_seconds_count 1", `supervisor_build_info{goversion=`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}
