package external

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/pkgcheck/pkgchecktest"
	"pluginsupervisor/plugin"
)

// packageSource stages the packages that an operator names.
type packageSource struct{ *install.Installer }

func (s packageSource) Stage(ctx context.Context, c plugin.Change) (*install.Staged, error) {
	return s.Installer.Stage(ctx, install.Request{Source: c.Package, Name: c.Name, Version: c.Version, HandOver: true})
}

// CL-11, UP-11: a package that an operator names is verified and passed on as a file
// in staging, which is removed afterwards.
func TestInstallFile(t *testing.T) {
	b := newFixture(t, `
case "$1 $2" in
"--exec --file") cp "$3" "$SUPERVISOR_ROOT/given" || exit 97
`+putCommand(t, `{"name":"agent","version":"1.0","runPath":"bin/run","pluginType":1,"url":"local"}`)+`
esac
`)
	i, err := install.New(install.Config{Root: b.root, OS: "linux", Arch: "x64"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	b.packages = packageSource{i}
	file, z := filepath.Join(t.TempDir(), "agent.zip"), pkgchecktest.Zip(t, pkgchecktest.Agent()...)
	if err := os.WriteFile(file, z, 0o644); err != nil {
		t.Fatal(err)
	}
	c := plugin.Change{ID: 7, Name: "agent", Version: "1.0", Kind: plugin.ChangeInstall, Origin: plugin.FromOperator, Package: file}
	if got := b.Change(t.Context(), c, plugin.ChangePermit{}); got.Cause() != "package "+file+" was not fetched" || b.readCalls() != "" {
		t.Errorf("not fetched: %v after %q", got.Err, b.readCalls())
	}
	if err := b.Fetch(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil { // it may be gone by now
		t.Fatal(err)
	}
	archive := b.staged.Get(c).Archive()
	got := b.Change(t.Context(), c, plugin.ChangePermit{})
	if got.Err != nil || got.Plugin.Version != "1.0" || got.Status != plugin.StatusRunning || got.Verified != plugin.ByNothing || got.Package == "" {
		t.Errorf("changed to %+v", got)
	}
	if want := "--exec --file " + archive + " -p --upgrade\n-e --local -P agent -p --status\n"; b.readCalls() != want {
		t.Errorf("called with %q, want %q", b.readCalls(), want)
	}
	if given, err := os.ReadFile(filepath.Join(b.root, "given")); err != nil || string(given) != string(z) {
		t.Errorf("given %d bytes: %v", len(given), err)
	}
	if _, err := os.Stat(filepath.Dir(archive)); !os.IsNotExist(err) {
		t.Errorf("staging folder: %v, want it removed", err)
	}
	other := c
	other.Version = "2.0"
	if err := b.Fetch(t.Context(), other); err == nil {
		t.Error("fetched another version, want an error")
	}
}
