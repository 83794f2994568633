package native

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pluginsupervisor/plugin"
)

// UP-15: the current version and the one before it by history stay, whatever
// their order, and an operator goes back to that one.
func TestVersionsAreKeptByHistory(t *testing.T) {
	b := newFixture(t)
	b.install("p", "9", okScript, "20")
	b.touch("plugin", "p", "9", "running")
	for _, v := range []string{"8", "f00d", "7", "99-rc", "6"} {
		b.unpack("p", v, okScript, "")
		if got := b.fetchAndChange(t.Context(), plugin.Change{Name: "p", Version: v}, plugin.ChangePermit{}); got.Err != nil {
			t.Fatalf("%s: %+v", v, got)
		}
	}
	b.unpack("p", "100", okScript, "") // never installed
	versions := func() string {
		entries, err := os.ReadDir(filepath.Join(b.root, "plugin", "p"))
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return fmt.Sprint(names, err)
	}
	if got := versions(); got != "[100 6 99-rc] <nil>" {
		t.Errorf("versions %s, want 100, 6 and 99-rc", got)
	}
	for _, want := range []string{"99-rc", "6"} {
		got := b.fetchAndChange(t.Context(), plugin.Change{Name: "p", Kind: plugin.ChangeRollback, Origin: plugin.FromOperator}, plugin.ChangePermit{})
		if got.Err != nil || got.Plugin.Version != want {
			t.Errorf("rolled back: %+v, want %s", got, want)
		}
	}
	if got := versions(); got != "[100 6 99-rc] <nil>" {
		t.Errorf("versions %s, want 100, 6 and 99-rc", got)
	}
	// The same version again does not make it its own predecessor.
	if got := b.fetchAndChange(t.Context(), plugin.Change{Name: "p", Version: "6"}, plugin.ChangePermit{}); got.Err != nil {
		t.Errorf("again: %+v", got)
	}
	if got := versions(); got != "[100 6 99-rc] <nil>" {
		t.Errorf("versions %s, want 100, 6 and 99-rc", got)
	}
}
