package actors

import (
	"math/rand/v2"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/plugin"
)

// Config holds the settings of the actors, from the configuration of the process
// (docs/configuration.md).
type Config struct {
	Intervals   plugin.Intervals
	FirstRun    FirstRun
	AvoidWindow time.Duration // least time between a pull and a scan (PL-01, PL-02)
	Restart     RestartPolicy
	LocalArch   string // of the host, as on the wire
	LocalOS     string
	About       plugin.Supervisor // shown by status
	// UnenforcedLimits holds, by plugin, the configured limits that cannot be
	// enforced, each with the reason; shown by status (EV-17).
	UnenforcedLimits map[string][]string
	// UnfinishedChanges are the changes that an earlier process did not finish. They
	// are resumed.
	UnfinishedChanges []plugin.Change
}

// FirstRun holds the time from the start to the first run of each period: its value
// plus a random part of Jitter (SPEC 4, TM-05).
type FirstRun struct {
	Scan, Pull, Update, Inventory time.Duration
	Jitter                        time.Duration
}

// RestartPolicy holds the settings of restarts.
type RestartPolicy struct {
	Stagger        time.Duration // a first restart waits a random part of it (RS-01)
	Parallel       int           // starts at once (RS-03)
	BackoffInitial time.Duration // before the first repeated restart (RS-05)
	BackoffMax     time.Duration // between any two
	HealthyAfter   time.Duration // a plugin seen running this long after its start is healthy (RS-05)
	OnHang         bool          // restart a plugin that runs without heartbeats (PL-17)
	OncePerScan    bool          // start a plugin whose `--status` does not return at most once a scan: it may be running
	Burst          int           // restarts the whole host may make at once (EV-13) …
	Rate           float64       // … and a second after that; 0: no limit
}

// DefaultConfig returns the defaults of SPEC 4.
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

// Ports holds the ports of the actors.
type Ports struct {
	Manager         Manager
	Heartbeats      Heartbeats
	Watcher         Watcher         // may be nil: exits are found by scan and heartbeat only (EV-04)
	HeartbeatEvents HeartbeatEvents // may be nil: heartbeats are found by pulls only
	OtherPrograms   OtherPrograms   // may be nil: the work of other programs is found by scan only
	Meter           Meter           // may be nil
	ControlPlane    ControlPlane
	Memory          Memory
	Clock           Clock
	Rand            *rand.Rand // source of every stagger and jitter: a seed replays a run
	Log             *logrus.Logger
	UpdateHandler   plugin.UpdateHandler // may be nil (UP-05)
}
