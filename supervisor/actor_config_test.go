package supervisor

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/actors"
	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/platform"
	"pluginsupervisor/plugin"
)

// actors.DefaultConfig, which the tests of actors use, equals the defaults of
// internal/config, but for the values of the host itself.
func TestActorDefaultsAreThoseOfTheConfiguration(t *testing.T) {
	about := plugin.Supervisor{Version: "1.0"}
	want := actors.DefaultConfig()
	want.LocalArch, want.LocalOS, want.About = platform.LocalArch(), platform.LocalOS(), about
	if diff := cmp.Diff(want, newActorConfig(config.Default(), about)); diff != "" {
		t.Errorf("actors.DefaultConfig (-) and newActorConfig of config.Default (+) differ:\n%s", diff)
	}
}

// newActorConfig passes on every value: none stays zero, and none is that of
// another key.
func TestActorConfigTakesEveryValue(t *testing.T) {
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
