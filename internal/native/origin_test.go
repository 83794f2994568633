package native

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/testenv"
	"pluginsupervisor/plugin"
)

// EV-24: a version folder on a file system that does not answer does not delay the
// list, which has how the other packages were verified.
func TestListBesideHungFileSystem(t *testing.T) {
	b := newFixture(t)
	for _, name := range []string{"hung", "p"} {
		b.install(name, "1.0", okScript, "20")
		writeOrigin(t, b.versionFolder(name, "1.0"), name, plugin.BySHA256)
	}
	verified := func() map[string]plugin.Verified {
		began := time.Now()
		list, err := b.List(t.Context())
		if took := time.Since(began); err != nil || took > 5*time.Second {
			t.Fatalf("list took %v, %v", took, err)
		}
		got := map[string]plugin.Verified{}
		for _, p := range list.Plugins {
			got[p.Name] = p.Verified
		}
		return got
	}
	verified()
	testenv.MountHung(t, b.versionFolder("hung", "1.0"))
	for range 3 {
		if got := verified(); got["hung"] != plugin.BySHA256 || got["p"] != plugin.BySHA256 {
			t.Errorf("remembered: %v", got)
		}
	}
	b.Manager = New(Options{Root: b.root, Runner: b.runner, Registry: b.registry})
	var got map[string]plugin.Verified
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if got = verified(); got["p"] == plugin.BySHA256 {
			break
		}
	}
	if got["hung"] != plugin.VerifiedUnknown || got["p"] != plugin.BySHA256 {
		t.Errorf("by a new manager: %v", got)
	}
}

// A file that replaces the known one is read again.
func TestOriginIsReadAgain(t *testing.T) {
	b := newFixture(t)
	b.install("p", "1.0", okScript, "20")
	for _, by := range []plugin.Verified{plugin.ByMD5, plugin.BySHA256} {
		writeOrigin(t, b.versionFolder("p", "1.0"), "p", by)
		if got := b.listVerified("p"); got != by {
			t.Errorf("verified by %q, want %q", got, by)
		}
	}
}

func writeOrigin(t *testing.T, dir, name string, by plugin.Verified) {
	t.Helper()
	path := filepath.Join(dir, layout.Origin)
	_ = os.Remove(path)
	text := `{"name":"` + name + `","version":"1.0","verified":"` + string(by) + `"}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
