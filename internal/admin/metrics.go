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

// MetricsHandler serves what monitoring asks for:
//
//	GET /metrics   Prometheus metrics, computed from a snapshot at each scrape
//	GET /healthz   200 while the supervisor answers within two seconds
//	GET /readyz    200 once it has scanned its plugins
//
// version is the supervisor's; what m counts is served with it.
func MetricsHandler(s Observed, version string, m *Meter) http.Handler {
	reg := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "supervisor_build_info",
		Help:        "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	reg.MustRegister(build, newCollector(s), m,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return routes([]route{
		{http.MethodGet, "/metrics", anyone, promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP},
		{http.MethodGet, "/healthz", anyone, healthz(s)},
		{http.MethodGet, "/readyz", anyone, readyz(s)},
	}, -1)
}

// healthy is the body of a good answer of /healthz and /readyz.
type healthy struct {
	Status string `json:"status"`
}

func healthz(s Observed) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
		defer cancel()
		if _, err := s.Status(ctx); err != nil {
			failAsk(w, err)
			return
		}
		reply(w, http.StatusOK, healthy{"ok"})
	}
}

func readyz(s Observed) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
		defer cancel()
		snapshot, err := s.Status(ctx)
		switch {
		case err != nil:
			failAsk(w, err)
		case !scanned(snapshot):
			fail(w, http.StatusServiceUnavailable, "not scanned yet")
		default:
			reply(w, http.StatusOK, healthy{"ok"})
		}
	}
}

// scanned tells whether a scan has ended. One is counted when it begins.
func scanned(s plugin.Snapshot) bool {
	running := slices.ContainsFunc(s.Timers, func(t plugin.Timer) bool { return t.Name == "scan" && t.Running })
	return s.Counters.Scans > 1 || s.Counters.Scans == 1 && !running
}
