package native

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pluginsupervisor/internal/process"
	"pluginsupervisor/plugin"
)

// frozenRunner runs nothing, and does not return for the plugin frozen until it thaws.
type frozenRunner struct {
	thaw  chan struct{}
	asked atomic.Int32
}

func (f *frozenRunner) Run(_ context.Context, c process.Command) process.Result {
	if c.Plugin == "frozen" {
		f.asked.Add(1)
		<-f.thaw
	}
	return process.Result{}
}

// SC-09, EV-24: a `--status` that nobody can end, as one on a file system that
// does not answer, says nothing about its plugin; it holds up neither the scan nor the next one, and does not pile up.
func TestProbeThatCannotBeEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runner := &frozenRunner{thaw: make(chan struct{})}
		m := New(Options{Root: t.TempDir(), Runner: runner})
		var ps []plugin.Plugin
		for _, name := range []string{"frozen", "fine"} {
			p := plugin.Plugin{Name: name, Version: "1", RunPath: "run", Type: plugin.Persist, Timeout: 2 * time.Second}
			ps = append(ps, p)
			path := filepath.Join(m.versionFolder(p.Name, p.Version), p.RunPath)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o755)); err != nil {
				t.Fatal(err)
			}
		}
		scan := func() map[string]plugin.Probe {
			got := map[string]plugin.Probe{}
			if err := m.Probe(t.Context(), ps, func(p plugin.Probe) { got[p.Plugin.Name] = p }); err != nil {
				t.Fatal(err)
			}
			return got
		}
		for round := range 3 {
			began := time.Now()
			got := scan()
			if got["fine"].Status != plugin.StatusRunning {
				t.Errorf("round %d: fine is %v", round, got["fine"].Status)
			}
			if f := got["frozen"]; f.Status != plugin.StatusUnknown || !f.HostFault || !strings.Contains(f.Cause, "cannot be ended") {
				t.Errorf("round %d: frozen is %v: %s", round, f.Status, f.Cause)
			}
			if took := time.Since(began); took > 2*time.Second+DefaultGrace+unkillableGrace {
				t.Errorf("round %d took %v", round, took)
			}
		}
		if n := runner.asked.Load(); n != 1 {
			t.Errorf("%d processes piled up", n)
		}
		close(runner.thaw)
		synctest.Wait()
		if got := scan(); got["frozen"].Status != plugin.StatusRunning {
			t.Errorf("after it thawed: %v", got["frozen"].Status)
		}
	})
}
