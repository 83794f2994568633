package supervisor

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/actors"
	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/platform"
	"pluginsupervisor/plugin"
)

// The actors are tested with the defaults that a host runs with: those of
// internal/config, field by field. What the host itself says is not a default.
func TestActorsAreTestedWithTheDefaultsOfTheConfiguration(t *testing.T) {
	about := plugin.Supervisor{Version: "1.0"}
	want := actors.DefaultConfig()
	want.LocalArch, want.LocalOS, want.About = platform.LocalArch(), platform.LocalOS(), about
	if diff := cmp.Diff(want, newActorConfig(config.Default(), about)); diff != "" {
		t.Errorf("actors.DefaultConfig (-) and config.Default as it is wired (+) differ:\n%s", diff)
	}
}

// Every key of the configuration that the actors need reaches them: no value
// is left at zero, and none is the default of another.
func TestPolicyTakesEveryValue(t *testing.T) {
	var cfg config.Config
	cfg.Intervals = plugin.Intervals{Scan: 1, Pull: 2, Update: 3, Inventory: 4}
	cfg.FirstRun = config.FirstRun{Scan: 5, Pull: 6, Update: 7, Inventory: 8, Jitter: 9}
	cfg.AvoidWindow = 10
	cfg.Restart = config.Restart{
		Stagger: 11, Parallel: 12, BackoffInitial: 13, BackoffMax: 14, HealthyAfter: 15, OnHang: true, Burst: 16, Rate: 17, KillGrace: 18,
	}
	cfg.Manager = "/usr/bin/acs-plugin-manager"
	want := actors.Config{
		Intervals:   cfg.Intervals,
		FirstRun:    actors.FirstRun{Scan: 5, Pull: 6, Update: 7, Inventory: 8, Jitter: 9},
		AvoidWindow: 10,
		Restart: actors.RestartPolicy{
			Stagger: 11, Parallel: 12, BackoffInitial: 13, BackoffMax: 14, HealthyAfter: 15, OnHang: true, OncePerScan: true, Burst: 16, Rate: 17,
		},
		LocalArch: platform.LocalArch(), LocalOS: platform.LocalOS(),
	}
	if diff := cmp.Diff(want, newActorConfig(cfg, plugin.Supervisor{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
