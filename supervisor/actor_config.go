package supervisor

import (
	"pluginsupervisor/actors"
	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/platform"
	"pluginsupervisor/plugin"
)

// newActorConfig returns the configuration of the actors. With an external manager
// a plugin is started at most once a scan.
func newActorConfig(cfg config.Config, about plugin.Supervisor) actors.Config {
	f, r := cfg.FirstRun, cfg.Restart
	return actors.Config{
		Intervals:   cfg.Intervals,
		FirstRun:    actors.FirstRun{Scan: f.Scan, Pull: f.Pull, Update: f.Update, Inventory: f.Inventory, Jitter: f.Jitter},
		AvoidWindow: cfg.AvoidWindow,
		Restart: actors.RestartPolicy{
			Stagger: r.Stagger, Parallel: r.Parallel, BackoffInitial: r.BackoffInitial, BackoffMax: r.BackoffMax,
			HealthyAfter: r.HealthyAfter, OnHang: r.OnHang, OncePerScan: cfg.Manager != config.ManagerNative,
			Burst: r.Burst, Rate: float64(r.Rate),
		},
		LocalArch: platform.LocalArch(), LocalOS: platform.LocalOS(), About: about,
	}
}
