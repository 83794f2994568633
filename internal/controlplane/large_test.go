package controlplane

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/plugin"
)

// manyPlugins returns n installed plugins.
func manyPlugins(n int) (all []plugin.Plugin) {
	for i := range n {
		all = append(all, plugin.Plugin{Name: fmt.Sprintf("plugin-number-%05d", i), Version: "1.0.0", OS: "linux", Arch: "x64", Type: plugin.Persist})
	}
	return all
}

// CP-13: a host with 20,000 plugins is served, by each of the endpoints, within
// the time that a supervisor waits by default.
func TestHostWithManyPlugins(t *testing.T) {
	f, all := newFleet(t), manyPlugins(20_000)
	client, err := control.New(control.Config{URL: f.url, InstanceID: "large", Timeout: time.Minute}, logger.Silent())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	report := func(status plugin.Status) (r plugin.Report) {
		for _, p := range all {
			r.Entries = append(r.Entries, plugin.ReportEntry{Name: p.Name, Version: p.Version, Status: status})
		}
		return r
	}
	inventory, err := plugin.NewLocalListEvent(time.Now(), all, "x64", "linux")
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range []struct {
		what string
		do   func() error
	}{
		{"first report", func() error { _, err := client.Report(t.Context(), report(plugin.StatusRunning)); return err }},
		{"the same report", func() error { _, err := client.Report(t.Context(), report(plugin.StatusRunning)); return err }},
		{"another report", func() error { _, err := client.Report(t.Context(), report(plugin.StatusFailed)); return err }},
		{"update check", func() error { _, err := client.CheckUpdates(t.Context(), all); return err }},
		{"inventory", func() error { return client.Send(t.Context(), inventory) }},
	} {
		began := time.Now()
		if err := call.do(); err != nil {
			t.Errorf("%s: %v", call.what, err)
		}
		t.Logf("%s took %v", call.what, time.Since(began))
	}
	hosts, err := f.store.ListHosts(t.Context())
	if err != nil || len(hosts) != 1 || len(hosts[0].Plugins) != len(all) {
		t.Errorf("%d hosts, %v", len(hosts), err)
	}
	began := time.Now()
	code, page := f.sendRequest(http.MethodGet, "/", "", "")
	if code != 200 || len(page) > 100<<10 || !strings.Contains(page, "19980 more plugins are not shown here") {
		t.Errorf("page answered %d, %d bytes", code, len(page))
	}
	t.Logf("page took %v", time.Since(began))
}
