package native

import (
	"errors"
	"testing"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/plugin"
)

// CL-07: a package is in its place and recorded, or neither.
func TestInstall(t *testing.T) {
	root := t.TempDir()
	packages := newPackageFolder(t, root)
	b := newFixture(t, func(o *Options) {
		o.Root, o.Registry = root, registry.New(registry.Options{Root: root})
	})
	packages.add(offer, b.unpack("p", "2.0", okScript, ""))

	stage := func() *install.Staged {
		s, err := packages.Stage(t.Context(), offer)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Discard(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	s := stage()
	bad := s.Config.Record()
	bad.RunPath = "../../out" // the registry refuses it
	if err := b.Install(t.Context(), s, bad); !errors.Is(err, ErrNotRecorded) || isFolder(b.versionFolder("p", "2.0")) {
		t.Errorf("installed: %v", err)
	}
	s = stage()
	if err := b.Install(t.Context(), s, s.Config.Record()); err != nil {
		t.Fatal(err)
	}
	if got := b.findPlugin("p").Version; got != "2.0" || !isFolder(b.versionFolder("p", "2.0")) || b.readCalls() != nil {
		t.Errorf("recorded %q, ran %q", got, b.readCalls())
	}
	if p := b.listVerified("p"); p != plugin.ByMD5 {
		t.Errorf("verified by %q", p)
	}
}
