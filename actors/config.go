package actors

import (
	"math/rand/v2"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/plugin"
)

// Config is the policy the Coordinator decides by. The configuration of the
// process fills it (docs/configuration.md).
type Config struct {
	Intervals   plugin.Intervals
	FirstRun    FirstRun
	AvoidWindow time.Duration // a pull keeps this far away from the scans around it (PL-01, PL-02)
	Restart     RestartPolicy
	LocalArch   string // of the host, in the words of the wire
	LocalOS     string
	About       plugin.Supervisor // shown by status
	// UnenforcedLimits are, by plugin, the limits that are configured and cannot be
	// enforced, each with why; shown by status (EV-17).
	UnenforcedLimits map[string][]string
	// UnfinishedChanges are the upgrades that an earlier life left, to be resumed.
	UnfinishedChanges []plugin.Change
}

// FirstRun is when each period is due for the first time: its value + a
// random part of Jitter (SPEC 4, TM-05).
type FirstRun struct {
	Scan, Pull, Update, Inventory time.Duration
	Jitter                        time.Duration
}

// RestartPolicy says how plugins are brought back.
type RestartPolicy struct {
	Stagger        time.Duration // a first restart waits a random part of it (RS-01)
	Parallel       int           // starts at once (RS-03)
	BackoffInitial time.Duration // before the first repeated restart (RS-05)
	BackoffMax     time.Duration // between any two
	HealthyAfter   time.Duration // a plugin seen running this long after its start is healthy (RS-05)
	OnHang         bool          // restart a plugin that runs but does not beat (PL-17)
	OncePerScan    bool          // start a plugin whose `--status` does not return at most once a scan: what is left of it is not known
	Burst          int           // restarts the whole host may make at once (EV-13) …
	Rate           float64       // … and a second after that; 0: no bound
}

// DefaultConfig is the configuration of SPEC 4 and of a supervisor that nobody configured.
func DefaultConfig() Config {
	return Config{
		Intervals:   plugin.Intervals{Scan: 15 * time.Minute, Pull: 5 * time.Minute, Update: 30 * time.Minute, Inventory: 24 * time.Hour},
		FirstRun:    FirstRun{Pull: time.Minute, Inventory: 3 * time.Minute, Jitter: time.Minute},
		AvoidWindow: time.Minute,
		Restart: RestartPolicy{
			Stagger: 10 * time.Second, Parallel: 8,
			BackoffInitial: time.Second, BackoffMax: 5 * time.Minute, HealthyAfter: time.Minute, OnHang: true,
			Burst: 200, Rate: 20,
		},
	}
}

// Ports is what the actors work with.
type Ports struct {
	Manager         Manager
	Heartbeats      Heartbeats
	Watcher         Watcher         // may be nil: ends are found by scan and heartbeat only (EV-04)
	HeartbeatEvents HeartbeatEvents // may be nil: heartbeats are found by pulls only
	OtherPrograms   OtherPrograms   // may be nil: what other programs do is found by scan only
	Meter           Meter           // may be nil
	ControlPlane    ControlPlane
	Memory          Memory
	Clock           Clock
	Rand            *rand.Rand           // every stagger and jitter comes from it: a seed replays a run
	Log             *logrus.Logger       //
	UpdateHandler   plugin.UpdateHandler // may be nil (UP-05)
}
