package native

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"pluginsupervisor/internal/hostfault"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/plugin"
)

// faultyHost runs commands, except those that it makes fail.
type faultyHost struct {
	Runner
	mu    sync.Mutex
	fails []string // verbs
	times int      // how often; 0: always
}

func (h *faultyHost) Run(ctx context.Context, c process.Command) process.Result {
	h.mu.Lock()
	fails := slices.Contains(h.fails, c.Args[0])
	if fails && h.times > 0 {
		if h.times--; h.times == 0 {
			h.fails = nil
		}
	}
	h.mu.Unlock()
	if fails {
		return process.Result{ExitCode: -1, Err: hostfault.New("cannot start: resource temporarily unavailable")}
	}
	return h.Runner.Run(ctx, c)
}

func (h *faultyHost) fail(times int, verbs ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fails, h.times = verbs, times
}

// EV-24: no operation kills a healthy plugin whose `--status` the host cannot run.
func TestHostFaultKillsNothing(t *testing.T) {
	withEachWatchMethod(t, func(t *testing.T, b *fixture) {
		host := &faultyHost{Runner: b.runner}
		b.Manager.runner = host
		p := b.install("p", "1.0", daemonByFile, "1")
		if got := b.Start(t.Context(), p); got.Err != nil || len(got.Processes) == 0 {
			t.Fatalf("started: %+v", got)
		}
		b.touch("plugin/p/1.0/running")
		before := b.listProcesses()
		time.Sleep(1100 * time.Millisecond) // it is older than its deadline: a failed --status would kill it
		checkUnhurt := func(t *testing.T, got plugin.Outcome) {
			t.Helper()
			if !got.HostFault {
				t.Errorf("outcome %+v", got)
			}
			if after := b.listProcesses(); len(after) == 0 || after[0] != before[0] {
				t.Errorf("ran as %+v, runs as %+v", before, after)
			}
		}
		host.fail(0, "--status")
		t.Run("probe", func(t *testing.T) {
			var got []plugin.Probe
			if err := b.Probe(t.Context(), []plugin.Plugin{p}, func(p plugin.Probe) { got = append(got, p) }); err != nil {
				t.Error(err)
			}
			if len(got) != 1 || got[0].Status != plugin.StatusUnknown || !got[0].HostFault || got[0].Cause == "" {
				t.Errorf("probes %+v", got)
			}
		})
		t.Run("start", func(t *testing.T) { checkUnhurt(t, b.Start(t.Context(), p)) })
		host.fail(0, "--status", "--stop", "--start")
		t.Run("stop", func(t *testing.T) { checkUnhurt(t, b.Stop(t.Context(), p)) })
		t.Run("restart", func(t *testing.T) { checkUnhurt(t, b.Restart(t.Context(), p)) })
	})
}

// EV-24: in an upgrade, a verb that the host cannot run for a moment is retried; the
// new version is not blamed.
func TestHostFaultInUpgrade(t *testing.T) {
	for _, verb := range []string{"--stop", "--upgrade", "--start"} {
		t.Run("EV-24 "+verb, func(t *testing.T) {
			b := newFixture(t, func(o *Options) { o.Quarantine = time.Hour })
			host := &faultyHost{Runner: b.runner}
			b.Manager.runner = host
			old := b.install("p", "1.0", okScript, "20")
			if got := b.Start(t.Context(), old); got.Err != nil {
				t.Fatal(got.Err)
			}
			b.unpack("p", "2.0", `[ "$1" = --upgrade ] && exit 0`+okScript, "")
			host.fail(1, verb)
			got := b.fetchAndChange(t.Context(), plugin.Change{Name: "p", Version: "2.0"}, plugin.ChangePermit{})
			if got.Err != nil || got.Plugin.Version != "2.0" || got.Status != plugin.StatusRunning {
				t.Errorf("changed: %+v", got)
			}
			if bans, err := b.ListQuarantined(); err != nil || len(bans) > 0 {
				t.Errorf("quarantine %v, %v", bans, err)
			}
		})
	}
}
