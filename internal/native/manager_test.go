package native

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/plugin"
)

// packageFolder is a source of packages: zips of its folder, NAME-VERSION.zip,
// of which only the MD5 is known.
type packageFolder struct {
	t         *testing.T
	dir       string
	installer *install.Installer
}

func newPackageFolder(t *testing.T, root string) *packageFolder {
	t.Helper()
	return &packageFolder{t, t.TempDir(), newInstaller(t, install.Config{Root: root})}
}

func (d *packageFolder) file(o plugin.Change) string {
	return filepath.Join(d.dir, o.Name+"-"+o.Version+".zip")
}

func (d *packageFolder) Stage(ctx context.Context, o plugin.Change) (*install.Staged, error) {
	b, err := os.ReadFile(d.file(o))
	if err != nil {
		return nil, err
	}
	return d.installer.Stage(ctx, install.Request{Source: d.file(o), MD5: fmt.Sprintf("%x", md5.Sum(b))})
}

func (d *packageFolder) Trusts(ctx context.Context, name, version string) error {
	return d.installer.Trusts(ctx, name, version)
}

// add packs an unpacked folder, and removes it.
func (d *packageFolder) add(o plugin.Change, folder string) {
	d.t.Helper()
	packFolder(d.t, d.file(o), folder)
}

// listVerified returns how a plugin was verified, as listed.
func (b *fixture) listVerified(name string) plugin.Verified {
	b.t.Helper()
	list, err := b.List(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	for _, p := range list.Plugins {
		if p.Name == name {
			return p.Verified
		}
	}
	return plugin.VerifiedUnknown
}

// CL-09: how a version's package was verified is known as long as the version is
// there. Of a version that came another way it is not known.
func TestVerifiedStaysWithTheVersion(t *testing.T) {
	root := t.TempDir()
	packages := newPackageFolder(t, root)
	b := newFixture(t, func(o *Options) {
		o.Root, o.Packages, o.Quarantine = root, packages, time.Hour
		o.Registry = registry.New(registry.Options{Root: root})
	})
	b.install("p", "1.0", okScript, "20")
	packages.add(offer, b.unpack("p", "2.0", okScript, ""))
	if got := b.listVerified("p"); got != plugin.VerifiedUnknown {
		t.Errorf("unpacked by another program: verified by %q, want unknown", got)
	}
	for _, step := range []struct {
		what      string
		offer     plugin.Change
		fetched   plugin.Verified // of the fetched package
		installed plugin.Verified // of the installed version
		summary   string
	}{
		{"it comes", offer, plugin.ByMD5, plugin.ByMD5, "upgraded from 1.0 to 2.0, verified by MD5 only"},
		{"back to the old one", plugin.Change{Kind: plugin.ChangeRollback, Name: "p", Origin: plugin.FromOperator}, "", plugin.VerifiedUnknown, "upgraded from 2.0 to 1.0"},
		{"it is there already", plugin.Change{Name: "p", Version: "2.0", Origin: plugin.FromOperator}, "", plugin.ByMD5, "upgraded from 1.0 to 2.0"},
	} {
		got := b.fetchAndChange(t.Context(), step.offer, plugin.ChangePermit{})
		if got.Err != nil || got.Verified != step.fetched || got.Plugin.Verified != step.installed || got.Summary() != step.summary {
			t.Errorf("%s: %q, %v, fetched %q, installed %q; want %+v", step.what, got.Summary(), got.Err, got.Verified, got.Plugin.Verified, step)
		}
		if listed := b.listVerified("p"); listed != step.installed {
			t.Errorf("%s: listed as %q, want %q", step.what, listed, step.installed)
		}
	}
}

// EV-32: a command that installs by itself was killed between the two renames of
// an exchange. The next supervisor restores the folder, unless another program
// works on the plugin.
func TestEndExchanges(t *testing.T) {
	b := newFixture(t)
	b.install("p", "1.0", okScript, "20")
	old := layout.Replaced(b.root, "p")
	err := errors.Join(
		os.MkdirAll(filepath.Dir(old), 0o700),
		os.Rename(b.versionFolder("p", "1.0"), old),
		os.Mkdir(filepath.Join(filepath.Dir(old), "torn.new"), 0o700), // its plugin is not known
	)
	if err != nil {
		t.Fatal(err)
	}
	release, _, err := lock.Shared(t.Context(), layout.NameLock(b.root, "p"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.CleanUp(t.Context()); err != nil || isFolder(b.versionFolder("p", "1.0")) {
		t.Errorf("while another program holds the lock: %v, restored %t", err, isFolder(b.versionFolder("p", "1.0")))
	}
	release()
	if err := b.CleanUp(t.Context()); err != nil || !isFolder(b.versionFolder("p", "1.0")) || isFolder(old) {
		t.Errorf("%v, restored %t, left %t", err, isFolder(b.versionFolder("p", "1.0")), isFolder(old))
	}
}
