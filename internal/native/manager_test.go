package native

import (
	"archive/zip"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/plugin"
)

// packageFolder is where packages come from: zips of its folder, NAME-VERSION.zip, of
// which nothing but an MD5 is known.
type packageFolder struct {
	t         *testing.T
	dir       string
	installer *install.Installer
}

func newPackageFolder(t *testing.T, root string) *packageFolder {
	t.Helper()
	i, err := install.New(install.Config{Root: root, OS: "linux", Arch: "x64"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	return &packageFolder{t, t.TempDir(), i}
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

// add packs what is unpacked in a folder.
func (d *packageFolder) add(o plugin.Change, folder string) {
	d.t.Helper()
	f, err := os.Create(d.file(o))
	if err != nil {
		d.t.Fatal(err)
	}
	z := zip.NewWriter(f)
	for _, name := range []string{"config.json", "run", "axt-commander.json"} {
		b, err := os.ReadFile(filepath.Join(folder, name))
		if errors.Is(err, fs.ErrNotExist) && name == "axt-commander.json" {
			continue
		}
		if err != nil {
			d.t.Fatal(err)
		}
		h := &zip.FileHeader{Name: name}
		h.SetMode(0o755)
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = w.Write(b)
		}
		if err != nil {
			d.t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		d.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		d.t.Fatal(err)
	}
}

// listVerified is how a plugin is listed.
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

// CL-09: by what a version's package was verified is known as long as the
// version is there, whoever asks; of one that came another way it is not.
func TestVerifiedStaysWithTheVersion(t *testing.T) {
	root := t.TempDir()
	packages := newPackageFolder(t, root)
	b := newFixture(t, func(o *Options) {
		o.Root, o.Packages, o.Quarantine = root, packages, time.Hour
		o.Registry = registry.New(registry.Options{Root: root})
	})
	b.install("p", "1.0", okScript, "20")
	packages.add(offer, b.unpack("p", "2.0", okScript, ""))
	if err := os.RemoveAll(b.versionFolder("p", "2.0")); err != nil {
		t.Fatal(err)
	}
	if got := b.listVerified("p"); got != plugin.VerifiedUnknown {
		t.Errorf("unpacked by somebody: %q", got)
	}
	for _, step := range []struct {
		what   string
		offer  plugin.Change
		came   plugin.Verified // of the package that came
		is     plugin.Verified // of what is installed
		change string
	}{
		{"it comes", offer, plugin.ByMD5, plugin.ByMD5, "upgraded from 1.0 to 2.0, verified by MD5 only"},
		{"back to the old one", plugin.Change{Kind: plugin.ChangeRollback, Name: "p", Origin: plugin.FromOperator}, "", plugin.VerifiedUnknown, "upgraded from 2.0 to 1.0"},
		{"it is there already", plugin.Change{Name: "p", Version: "2.0", Origin: plugin.FromOperator}, "", plugin.ByMD5, "upgraded from 1.0 to 2.0"},
	} {
		got := b.fetchAndChange(t.Context(), step.offer, plugin.ChangePermit{})
		if got.Err != nil || got.Verified != step.came || got.Plugin.Verified != step.is || got.Summary() != step.change {
			t.Errorf("%s: %q, %v, came %q, is %q", step.what, got.Summary(), got.Err, got.Verified, got.Plugin.Verified)
		}
		if is := b.listVerified("p"); is != step.is {
			t.Errorf("%s: listed as %q", step.what, is)
		}
	}
}

// UP-06: what is refused for now is told, an operator ends it, and what is over
// is swept.
func TestRefused(t *testing.T) {
	b := newFixture(t, func(o *Options) { o.Quarantine = time.Hour })
	b.install("p", "1.0", okScript, "20")
	b.unpack("p", "2.0", okScript, "")
	refused := func() (versions []string) {
		bans, err := b.ListQuarantined()
		if err != nil {
			t.Fatal(err)
		}
		for _, ban := range bans {
			versions = append(versions, ban.Name+" "+ban.Version+": "+ban.Cause)
		}
		return versions
	}
	if got := b.fetchAndChange(t.Context(), offer, plugin.ChangePermit{}); got.Err != nil || len(refused()) != 0 {
		t.Fatalf("%v, refused %v", got.Err, refused())
	}
	if got := b.fetchAndChange(t.Context(), plugin.Change{Kind: plugin.ChangeRollback, Name: "p", Origin: plugin.FromOperator}, plugin.ChangePermit{}); got.Err != nil {
		t.Fatal(got.Err)
	}
	if got := refused(); len(got) != 1 || got[0] != "p 2.0: rolled back by an operator" {
		t.Fatalf("refused %v", got)
	}
	if got := b.fetchAndChange(t.Context(), offer, plugin.ChangePermit{}); got.Err == nil {
		t.Error("an offer of a refused version was carried out")
	}
	if err := b.changes.Quarantine(plugin.QuarantinedVersion{Name: "p", Version: "3.0", Until: time.Now().Add(-time.Second)}); err != nil {
		t.Fatal(err)
	}
	if err := b.CleanUp(t.Context()); err != nil || len(refused()) != 1 {
		t.Errorf("swept: %v, refused %v", err, refused())
	}
	left, err := os.ReadDir(filepath.Join(b.root, "supervisor", "quarantine"))
	if err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
	if got := b.fetchAndChange(t.Context(), plugin.Change{Name: "p", Version: "2.0", Origin: plugin.FromOperator}, plugin.ChangePermit{}); got.Err != nil || len(refused()) != 0 {
		t.Errorf("an operator's word: %v, refused %v", got.Err, refused())
	}
}
