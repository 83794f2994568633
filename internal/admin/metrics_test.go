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

func getPage(t *testing.T, h http.Handler, path string) (code int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestMetrics(t *testing.T) {
	code, body := getPage(t, MetricsHandler(fakeSupervisor{snapshot: sampleSnapshot()}, "1.2.3", NewMeter()), "/metrics")
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

// An unknown value is left out: a zero would look like good news.
func TestMetricsOfASupervisorThatDoesNotAnswer(t *testing.T) {
	_, body := getPage(t, MetricsHandler(fakeSupervisor{err: errFailed}, "1", NewMeter()), "/metrics")
	if !strings.Contains(body, "\nsupervisor_up 0\n") || strings.Contains(body, "supervisor_problems") {
		t.Errorf("got:\n%s", body)
	}
}

// Every field of plugin.Counters is a metric. A new counter without a metric
// fails this test.
func TestEveryCounterIsAMetric(t *testing.T) {
	counters := reflect.TypeFor[plugin.Counters]()
	for i := range counters.NumField() {
		var s plugin.Snapshot
		reflect.ValueOf(&s.Counters).Elem().Field(i).SetUint(41)
		n := 0
		for _, m := range newCollector(fakeSupervisor{}).single {
			if m.value(s) == 41 {
				n++
			}
		}
		if n != 1 {
			t.Errorf("counter %s has %d metrics, want 1", counters.Field(i).Name, n)
		}
	}
}

func TestMetricsFollowNamingRules(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(newCollector(fakeSupervisor{snapshot: sampleSnapshot()}))
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
		fake            fakeSupervisor
		healthz, readyz int
	}{
		"all well":        {fakeSupervisor{snapshot: sampleSnapshot()}, 200, 200},
		"not scanned yet": {fakeSupervisor{snapshot: unscanned}, 200, 503},
		"first scan done": {fakeSupervisor{snapshot: first}, 200, 200},
		"first scan runs": {fakeSupervisor{snapshot: scanning}, 200, 503},
		"failed":          {fakeSupervisor{err: errFailed}, 503, 503},
		"stuck":           {fakeSupervisor{stuck: true}, 503, 503},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := MetricsHandler(c.fake, "1", NewMeter())
			if code, body := getPage(t, h, "/healthz"); code != c.healthz {
				t.Errorf("/healthz: %d %s, want %d", code, body, c.healthz)
			}
			if code, body := getPage(t, h, "/readyz"); code != c.readyz {
				t.Errorf("/readyz: %d %s, want %d", code, body, c.readyz)
			}
		})
	}
	if code, _ := getPage(t, MetricsHandler(fakeSupervisor{}, "1", NewMeter()), "/v1/status"); code != http.StatusNotFound {
		t.Errorf("/v1/status on the metrics address: status %d, want 404", code)
	}
}
