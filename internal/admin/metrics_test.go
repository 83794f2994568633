package admin

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"pluginsupervisor/plugin"
)

func get(t *testing.T, h http.Handler, path string) (code int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestMetrics(t *testing.T) {
	code, body := get(t, MetricsHandler(fake{snapshot: sampleSnapshot()}, "1.2.3", NewMeter()), "/metrics")
	if code != http.StatusOK {
		t.Fatalf("%d: %s", code, body)
	}
	for _, line := range []string{
		`supervisor_up 1`,
		`supervisor_plugin_state{plugin="hello",state="running"} 2`,
		`supervisor_plugin_state{plugin="crash",state="crash-loop"} 1`,
		`supervisor_plugin_restarts_total{plugin="hello"} 4`,
		`supervisor_plugin_heartbeat_timestamp_seconds{plugin="hello"} 1.772334e+09`,
		`supervisor_damaged_records 1`, // ST-06
		`supervisor_problems 1`,
		`supervisor_plugins_weakly_verified 1`,
		`supervisor_versions_refused 1`,
		`supervisor_reports_owed 2`,
		`supervisor_events_owed 1`,
		`supervisor_scans_total 3`,
	} {
		if !strings.Contains(body, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	for _, prefix := range []string{`supervisor_build_info{goversion="go`, "go_goroutines ", "process_open_fds "} {
		if !strings.Contains(body, "\n"+prefix) {
			t.Errorf("no line %s…", prefix)
		}
	}
}

// What cannot be known is not told: no zero that reads like good news.
func TestMetricsOfASupervisorThatDoesNotAnswer(t *testing.T) {
	_, body := get(t, MetricsHandler(fake{err: errSick}, "1", NewMeter()), "/metrics")
	if !strings.Contains(body, "\nsupervisor_up 0\n") || strings.Contains(body, "supervisor_problems") {
		t.Errorf("got:\n%s", body)
	}
}

// Every counter of the domain is a metric: one that is added there and
// forgotten here fails this test.
func TestEveryCounterIsAMetric(t *testing.T) {
	counters := reflect.TypeFor[plugin.Counters]()
	for i := range counters.NumField() {
		var s plugin.Snapshot
		reflect.ValueOf(&s.Counters).Elem().Field(i).SetUint(41)
		n := 0
		for _, m := range newCollector(fake{}).single {
			if m.value(s) == 41 {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s is told by %d metrics", counters.Field(i).Name, n)
		}
	}
}

func TestMetricsKeepTheConventions(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(newCollector(fake{snapshot: sampleSnapshot()}))
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestHealthAndReadiness(t *testing.T) {
	unscanned := sampleSnapshot()
	unscanned.Counters.Scans = 0
	first := sampleSnapshot()
	first.Counters.Scans = 1
	scanning := first
	scanning.Timers = []plugin.Timer{{Name: "scan", Running: true}}
	for name, c := range map[string]struct {
		fake            fake
		healthz, readyz int
	}{
		"all well":        {fake{snapshot: sampleSnapshot()}, 200, 200},
		"not scanned yet": {fake{snapshot: unscanned}, 200, 503},
		"first scan done": {fake{snapshot: first}, 200, 200},
		"first scan runs": {fake{snapshot: scanning}, 200, 503},
		"sick":            {fake{err: errSick}, 503, 503},
		"stuck":           {fake{stuck: true}, 503, 503},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := MetricsHandler(c.fake, "1", NewMeter())
			if code, body := get(t, h, "/healthz"); code != c.healthz {
				t.Errorf("/healthz: %d %s", code, body)
			}
			if code, body := get(t, h, "/readyz"); code != c.readyz {
				t.Errorf("/readyz: %d %s", code, body)
			}
		})
	}
	if code, _ := get(t, MetricsHandler(fake{}, "1", NewMeter()), "/v1/status"); code != http.StatusNotFound {
		t.Errorf("the plugins are told to everybody: %d", code)
	}
}
