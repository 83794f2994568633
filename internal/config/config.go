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

// DefaultFile is read when no file is named; it need not exist.
const DefaultFile = "/etc/supervisor/supervisor.yaml"

// ManagerNative is the value of Config.Manager for the manager inside this process.
const ManagerNative = "native"

// Config is everything that can be set. The keys' meaning and bounds are in
// the table of keys and in docs/configuration.md.
type Config struct {
	Root         string // BASE
	InstanceID   string // "" means the host's own, see InstanceID
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

	origins map[string]string // where each key that was set was set, by its name
}

// ControlPlane says where the control plane is and how to prove who we are.
type ControlPlane struct {
	URL                                  string
	Timeout                              time.Duration // of one request
	TokenFile, CAFile, CertFile, KeyFile string        // "" for none

	// What no key sets, but the environment of the existing product (CL-19).
	HostCAs bool     // the host's own authorities count beside those of CAFile
	Proxy   *url.URL // the proxy to go through; nil: that of the environment
}

// FirstRun says when each timer fires for the first time: its value and a
// random time up to Jitter.
type FirstRun struct {
	Scan, Pull, Update, Inventory, Jitter time.Duration
}

// Probe bounds the `--status` runs of a scan.
type Probe struct {
	Parallel int // 0 means twice the CPUs, within 4–32
}

// Restart says how plugins that do not run are started again.
type Restart struct {
	Stagger        time.Duration
	Parallel       int
	BackoffInitial time.Duration
	BackoffMax     time.Duration
	HealthyAfter   time.Duration
	OnHang         bool
	Burst, Rate    int // the host-wide budget: restarts at once, and a second
	KillGrace      time.Duration
}

// Upgrade says how new versions are taken on.
type Upgrade struct {
	Prove          time.Duration
	AllowDowngrade bool
	RequireSHA256  bool
	TrustedKeys    []string
	Quarantine     time.Duration
	Hook           []string // command that may take an update over, with its arguments; none: no command
	HookTimeout    time.Duration
}

// Install bounds what a package may be.
type Install struct {
	MaxSize      yamlfile.Size
	MaxEntries   int
	MaxRatio     int
	Stall        time.Duration
	MinRate      yamlfile.Size // a second
	FetchTimeout time.Duration
	Tries        int // of a download that brings nothing new; no key sets it; 0: as internal/install/fetch has it
}

// Logs bounds what each plugin prints: MaxSize × (Keep + 1) bytes.
type Logs struct {
	MaxSize yamlfile.Size
	Keep    int
}

// Plugin is what is set for one plugin by name.
type Plugin struct {
	Limits service.Limits
}

// Log says what is written to stderr.
type Log struct {
	Level, Format string
}

// Admin is about the local API.
type Admin struct {
	Socket string // "" means inside Root, see SocketPath
}

// Metrics is about the Prometheus endpoint.
type Metrics struct {
	Listen string // "" means none
}

// Default is the configuration of a host where nothing is set.
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

// SocketPath is where the local API listens.
func (c Config) SocketPath() string {
	if c.Admin.Socket != "" {
		return c.Admin.Socket
	}
	return layout.Socket(c.Root)
}

// Origin tells where a key was set: file and line, variable or flag; "" for a
// default.
func (c Config) Origin(key string) string { return c.origins[key] }
