package config

import (
	"errors"
	"slices"
	"strings"
	"time"

	"pluginsupervisor/internal/service"
	"pluginsupervisor/internal/yamlfile"
)

// key is one thing that can be set.
type key struct {
	name  string // in the file, with dots between sections
	help  string // one sentence, as the flag's usage has it
	kind  yamlfile.Kind
	field func(*Config) any // a pointer, of the type the kind works on
}

// flagName is the key's name on the command line, without dashes before it.
func (k key) flagName() string { return strings.NewReplacer(".", "-", "_", "-").Replace(k.name) }

// variableName is the key's name in the environment.
func (k key) variableName() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.name, ".", "_"))
}

const envPrefix = "SUPERVISOR_"

// Bounds that several keys share. Intervals may be far shorter than what a
// server may ask for (TM-04), but never so short that nothing else is done.
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

// keys is the table, in the order of the file.
var keys = []key{
	{"root", "Folder of the installation, BASE.", absoluteKind, func(c *Config) any { return &c.Root }},
	{"instance_id", "Name of this host at the control plane; by default made once for this root and machine, and kept in ROOT/supervisor/instance-id.", idKind, func(c *Config) any { return &c.InstanceID }},
	{"control_plane.url", "Where the control plane is.", urlKind, func(c *Config) any { return &c.ControlPlane.URL }},
	{"control_plane.timeout", "Longest time for one request.", timeout, func(c *Config) any { return &c.ControlPlane.Timeout }},
	{"control_plane.token_file", "File with the token that is sent to the control plane.", fileKind, func(c *Config) any { return &c.ControlPlane.TokenFile }},
	{"control_plane.ca_file", "File with the certificates that may vouch for the control plane, instead of the system's.", fileKind, func(c *Config) any { return &c.ControlPlane.CAFile }},
	{"control_plane.cert_file", "File with the certificate shown to the control plane; needs key_file.", fileKind, func(c *Config) any { return &c.ControlPlane.CertFile }},
	{"control_plane.key_file", "File with the key of that certificate; needs cert_file.", fileKind, func(c *Config) any { return &c.ControlPlane.KeyFile }},
	{"manager", "Who works on plugins: this process, or an acs-plugin-manager program.", managerKind, func(c *Config) any { return &c.Manager }},
	{"intervals.scan", "How often every plugin is probed and reported; the control plane may change it.", period, func(c *Config) any { return &c.Intervals.Scan }},
	{"intervals.pull", "How often heartbeats are read and reported; the control plane may change it.", period, func(c *Config) any { return &c.Intervals.Pull }},
	{"intervals.update", "How often the control plane is asked for new versions; it may change it.", period, func(c *Config) any { return &c.Intervals.Update }},
	{"intervals.inventory", "How often the list of what is installed is sent.", period, func(c *Config) any { return &c.Intervals.Inventory }},
	{"first_run.scan", "Delay of the first scan, to which the jitter is added.", delay, func(c *Config) any { return &c.FirstRun.Scan }},
	{"first_run.pull", "Delay of the first pull, to which the jitter is added.", delay, func(c *Config) any { return &c.FirstRun.Pull }},
	{"first_run.update", "Delay of the first update check, to which the jitter is added.", delay, func(c *Config) any { return &c.FirstRun.Update }},
	{"first_run.inventory", "Delay of the first inventory, to which the jitter is added.", delay, func(c *Config) any { return &c.FirstRun.Inventory }},
	{"first_run.jitter", "Bound of the random time added to each first run, so that a fleet does not start in step.", spread, func(c *Config) any { return &c.FirstRun.Jitter }},
	{"avoid_window", "A pull keeps this distance from the scans before and after it.", delay, func(c *Config) any { return &c.AvoidWindow }},
	{"probe.parallel", "How many plugins are probed at once; 0 means twice the CPUs, at least 4 and at most 32.", yamlfile.Whole{Min: 0, Max: 1024}, func(c *Config) any { return &c.Probe.Parallel }},
	{"restart.stagger", "Bound of the random time before a plugin that does not run is started.", spread, func(c *Config) any { return &c.Restart.Stagger }},
	{"restart.parallel", "How many plugins are started at once.", yamlfile.Whole{Min: 1, Max: 1024}, func(c *Config) any { return &c.Restart.Parallel }},
	{"restart.backoff_initial", "Pause before the second start of a plugin that fails again; it doubles with each.", period, func(c *Config) any { return &c.Restart.BackoffInitial }},
	{"restart.backoff_max", "Longest such pause.", period, func(c *Config) any { return &c.Restart.BackoffMax }},
	{"restart.healthy_after", "How long a plugin must run before its failures are forgotten.", delay, func(c *Config) any { return &c.Restart.HealthyAfter }},
	{"restart.on_hang", "Whether a plugin that runs but is silent for three heartbeat intervals is restarted.", yamlfile.Bool{}, func(c *Config) any { return &c.Restart.OnHang }},
	{"restart.burst", "How many restarts the host may see at once.", yamlfile.Whole{Min: 1, Max: many}, func(c *Config) any { return &c.Restart.Burst }},
	{"restart.rate", "How many restarts a second the host may see after that.", yamlfile.Whole{Min: 1, Max: many}, func(c *Config) any { return &c.Restart.Rate }},
	{"restart.kill_grace", "Time between TERM and KILL for a command that is out of time.", spread, func(c *Config) any { return &c.Restart.KillGrace }},
	{"upgrade.prove", "How long a new version must prove healthy before the old one is given up.", delay, func(c *Config) any { return &c.Upgrade.Prove }},
	{"upgrade.allow_downgrade", "Whether an offer of the same or an older version is carried out.", yamlfile.Bool{}, func(c *Config) any { return &c.Upgrade.AllowDowngrade }},
	{"upgrade.require_sha256", "Whether packages without a SHA-256 digest are refused.", yamlfile.Bool{}, func(c *Config) any { return &c.Upgrade.RequireSHA256 }},
	{"upgrade.trusted_keys", "Public keys of which one must have signed a package; without any, signatures are not asked for.", yamlfile.List{}, func(c *Config) any { return &c.Upgrade.TrustedKeys }},
	{"upgrade.quarantine", "How long a version that was rolled back is not tried again.", delay, func(c *Config) any { return &c.Upgrade.Quarantine }},
	{"upgrade.hook", "Command, with its arguments, that may take over an update which the control plane assigns: exit 0 means taken over. What it gets is in docs/operations.md, Update hook.", commandKind, func(c *Config) any { return &c.Upgrade.Hook }},
	{"upgrade.hook_timeout", "Longest time for one run of upgrade.hook; then it is killed, and the supervisor makes the update.", timeout, func(c *Config) any { return &c.Upgrade.HookTimeout }},
	{"install.max_size", "Largest size of a package, unpacked.", yamlfile.SizeRange{Min: 1, Max: yamlfile.TiB}, func(c *Config) any { return &c.Install.MaxSize }},
	{"install.max_entries", "Largest number of files in a package.", yamlfile.Whole{Min: 1, Max: many}, func(c *Config) any { return &c.Install.MaxEntries }},
	{"install.max_ratio", "How many times its packed size a package may unpack to.", yamlfile.Whole{Min: 1, Max: many}, func(c *Config) any { return &c.Install.MaxRatio }},
	{"install.stall", "A download that brings nothing for so long is broken off, and goes on where it stopped.", timeout, func(c *Config) any { return &c.Install.Stall }},
	{"install.min_rate", "Bytes a second that a download must bring, on average over install.stall; one that brings less is broken off, and goes on where it stopped.", yamlfile.SizeRange{Min: 1, Max: yamlfile.TiB}, func(c *Config) any { return &c.Install.MinRate }},
	{"install.fetch_timeout", "Longest time for one download of a package, with all its tries; what has come is kept for the next one.", yamlfile.Span{Min: shortest, Max: 7 * 24 * time.Hour}, func(c *Config) any { return &c.Install.FetchTimeout }},
	{"logs.max_size", "Size of one part of a plugin's log; when the log is full, the oldest part is dropped.", service.LogSize, func(c *Config) any { return &c.Logs.MaxSize }},
	{"logs.keep", "How many parts of older output are kept: a plugin's log takes at most logs.max_size × (logs.keep + 1).", yamlfile.Whole{Min: 0, Max: 1000}, func(c *Config) any { return &c.Logs.Keep }},
	{pluginsKey, "What is set for single plugins: name → limits → cpu, memory, pids.", mapKind{}, func(c *Config) any { return &c.Plugins }},
	{"log.level", "What is logged: this level and those above it.", yamlfile.Word{"trace", "debug", "info", "warning", "error"}, func(c *Config) any { return &c.Log.Level }},
	{"log.format", "How it is written to stderr.", yamlfile.Word{"text", "json"}, func(c *Config) any { return &c.Log.Format }},
	{"admin.socket", "Where the local API listens.", socketKind, func(c *Config) any { return &c.Admin.Socket }},
	{"metrics.listen", "Where /metrics, /healthz and /readyz are served.", listenKind, func(c *Config) any { return &c.Metrics.Listen }},
}

// pluginsKey is the one key that is no single value: a plugin's name → what is
// set for it.
const pluginsKey = "plugins"

// limit is one limit of a plugin; none has an effect in this version.
type limit struct {
	name  string
	help  string
	kind  yamlfile.Kind
	field func(*service.Limits) any
}

// limits are the keys under plugins.NAME.limits.
var limits = []limit{
	{"cpu", "CPU time, in cores.", service.CPULimit, func(l *service.Limits) any { return &l.CPU }},
	{"memory", "Memory.", service.MemoryLimit, func(l *service.Limits) any { return &l.Memory }},
	{"pids", "Number of processes and threads.", service.PIDLimit, func(l *service.Limits) any { return &l.PIDs }},
}

func (k key) formatValue(c *Config) string         { return k.kind.Text(k.field(c)) }
func (k key) setText(c *Config, text string) error { return k.kind.Set(k.field(c), text) }
func (k key) isPath() bool                         { return k.kind.Word() == pathWord }

// isFileOnly tells whether the key is neither a flag nor a variable.
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

// mapKind stands for what is no single value; file.go reads it.
type mapKind struct{}

func (mapKind) Set(any, string) error { return errors.New("can be set in the file only") }
func (mapKind) Text(any) string       { return "{}" }
func (mapKind) Allowed() string       { return "a section for each plugin, by its name" }
func (mapKind) Word() string          { return "map" }
