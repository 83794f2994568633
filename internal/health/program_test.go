package health

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/shim"
	"pluginsupervisor/plugin"
)

// shimKey is the variable that makes the test binary the shim.
const shimKey = "HEALTH_TEST_SHIM"

func TestMain(m *testing.M) {
	if os.Getenv(shimKey) != "" {
		os.Exit(shim.Main(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// unpack returns a root with a plugin that has this service.yaml.
func unpack(t *testing.T, yaml string) (root string, p plugin.Plugin) {
	t.Helper()
	root, p = t.TempDir(), newPlugin("p")
	dir := filepath.Join(root, "plugin", "p", "1.0")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "service.yaml"), []byte(yaml), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(os.Args[0], filepath.Join(dir, plugin.Shim)); err != nil {
		t.Fatal(err)
	}
	return root, p
}

// AP-05: the check of a service.yaml runs in this process or, as a command, in the
// environment of the program.
func TestChecks(t *testing.T) {
	t.Setenv(shimKey, "1")
	tests := map[string]struct{ yaml, fails string }{
		"command passes": {`[/bin/sh, -c, 'test "$GREETING $PLUGIN_CHECK" = "hello 1" && test "$PWD" = "$PLUGIN_DIR"']`, ""},
		"command fails":  {`[/bin/sh, -c, 'echo first; echo no connection >&2; exit 3']`, "exit 3: no connection"},
		"command hangs":  {`[/bin/sleep, 100]`, "/bin/sleep 100: no answer in 300ms"},
		"no command":     {`[bin/absent]`, "does not exist"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			timeout := "20s" // the shim is a test binary, which begins slowly
			if name == "command hangs" {
				timeout = "300ms"
			}
			root, p := unpack(t, "command: [/bin/sleep, 100]\nenvironment: {GREETING: hello}\nhealth: {timeout: "+timeout+", command: "+tt.yaml+"}\n")
			c, err := programs{root, process.NewRunner(process.Options{Grace: time.Second})}.load(p)
			if err != nil {
				t.Fatal(err)
			}
			err = c.run(t.Context())
			if tt.fails == "" && err != nil || tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)) {
				t.Errorf("error %v, want %q", err, tt.fails)
			}
		})
	}
}

// AP-05: a program whose address answers, fails and answers again.
func TestCheckerWithServer(t *testing.T) {
	var sick atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if sick.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	root, p := unpack(t, fmt.Sprintf("command: [/bin/sleep, 100]\nhealth: {http: %q, interval: 100ms, failures: 2}\n", server.URL))
	c := New(Options{Root: root, Runner: process.NewRunner(process.Options{})})
	c.Watch(p, 1)
	events := make(chan plugin.HealthEvent, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Follow(ctx, func(e plugin.HealthEvent) { events <- e }) }()
	next := func() plugin.HealthEvent {
		t.Helper()
		select {
		case e := <-events:
			return e
		case <-time.After(20 * time.Second):
			t.Fatal("no event in 20s")
			return plugin.HealthEvent{}
		}
	}
	if e := next(); e.Failed {
		t.Errorf("%+v, want passed", e)
	}
	sick.Store(true)
	if e := next(); !e.Failed || !strings.Contains(e.Cause, "answered 500") {
		t.Errorf("%+v, want failed", e)
	}
	sick.Store(false)
	for e := next(); e.Failed; e = next() {
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
