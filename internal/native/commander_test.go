package native

import (
	"os"
	"path/filepath"
	"testing"

	"pluginsupervisor/internal/registry"
	"pluginsupervisor/plugin"
)

// SPEC 1, UP-02: a Commander is installed and upgraded with the axt-commander.json
// that the existing agent starts it by. It has no status and is not started here.
func TestCommander(t *testing.T) {
	root := t.TempDir()
	packages := newPackageFolder(t, root)
	b := newFixture(t, func(o *Options) {
		o.Root, o.Registry, o.Packages = root, registry.New(registry.Options{Root: root}), packages
	})
	for _, version := range []string{"1.0", "2.0"} {
		change := plugin.Change{Name: "c", Version: version, Kind: plugin.ChangeUpgrade}
		dir := b.unpack("c", version, "", `{"name":"c","version":"`+version+`","runPath":"run","pluginType":"Commander"}`)
		if err := os.WriteFile(filepath.Join(dir, "axt-commander.json"), []byte(`{"pidFile":"c`+version+`.pid","x":1}`), 0o644); err != nil {
			t.Fatal(err)
		}
		packages.add(change, dir)
		got := b.fetchAndChange(t.Context(), change, plugin.ChangePermit{})
		if got.Err != nil || got.Status != plugin.StatusUnknown || got.Plugin.Type != plugin.Commander || got.Plugin.Version != version {
			t.Errorf("changed to %+v", got)
		}
		r, _, err := b.registry.Find(t.Context(), "c")
		if want := `{"pidFile":"c` + version + `.pid","endpointType":"","endpointFile":"","apiVersion":"","x":1}`; err != nil || string(r.CommanderInfo) != want {
			t.Errorf("recorded %s %v, want %s", r.CommanderInfo, err, want)
		}
	}
	for _, call := range b.readCalls() {
		if call != "--upgrade 1.0 from -" && call != "--upgrade 2.0 from 1.0" {
			t.Errorf("ran %s", call)
		}
	}
}
