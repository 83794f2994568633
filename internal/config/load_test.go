package config

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/internal/service"
	"pluginsupervisor/internal/yamlfile"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"
)

// writeFile writes text to a new file of the given name and returns its path.
func writeFile(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func parseFlags(t testing.TB, args ...string) *pflag.FlagSet {
	t.Helper()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	AddFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return fs
}

func mustLoad(t testing.TB, src Sources) Config {
	t.Helper()
	c, warnings, err := Load(src)
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 0 {
		t.Errorf("warnings: %v", warnings)
	}
	return c
}

var ignoreOrigins = cmp.Options{cmpopts.IgnoreUnexported(Config{}), cmpopts.EquateEmpty()}

func TestNothingSet(t *testing.T) {
	empty := writeFile(t, "empty.yaml", "")
	for name, src := range map[string]Sources{
		"no source":            {},
		"no flag given":        {Flags: parseFlags(t)},
		"missing default file": {File: filepath.Join(t.TempDir(), "none.yaml")},
		"empty file":           {File: empty, FileNamed: true},
		"only comments":        {File: writeFile(t, "c.yaml", "# nothing\n\n"), FileNamed: true},
		"empty document":       {File: writeFile(t, "d.yaml", "---\n"), FileNamed: true},
		"empty section":        {File: writeFile(t, "s.yaml", "intervals:\n#  scan: 1s\nplugins:\n"), FileNamed: true},
		"no flags of ours":     {Flags: pflag.NewFlagSet("", pflag.ContinueOnError)},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(Default(), mustLoad(t, src), ignoreOrigins); diff != "" {
				t.Errorf("differs from the defaults (-want +got):\n%s", diff)
			}
		})
	}
}

// The defaults are those of the design, and all are valid.
func TestDefaults(t *testing.T) {
	c := Default()
	for _, k := range keys {
		if k.isFileOnly() {
			continue
		}
		var other Config
		if err := k.setText(&other, k.formatValue(&c)); err != nil {
			t.Errorf("%s: default %q is rejected: %v", k.name, k.formatValue(&c), err)
		}
		if got := k.formatValue(&other); got != k.formatValue(&c) {
			t.Errorf("%s: default %q is read as %q", k.name, k.formatValue(&c), got)
		}
	}
	if m := c.findConflicts(); m != nil {
		t.Errorf("the defaults conflict: %v", m)
	}
	for name, want := range map[string]string{
		"intervals.scan": "15m", "intervals.pull": "5m", "intervals.update": "30m", "intervals.inventory": "24h",
		"first_run.scan": "0s", "first_run.jitter": "1m", "restart.backoff_max": "5m", "install.max_size": "512MiB",
		"install.stall": "30s", "install.min_rate": "1KiB", "install.fetch_timeout": "6h", "logs.max_size": "10MiB", "logs.keep": "3",
	} {
		if k, _ := findKeyNamed(name); k.formatValue(&c) != want {
			t.Errorf("default of %s is %s, want %s", name, k.formatValue(&c), want)
		}
	}
}

// TM-06: defaults < PluginCheckInterval < YAML < environment < flags.
func TestPrecedence(t *testing.T) {
	root := filepath.Dir(filepath.Dir(writeFile(t, "config/PluginCheckInterval",
		"pluginHealthScanInterval=101,pluginHealthPullInterval=102,pluginUpdateCheckInterval=103\n")))
	file := writeFile(t, "s.yaml", "intervals: {scan: 201s, pull: 202s}\nroot: "+root+"\n")
	c := mustLoad(t, Sources{
		File: file, FileNamed: true,
		Environ: []string{"PATH=/bin", "SUPERVISOR_INTERVALS_SCAN=301s"},
		Flags:   parseFlags(t, "--intervals-scan", "401s"),
	})
	got := map[string]string{}
	for _, k := range []string{"scan", "pull", "update", "inventory"} {
		row, _ := findKeyNamed("intervals." + k)
		got[k] = row.formatValue(&c) + " from " + c.Origin(row.name)
	}
	want := map[string]string{
		"scan":      "6m41s from --intervals-scan",
		"pull":      "3m22s from " + file + ":1",
		"update":    "1m43s from " + root + "/config/PluginCheckInterval",
		"inventory": "24h from ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("intervals (-want +got):\n%s", diff)
	}
	c = mustLoad(t, Sources{File: file, FileNamed: true, Environ: []string{"SUPERVISOR_INTERVALS_SCAN=301s"}})
	if c.Intervals.Scan != 301*time.Second {
		t.Errorf("environment over file: scan %s", c.Intervals.Scan)
	}
}

// TM-06: PluginCheckInterval is read from the root that the other sources set.
func TestPluginCheckIntervalIsBelowTheRoot(t *testing.T) {
	root := filepath.Dir(filepath.Dir(writeFile(t, "config/PluginCheckInterval", "pluginHealthScanInterval=77")))
	other := writeFile(t, "s.yaml", "root: /nowhere\n")
	for name, src := range map[string]Sources{
		"file":        {File: writeFile(t, "r.yaml", "root: "+root), FileNamed: true},
		"environment": {File: other, Environ: []string{"SUPERVISOR_ROOT=" + root}},
		"flag":        {File: other, Environ: []string{"SUPERVISOR_ROOT=/nowhere/else"}, Flags: parseFlags(t, "--root="+root)},
	} {
		if c := mustLoad(t, src); c.Intervals.Scan != 77*time.Second || c.Root != root {
			t.Errorf("%s: scan %s, root %s", name, c.Intervals.Scan, c.Root)
		}
	}
}

// Every key can be set in the file, in the environment and by a flag, and is shown
// with its origin; the shown text is read as the same configuration.
func TestEveryKey(t *testing.T) {
	samples := map[string]string{
		"root": "/srv/x", "instance_id": "host-7", "control_plane.url": "https://cp.example:8443/base", "manager": "/opt/acs",
		"admin.socket": "/run/s.sock", "metrics.listen": "[::1]:9108", "log.level": "debug", "log.format": "json",
		"upgrade.trusted_keys": "one,two", "upgrade.hook": "/one,two", "restart.on_hang": "false", "upgrade.allow_downgrade": "false",
		"upgrade.require_sha256": "true", "install.max_size": "3GiB", "install.min_rate": "64KiB", "logs.max_size": "3GiB",
	}
	for _, k := range keys {
		if k.isFileOnly() {
			continue
		}
		text := samples[k.name]
		if text == "" {
			switch k.kind.Word() {
			case "duration":
				text = "7s"
			case "number":
				text = "7"
			case pathWord:
				text = "/some/file"
			}
		}
		fix := map[string]string{ // the other key of a pair
			"control_plane.cert_file": "control_plane.key_file", "control_plane.key_file": "control_plane.cert_file",
			"restart.backoff_initial": "restart.backoff_max",
		}
		section, name, nested := strings.Cut(k.name, ".")
		quoted := text
		if k.name == "metrics.listen" {
			quoted = strconv.Quote(text)
		}
		inFile := k.name + ": " + quoted
		if k.kind.Word() == "list" {
			inFile = section + ":\n  " + name + ": [" + text + "]"
		} else if nested {
			inFile = section + ":\n  " + name + ": " + quoted
		}
		args := []string{"--" + k.flagName() + "=" + text}
		environ := []string{k.variableName() + "=" + text}
		if other, ok := findKeyNamed(fix[k.name]); ok {
			args = append(args, "--"+other.flagName()+"="+text)
			environ = append(environ, other.variableName()+"="+text)
			_, otherName, _ := strings.Cut(other.name, ".")
			inFile += "\n  " + otherName + ": " + text
		}
		file := writeFile(t, "k.yaml", inFile)
		for where, src := range map[string]Sources{
			file + ":":          {File: file},
			k.variableName():    {Environ: environ},
			"--" + k.flagName(): {Flags: parseFlags(t, args...)},
		} {
			c, _, err := Load(src)
			if err != nil {
				t.Errorf("%s: %v", k.name, err)
				continue
			}
			if got := k.formatValue(&c); got != text {
				t.Errorf("%s from %s: %q, want %q", k.name, where, got, text)
			}
			if got := c.Origin(k.name); !strings.HasPrefix(got, where) {
				t.Errorf("%s: origin %q, want %q", k.name, got, where)
			}
			shown, err := c.YAML()
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(shown), "# from "+where) {
				t.Errorf("%s from %s: not shown:\n%s", k.name, where, shown)
			}
			again := mustRead(t, string(shown))
			if diff := cmp.Diff(c, again, ignoreOrigins); diff != "" {
				t.Errorf("%s: shown and read again (-want +got):\n%s", k.name, diff)
			}
		}
	}
}

func mustRead(t testing.TB, text string) Config {
	t.Helper()
	c, _, err := Load(Sources{File: writeFile(t, "again.yaml", text), FileNamed: true})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSocketPath(t *testing.T) {
	c := Default()
	if got := c.SocketPath(); got != "/var/lib/supervisor/supervisor/supervisor.sock" {
		t.Errorf("default: %s", got)
	}
	for _, flag := range []string{"--socket", "--admin-socket"} {
		c := mustLoad(t, Sources{Flags: parseFlags(t, flag, "/run/x.sock")})
		if got := c.SocketPath(); got != "/run/x.sock" || c.Origin("admin.socket") != flag {
			t.Errorf("%s: %s from %s", flag, got, c.Origin("admin.socket"))
		}
	}
}

// Relative paths on the command line are resolved from the current folder.
func TestRelativeFlags(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	c := mustLoad(t, Sources{Flags: parseFlags(t, "--root", "base", "--manager", "native", "--control-plane-token-file=")})
	if c.Root != filepath.Join(dir, "base") || c.Manager != ManagerNative || c.ControlPlane.TokenFile != "" {
		t.Errorf("root %s, manager %s, token %q", c.Root, c.Manager, c.ControlPlane.TokenFile)
	}
}

func TestSomeFlags(t *testing.T) {
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	AddFlags(fs, "root", "admin.socket")
	var names []string
	fs.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if diff := cmp.Diff([]string{"admin-socket", "root", "socket"}, names); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
	if !strings.Contains(fs.FlagUsages(), "(default /var/lib/supervisor)") {
		t.Errorf("usage:\n%s", fs.FlagUsages())
	}
}

func TestLimitsOfPlugins(t *testing.T) {
	c := mustLoad(t, Sources{File: writeFile(t, "s.yaml", `
plugins:
  b: {limits: {pids: 7}}
  a: {limits: {cpu: 0.5, memory: 64MiB}}
`)})
	if diff := cmp.Diff(map[string]Plugin{
		"a": {service.Limits{CPU: 0.5, Memory: 64 * yamlfile.MiB}}, "b": {service.Limits{PIDs: 7}},
	}, c.Plugins); diff != "" {
		t.Errorf("plugins (-want +got):\n%s", diff)
	}
	shown, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, mustRead(t, string(shown)), ignoreOrigins); diff != "" {
		t.Errorf("shown and read again (-want +got):\n%s", diff)
	}
}
