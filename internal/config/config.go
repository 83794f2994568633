package config

import (
	"net/url"
	"time"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/pkgcheck"
	"pluginsupervisor/internal/service"
	"pluginsupervisor/internal/yamlfile"
	"pluginsupervisor/plugin"
)

// DefaultFile is the file that is read when none is named; it need not exist.
const DefaultFile = "/etc/supervisor/supervisor.yaml"

// ManagerNative is the value of Config.Manager for the manager inside this process.
const ManagerNative = "native"

// Config holds the values of all keys. The table of keys and
// docs/configuration.md describe their meaning and bounds.
type Config struct {
	Root         string // BASE
	InstanceID   string // "" for the one that the function InstanceID returns
	ControlPlane ControlPlane
	Manager      string // ManagerNative, or the path of an acs-plugin-manager program
	Intervals    plugin.Intervals
	FirstRun     FirstRun
	AvoidWindow  time.Duration
	Probe        Probe
	Restart      Restart
	Upgrade      Upgrade
	Install      Install
	Logs         Logs
	Plugins      map[string]Plugin
	Log          Log
	Admin        Admin
	Metrics      Metrics

	origins map[string]string // where a key was set, by name; no entry for defaults
}

// ControlPlane holds the address of the control plane and the credentials for it.
type ControlPlane struct {
	URL                                  string
	Timeout                              time.Duration // of one request
	TokenFile, CAFile, CertFile, KeyFile string        // "" for none

	// Set by the environment of the existing product, by no key (CL-19).
	HostCAs bool     // trust the certificate authorities of the host beside those of CAFile
	Proxy   *url.URL // nil for that of the environment
}

// FirstRun holds the delay until each timer fires for the first time, without a
// random time of at most Jitter.
type FirstRun struct {
	Scan, Pull, Update, Inventory, Jitter time.Duration
}

// Probe bounds the `--status` runs of a scan.
type Probe struct {
	Parallel int // 0 means twice the CPUs, within 4–32
}

// Restart holds the rules by which plugins that do not run are restarted.
type Restart struct {
	Stagger        time.Duration
	Parallel       int
	BackoffInitial time.Duration
	BackoffMax     time.Duration
	HealthyAfter   time.Duration
	OnHang         bool
	Burst, Rate    int // budget of all plugins: restarts in a burst, and per second
	KillGrace      time.Duration
}

// Upgrade holds the rules for new versions.
type Upgrade struct {
	Prove          time.Duration
	AllowDowngrade bool
	RequireSHA256  bool
	TrustedKeys    []string
	Quarantine     time.Duration
	Hook           []string // command and arguments that may handle an update itself; empty for none
	HookTimeout    time.Duration
}

// Install bounds packages and their downloads.
type Install struct {
	MaxSize      yamlfile.Size
	MaxEntries   int
	MaxRatio     int
	Stall        time.Duration
	MinRate      yamlfile.Size // per second
	FetchTimeout time.Duration
	Tries        int // of a download without progress; set by no key; 0 for the default of internal/install/fetch
}

// Logs bounds the log of each plugin to MaxSize × (Keep + 1) bytes.
type Logs struct {
	MaxSize yamlfile.Size
	Keep    int
}

// Plugin holds the settings of one plugin.
type Plugin struct {
	Limits service.Limits
}

// Log holds the level and format of the log, which is written to stderr.
type Log struct {
	Level, Format string
}

// Admin holds the settings of the local API.
type Admin struct {
	Socket string // "" for the default, see SocketPath
}

// Metrics holds the settings of the Prometheus endpoint.
type Metrics struct {
	Listen string // "" for none
}

// Default returns the configuration of a host where nothing is set.
func Default() Config {
	limits := pkgcheck.DefaultLimits()
	return Config{
		Root:         "/var/lib/supervisor",
		ControlPlane: ControlPlane{URL: "http://127.0.0.1:8700", Timeout: 5 * time.Second},
		Manager:      ManagerNative,
		Intervals: plugin.Intervals{
			Scan: 15 * time.Minute, Pull: 5 * time.Minute, Update: 30 * time.Minute, Inventory: 24 * time.Hour,
		},
		FirstRun:    FirstRun{Pull: time.Minute, Inventory: 3 * time.Minute, Jitter: time.Minute},
		AvoidWindow: time.Minute,
		Restart: Restart{
			Stagger: 10 * time.Second, Parallel: 8,
			BackoffInitial: time.Second, BackoffMax: 5 * time.Minute, HealthyAfter: time.Minute,
			OnHang: true, Burst: 200, Rate: 20, KillGrace: 3 * time.Second,
		},
		Upgrade: Upgrade{Prove: 30 * time.Second, AllowDowngrade: true, Quarantine: 24 * time.Hour, HookTimeout: time.Minute},
		Install: Install{
			MaxSize: yamlfile.Size(limits.Size), MaxEntries: limits.Entries, MaxRatio: int(limits.Ratio),
			Stall: 30 * time.Second, MinRate: yamlfile.KiB, FetchTimeout: 6 * time.Hour,
		},
		Logs: Logs{MaxSize: 10 * yamlfile.MiB, Keep: 3},
		Log:  Log{Level: "info", Format: "text"},
	}
}

// SocketPath returns the path of the socket of the local API.
func (c Config) SocketPath() string {
	if c.Admin.Socket != "" {
		return c.Admin.Socket
	}
	return layout.Socket(c.Root)
}

// Origin returns where a key was set: file and line, variable or flag. It is "" for
// a default.
func (c Config) Origin(key string) string { return c.origins[key] }
