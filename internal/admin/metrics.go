package admin

import (
	"context"
	"net/http"
	"runtime"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pluginsupervisor/plugin"
)

// MetricsHandler returns the handler for monitoring:
//
//	GET /metrics   Prometheus metrics, computed from a snapshot at each scrape
//	GET /healthz   200 while the supervisor answers within two seconds
//	GET /readyz    200 once it has scanned its plugins
//
// version is that of the supervisor. The histograms of m are included.
func MetricsHandler(s StatusSource, version string, m *Meter) http.Handler {
	reg := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "supervisor_build_info",
		Help:        "Always 1; the labels hold the versions.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	reg.MustRegister(build, newCollector(s), m,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return newMux([]route{
		{http.MethodGet, "/metrics", anyClient, promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP},
		{http.MethodGet, "/healthz", anyClient, serveHealth(s)},
		{http.MethodGet, "/readyz", anyClient, serveReadiness(s)},
	}, -1)
}

// healthBody is the body of a 200 answer of /healthz and /readyz.
type healthBody struct {
	Status string `json:"status"`
}

func serveHealth(s StatusSource) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		if _, err := s.Status(ctx); err != nil {
			writeNoAnswer(w, err)
			return
		}
		writeJSON(w, http.StatusOK, healthBody{"ok"})
	}
}

func serveReadiness(s StatusSource) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		snapshot, err := s.Status(ctx)
		switch {
		case err != nil:
			writeNoAnswer(w, err)
		case !hasScanned(snapshot):
			writeError(w, http.StatusServiceUnavailable, "the first scan is not complete")
		default:
			writeJSON(w, http.StatusOK, healthBody{"ok"})
		}
	}
}

// hasScanned reports whether a scan has completed. A scan is counted at its start.
func hasScanned(s plugin.Snapshot) bool {
	running := slices.ContainsFunc(s.Timers, func(t plugin.Timer) bool { return t.Name == "scan" && t.Running })
	return s.Counters.Scans > 1 || s.Counters.Scans == 1 && !running
}
