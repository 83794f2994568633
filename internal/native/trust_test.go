package native

import (
	"archive/zip"
	"crypto/sha256"
	"errors"
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

// trustBench is a changeBench where a key is trusted, with signed packages of p.
func trustBench(t *testing.T) (b *bench, signed func(version, script string, sequence uint64) plugin.Change) {
	t.Helper()
	key, err := manifest.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	b = changeBench(t, daemon, func(o *Options) {
		i, err := install.New(install.Config{
			Root: o.Root, OS: "linux", Arch: "x64", TrustedKeys: []manifest.PublicKey{key.Public()}, Accepted: transaction.New(o.Root, nil),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(i.Close)
		o.Packages, o.Prove = packaged{i}, 50*time.Millisecond
	})
	return b, func(version, script string, sequence uint64) plugin.Change {
		t.Helper()
		path := filepath.Join(t.TempDir(), "p.zip")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		w := zip.NewWriter(f)
		for name, text := range map[string]string{
			"config.json": fmt.Sprintf(`{"name":"p","version":%q,"runPath":"run","pluginType":1,"timeout":"20"}`, version), "run": script,
		} {
			file, err := w.Create(name)
			if err == nil {
				_, err = file.Write([]byte(text))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(w.Close(), f.Close()); err != nil {
			t.Fatal(err)
		}
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

// UP-06: where keys are trusted, what lies unpacked and was never signed, or has
// been passed by a higher sequence, is not installed because it is offered.
func TestUnpackedIsTrustedAsItsPackage(t *testing.T) {
	b, signed := trustBench(t)
	if got := b.make(t.Context(), offer, plugin.ChangePermit{}); got.Err == nil || !strings.Contains(got.Cause(), "not from a package that a trusted key signed") {
		t.Errorf("never signed: %+v", got)
	}
	b.settled("1.0")
	for i, version := range []string{"3.0", "4.0"} {
		if got := b.make(t.Context(), signed(version, "#!/bin/sh\n"+daemon, uint64(5+i)), plugin.ChangePermit{}); got.Err != nil {
			t.Fatalf("%s: %+v", version, got)
		}
	}
	older := plugin.Change{Name: "p", Version: "3.0", Timeout: time.Minute}
	if got := b.make(t.Context(), older, plugin.ChangePermit{}); got.Err == nil || !strings.Contains(got.Cause(), "is a replay: its sequence is 5, 6 was accepted before") {
		t.Errorf("an older one: %+v", got)
	}
	b.settled("4.0")
	older.Origin = plugin.FromOperator
	if got := b.make(t.Context(), older, plugin.ChangePermit{}); got.Err != nil {
		t.Errorf("an operator knows better: %+v", got)
	}
	b.settled("3.0")
}

// UP-06: a package that cannot be run, or that is rolled back, leaves its
// sequence unused: the packages with lower ones are no replays.
func TestSequenceHoldsOnceCommitted(t *testing.T) {
	for name, script := range map[string]string{"cannot be run": "\x7fELF", "is rolled back": "#!/bin/sh\nSICK=1" + daemon} {
		t.Run(name, func(t *testing.T) {
			b, signed := trustBench(t)
			if got := b.make(t.Context(), signed("2.0", script, 100), plugin.ChangePermit{}); got.Err == nil {
				t.Errorf("broken: %+v", got)
			}
			if last, err := b.changes.LastSequence(t.Context(), "p"); last != 0 || err != nil {
				t.Errorf("sequence %d, %v", last, err)
			}
			if got := b.make(t.Context(), signed("1.2", "#!/bin/sh\n"+daemon, 50), plugin.ChangePermit{}); got.Err != nil {
				t.Errorf("a lower one: %+v", got)
			}
			if last, err := b.changes.LastSequence(t.Context(), "p"); last != 50 || err != nil {
				t.Errorf("sequence %d, %v", last, err)
			}
		})
	}
}
