package native

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/plugin"
)

// SPEC 1: a plugin with any allowed name and version is installed, installed
// again, quarantined and removed.
func TestPluginsOfEveryName(t *testing.T) {
	b := newFixture(t, func(o *Options) {
		o.Packages, o.Quarantine = packageInstaller{newInstaller(t, install.Config{Root: o.Root})}, time.Hour
	})
	long := strings.Repeat("n", 255)
	release, _, err := lock.Exclusive(t.Context(), layout.VersionLock(b.root, "x", "1.0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	release() // it is also the name lock of x.v1.0
	for _, names := range [][2]string{
		{long, long},
		{long[:247], long[:246]},
		{long[:250], "1.0"},
		{strings.Repeat("云", 85), "一 二"},
		{"a@b:c~d", "1@2"},
		{"cgroup.procs", "memory.max"},
		{"x", "1.0"},
		{"x.v1.0", "1.0"},
		{".hidden", "..."},
		{`"quoted" $name`, "%2F"},
	} {
		name, version := names[0], names[1]
		config, err := json.Marshal(map[string]any{"name": name, "version": version, "runPath": "run", "pluginType": 0})
		if err != nil {
			t.Fatal(err)
		}
		o := plugin.Change{Name: name, Version: version, Package: filepath.Join(t.TempDir(), "p.zip"), Origin: plugin.FromOperator}
		writePackage(t, o.Package, map[string]string{"config.json": string(config), "run": "#!/bin/sh\n"})
		for range 2 {
			if got := b.fetchAndChange(t.Context(), o, plugin.ChangePermit{}); got.Err != nil || got.Note != "" {
				t.Errorf("%q %q: %+v", name, version, got)
			}
		}
		if err := b.changes.Quarantine(plugin.QuarantinedVersion{Name: name, Version: version, Until: time.Now().Add(time.Minute)}); err != nil {
			t.Error(err)
		}
		offered := plugin.Change{Name: name, Version: version}
		if got := b.fetchAndChange(t.Context(), offered, plugin.ChangePermit{}); got.Err == nil || !strings.Contains(got.Cause(), "quarantine") {
			t.Errorf("%q %q, in quarantine: %+v", name, version, got)
		}
		removal := plugin.Change{Name: name, Kind: plugin.ChangeRemove, Origin: plugin.FromOperator}
		if got := b.fetchAndChange(t.Context(), removal, plugin.ChangePermit{}); got.Err != nil || got.Note != "" {
			t.Errorf("%q %q, removed: %+v", name, version, got)
		}
	}
	if left, err := os.ReadDir(filepath.Join(b.root, "plugin")); err != nil || len(left) > 1 { // the database
		t.Errorf("left: %v, %v", left, err)
	}
}
