package native

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/install/manifest"
	"pluginsupervisor/internal/transaction"
	"pluginsupervisor/plugin"
)

// newTrustFixture returns a newChangeFixture where a key is trusted, and a function
// that makes signed packages of p.
func newTrustFixture(t *testing.T) (b *fixture, signed func(version, script string, sequence uint64) plugin.Change) {
	t.Helper()
	key, err := manifest.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	b = newChangeFixture(t, daemonScript, func(o *Options) {
		i := newInstaller(t, install.Config{Root: o.Root, TrustedKeys: []manifest.PublicKey{key.Public()}, Accepted: transaction.New(o.Root, nil)})
		o.Packages, o.Prove = packageInstaller{i}, 50*time.Millisecond
	})
	return b, func(version, script string, sequence uint64) plugin.Change {
		t.Helper()
		path := filepath.Join(t.TempDir(), "p.zip")
		writePackage(t, path, map[string]string{
			"config.json": fmt.Sprintf(`{"name":"p","version":%q,"runPath":"run","pluginType":1,"timeout":"20"}`, version), "run": script,
		})
		z, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := manifest.Sign(manifest.Manifest{
			Name: "p", Version: version, Size: int64(len(z)), SHA256: fmt.Sprintf("%x", sha256.Sum256(z)),
			NotAfter: time.Now().Add(time.Hour).Unix(), Sequence: sequence,
		}, key)
		if err == nil {
			err = os.WriteFile(path+".sig", text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		return plugin.Change{Name: "p", Version: version, Package: path, Timeout: time.Minute, Origin: plugin.FromOperator}
	}
}

// UP-06: where keys are trusted, an unpacked version that was never signed, or that
// has a lower sequence than an accepted one, is not installed by the control plane.
func TestUnpackedVersionIsTrustedLikeItsPackage(t *testing.T) {
	b, signed := newTrustFixture(t)
	if got := b.fetchAndChange(t.Context(), offer, plugin.ChangePermit{}); got.Err == nil || !strings.Contains(got.Cause(), "not from a package that a trusted key signed") {
		t.Errorf("never signed: %+v", got)
	}
	b.checkSettled("1.0")
	for i, version := range []string{"3.0", "4.0"} {
		if got := b.fetchAndChange(t.Context(), signed(version, "#!/bin/sh\n"+daemonScript, uint64(5+i)), plugin.ChangePermit{}); got.Err != nil {
			t.Fatalf("%s: %+v", version, got)
		}
	}
	older := plugin.Change{Name: "p", Version: "3.0", Timeout: time.Minute}
	if got := b.fetchAndChange(t.Context(), older, plugin.ChangePermit{}); got.Err == nil || !strings.Contains(got.Cause(), "is a replay: its sequence is 5, 6 was accepted before") {
		t.Errorf("an older one: %+v", got)
	}
	b.checkSettled("4.0")
	older.Origin = plugin.FromOperator
	if got := b.fetchAndChange(t.Context(), older, plugin.ChangePermit{}); got.Err != nil {
		t.Errorf("by an operator: %+v", got)
	}
	b.checkSettled("3.0")
}

// UP-06: the sequence of a package that cannot be run, or that is rolled back, is not
// saved: packages with lower ones are no replays.
func TestSequenceIsSavedOnCommit(t *testing.T) {
	for name, script := range map[string]string{"cannot be run": "\x7fELF", "is rolled back": "#!/bin/sh\nBROKEN=1" + daemonScript} {
		t.Run(name, func(t *testing.T) {
			b, signed := newTrustFixture(t)
			if got := b.fetchAndChange(t.Context(), signed("2.0", script, 100), plugin.ChangePermit{}); got.Err == nil {
				t.Errorf("broken: %+v", got)
			}
			if last, err := b.changes.LastSequence(t.Context(), "p"); last != 0 || err != nil {
				t.Errorf("sequence %d, %v", last, err)
			}
			if got := b.fetchAndChange(t.Context(), signed("1.2", "#!/bin/sh\n"+daemonScript, 50), plugin.ChangePermit{}); got.Err != nil {
				t.Errorf("a lower one: %+v", got)
			}
			if last, err := b.changes.LastSequence(t.Context(), "p"); last != 50 || err != nil {
				t.Errorf("sequence %d, %v", last, err)
			}
		})
	}
}
