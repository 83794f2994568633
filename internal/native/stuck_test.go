package native

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pluginsupervisor/internal/process"
	"pluginsupervisor/plugin"
)

// SC-09: a `--status` that nobody can end, as one on a file system that does
// not answer, holds up neither the scan nor the next one, and does not pile up.
func TestProbeThatCannotBeEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(Options{Root: t.TempDir(), Runner: process.NewRunner(process.Options{})})
		thaw := make(chan struct{})
		var asked atomic.Int32
		m.status = func(_ context.Context, o order) process.Result {
			if o.plugin.Name == "frozen" {
				asked.Add(1)
				<-thaw
			}
			return process.Result{}
		}
		ps := []plugin.Plugin{
			{Name: "frozen", Version: "1", Type: plugin.Persist, Timeout: 2 * time.Second},
			{Name: "fine", Version: "1", Type: plugin.Persist, Timeout: 2 * time.Second},
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
			if f := got["frozen"]; f.Status != plugin.StatusFailed || !strings.Contains(f.Cause, "cannot be ended") {
				t.Errorf("round %d: frozen is %v: %s", round, f.Status, f.Cause)
			}
			if took := time.Since(began); took > 2*time.Second+DefaultGrace+unkillable {
				t.Errorf("round %d took %v", round, took)
			}
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("%d processes piled up", n)
		}
		close(thaw)
		synctest.Wait()
		if got := scan(); got["frozen"].Status != plugin.StatusRunning {
			t.Errorf("after it thawed: %v", got["frozen"].Status)
		}
	})
}
