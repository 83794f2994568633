package config

import (
	"errors"
	"slices"
	"strings"
	"time"

	"pluginsupervisor/internal/service"
	"pluginsupervisor/internal/yamlfile"
)

// key is a row of the table of keys.
type key struct {
	name  string // in the file, with dots between sections
	help  string // one sentence, for the help of the flag and the document
	kind  yamlfile.Kind
	field func(*Config) any // returns a pointer of the type that kind sets
}

// flagName returns the name of the flag, without the leading dashes.
func (k key) flagName() string { return strings.NewReplacer(".", "-", "_", "-").Replace(k.name) }

// variableName returns the name of the environment variable.
func (k key) variableName() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.name, ".", "_"))
}

const envPrefix = "SUPERVISOR_"

// Bounds that several keys share. Intervals may be far shorter than what a server
// may ask for (TM-04), but leave time for other work.
const (
	shortest = 10 * time.Millisecond
	longest  = 365 * 24 * time.Hour
	many     = 1_000_000
)

// The bounds of durations.
var (
	period  = yamlfile.Span{Min: shortest, Max: longest}
	delay   = yamlfile.Span{Min: 0, Max: longest}
	timeout = yamlfile.Span{Min: shortest, Max: time.Hour}
	spread  = yamlfile.Span{Min: 0, Max: time.Hour}
)

// keys is the table of keys, in the order of the file.
var keys = []key{
	{"root", "Installation directory.", absoluteKind, func(c *Config) any { return &c.Root }},
	{"instance_id", "ID of this host at the control plane; by default generated once for this root and machine, and saved in ROOT/supervisor/instance-id.", idKind, func(c *Config) any { return &c.InstanceID }},
	{"control_plane.url", "URL of the control plane.", urlKind, func(c *Config) any { return &c.ControlPlane.URL }},
	{"control_plane.timeout", "Maximum duration of one request.", timeout, func(c *Config) any { return &c.ControlPlane.Timeout }},
	{"control_plane.token_file", "File with the token that is sent to the control plane.", fileKind, func(c *Config) any { return &c.ControlPlane.TokenFile }},
	{"control_plane.ca_file", "File with the certificate authorities to trust for the control plane, instead of the system's.", fileKind, func(c *Config) any { return &c.ControlPlane.CAFile }},
	{"control_plane.cert_file", "File with the client certificate for the control plane; needs key_file.", fileKind, func(c *Config) any { return &c.ControlPlane.CertFile }},
	{"control_plane.key_file", "File with the private key of the client certificate; needs cert_file.", fileKind, func(c *Config) any { return &c.ControlPlane.KeyFile }},
	{"manager", "Manager of the plugins: this process (native), or the path of an acs-plugin-manager program.", managerKind, func(c *Config) any { return &c.Manager }},
	{"intervals.scan", "How often every plugin is checked and reported; the control plane may change it.", period, func(c *Config) any { return &c.Intervals.Scan }},
	{"intervals.pull", "How often heartbeats are read and reported; the control plane may change it.", period, func(c *Config) any { return &c.Intervals.Pull }},
	{"intervals.update", "How often the control plane is asked for new versions; it may change it.", period, func(c *Config) any { return &c.Intervals.Update }},
	{"intervals.inventory", "How often the list of installed plugins is sent.", period, func(c *Config) any { return &c.Intervals.Inventory }},
	{"first_run.scan", "Delay of the first scan; the jitter is added.", delay, func(c *Config) any { return &c.FirstRun.Scan }},
	{"first_run.pull", "Delay of the first pull; the jitter is added.", delay, func(c *Config) any { return &c.FirstRun.Pull }},
	{"first_run.update", "Delay of the first update check; the jitter is added.", delay, func(c *Config) any { return &c.FirstRun.Update }},
	{"first_run.inventory", "Delay of the first inventory; the jitter is added.", delay, func(c *Config) any { return &c.FirstRun.Inventory }},
	{"first_run.jitter", "Maximum random delay added to each first run, so that the hosts of a fleet spread their requests.", spread, func(c *Config) any { return &c.FirstRun.Jitter }},
	{"avoid_window", "Minimum time between a pull and the scans before and after it.", delay, func(c *Config) any { return &c.AvoidWindow }},
	{"probe.parallel", "Maximum number of plugins checked at once; 0 means twice the CPUs, at least 4 and at most 32.", yamlfile.Whole{Min: 0, Max: 1024}, func(c *Config) any { return &c.Probe.Parallel }},
	{"restart.stagger", "Maximum random delay before a plugin that does not run is started.", spread, func(c *Config) any { return &c.Restart.Stagger }},
	{"restart.parallel", "Maximum number of plugins started at once.", yamlfile.Whole{Min: 1, Max: 1024}, func(c *Config) any { return &c.Restart.Parallel }},
	{"restart.backoff_initial", "Delay before the second restart of a plugin that keeps failing; it doubles with each failure.", period, func(c *Config) any { return &c.Restart.BackoffInitial }},
	{"restart.backoff_max", "Maximum delay between restarts of a plugin that keeps failing.", period, func(c *Config) any { return &c.Restart.BackoffMax }},
	{"restart.healthy_after", "How long a plugin must run until its failure count is reset.", delay, func(c *Config) any { return &c.Restart.HealthyAfter }},
	{"restart.on_hang", "Whether to restart a plugin that runs but writes no heartbeat for three intervals.", yamlfile.Bool{}, func(c *Config) any { return &c.Restart.OnHang }},
	{"restart.burst", "Maximum restarts in a burst, all plugins together.", yamlfile.Whole{Min: 1, Max: many}, func(c *Config) any { return &c.Restart.Burst }},
	{"restart.rate", "Maximum restarts per second after a burst, all plugins together.", yamlfile.Whole{Min: 1, Max: many}, func(c *Config) any { return &c.Restart.Rate }},
	{"restart.kill_grace", "Time between SIGTERM and SIGKILL for a command that does not return in time.", spread, func(c *Config) any { return &c.Restart.KillGrace }},
	{"upgrade.prove", "How long a new version must run well before the upgrade is final.", delay, func(c *Config) any { return &c.Upgrade.Prove }},
	{"upgrade.allow_downgrade", "Whether to install the same or an older version when the control plane assigns it.", yamlfile.Bool{}, func(c *Config) any { return &c.Upgrade.AllowDowngrade }},
	{"upgrade.require_sha256", "Whether to reject packages without a SHA-256 digest.", yamlfile.Bool{}, func(c *Config) any { return &c.Upgrade.RequireSHA256 }},
	{"upgrade.trusted_keys", "Public keys, one of which must have signed a package; without keys, no signature is required.", yamlfile.List{}, func(c *Config) any { return &c.Upgrade.TrustedKeys }},
	{"upgrade.quarantine", "How long a version that was rolled back is blocked.", delay, func(c *Config) any { return &c.Upgrade.Quarantine }},
	{"upgrade.hook", "Command, with its arguments, that may handle an assigned update itself: exit 0 means that it does. Its environment is in docs/operations.md, Update hook.", commandKind, func(c *Config) any { return &c.Upgrade.Hook }},
	{"upgrade.hook_timeout", "Maximum duration of upgrade.hook; then it is killed, and the supervisor makes the update.", timeout, func(c *Config) any { return &c.Upgrade.HookTimeout }},
	{"install.max_size", "Maximum size of an unpacked package.", yamlfile.SizeRange{Min: 1, Max: yamlfile.TiB}, func(c *Config) any { return &c.Install.MaxSize }},
	{"install.max_entries", "Maximum number of files in a package.", yamlfile.Whole{Min: 1, Max: many}, func(c *Config) any { return &c.Install.MaxEntries }},
	{"install.max_ratio", "Maximum ratio of the unpacked to the packed size of a package.", yamlfile.Whole{Min: 1, Max: many}, func(c *Config) any { return &c.Install.MaxRatio }},
	{"install.stall", "A download that receives nothing for this time is interrupted and resumed.", timeout, func(c *Config) any { return &c.Install.Stall }},
	{"install.min_rate", "Minimum bytes per second of a download, on average over install.stall; a slower one is interrupted and resumed.", yamlfile.SizeRange{Min: 1, Max: yamlfile.TiB}, func(c *Config) any { return &c.Install.MinRate }},
	{"install.fetch_timeout", "Maximum duration of one download of a package, with all its tries; the received part is kept for the next one.", yamlfile.Span{Min: shortest, Max: 7 * 24 * time.Hour}, func(c *Config) any { return &c.Install.FetchTimeout }},
	{"logs.max_size", "Size of one part of a plugin's log; when the log is full, the oldest part is removed.", service.LogSize, func(c *Config) any { return &c.Logs.MaxSize }},
	{"logs.keep", "Number of older parts to keep: the log of a plugin has at most logs.max_size × (logs.keep + 1).", yamlfile.Whole{Min: 0, Max: 1000}, func(c *Config) any { return &c.Logs.Keep }},
	{pluginsKey, "Settings of single plugins: name → limits → cpu, memory, pids.", mapKind{}, func(c *Config) any { return &c.Plugins }},
	{"log.level", "Lowest level that is logged.", yamlfile.Word{"trace", "debug", "info", "warning", "error"}, func(c *Config) any { return &c.Log.Level }},
	{"log.format", "Format of the log on stderr.", yamlfile.Word{"text", "json"}, func(c *Config) any { return &c.Log.Format }},
	{"admin.socket", "Socket of the local API.", socketKind, func(c *Config) any { return &c.Admin.Socket }},
	{"metrics.listen", "Address that serves /metrics, /healthz and /readyz.", listenKind, func(c *Config) any { return &c.Metrics.Listen }},
}

// pluginsKey is the only key without a single value: it has a section for each
// plugin.
const pluginsKey = "plugins"

// limit is one limit of a plugin.
type limit struct {
	name  string
	help  string
	kind  yamlfile.Kind
	field func(*service.Limits) any
}

// limits holds the keys below plugins.NAME.limits.
var limits = []limit{
	{"cpu", "CPU time, in cores.", service.CPULimit, func(l *service.Limits) any { return &l.CPU }},
	{"memory", "Memory.", service.MemoryLimit, func(l *service.Limits) any { return &l.Memory }},
	{"pids", "Number of processes and threads.", service.PIDLimit, func(l *service.Limits) any { return &l.PIDs }},
}

func (k key) formatValue(c *Config) string         { return k.kind.Text(k.field(c)) }
func (k key) setText(c *Config, text string) error { return k.kind.Set(k.field(c), text) }
func (k key) isPath() bool                         { return k.kind.Word() == pathWord }

// isFileOnly reports whether the key has neither a flag nor a variable.
func (k key) isFileOnly() bool { return k.name == pluginsKey }

func findKeyNamed(name string) (key, bool) {
	return findKey(func(k key) bool { return k.name == name })
}

func findKey(is func(key) bool) (key, bool) {
	if i := slices.IndexFunc(keys, is); i >= 0 {
		return keys[i], true
	}
	return key{}, false
}

func listKeyNames() []string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	return names
}

// mapKind is the kind of a key that only the file can set; file.go reads it.
type mapKind struct{}

func (mapKind) Set(any, string) error { return errors.New("can be set in the file only") }
func (mapKind) Text(any) string       { return "{}" }
func (mapKind) Allowed() string       { return "a section for each plugin, by its name" }
func (mapKind) Word() string          { return "map" }
