package native

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/internal/failpoint"
	"pluginsupervisor/internal/install"
	"pluginsupervisor/plugin"
)

// newReinstallFixture returns a fixture with 1.0 installed, with data, and another
// package of 1.0. script is its executable.
func newReinstallFixture(t *testing.T, script string, step failpoint.Step) (*fixture, plugin.Change) {
	t.Helper()
	b := newChangeFixture(t, daemonScript, func(o *Options) {
		o.Packages, o.Prove = packageInstaller{newInstaller(t, install.Config{Root: o.Root, Step: step})}, 400*time.Millisecond
	})
	path := filepath.Join(t.TempDir(), "p.zip")
	writePackage(t, path, map[string]string{
		"config.json": `{"name":"p","version":"1.0","runPath":"run","pluginType":1,"timeout":"20"}`, "run": script, "new": "",
	})
	b.touch("plugin", "p", "1.0", "data")
	return b, plugin.Change{Name: "p", Version: "1.0", Package: path, Timeout: time.Minute, Kind: plugin.ChangeInstall}
}

// checkReinstalled checks that 1.0 is whole and runs, and that no exchange is left. It
// is the old package, or the new one where that stays. It reports whether it is the
// new one.
func (b *fixture) checkReinstalled(stays bool) bool {
	b.t.Helper()
	b.checkSettled("1.0")
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(b.versionFolder("p", "1.0"), name))
		return err == nil
	}
	if has("data") == has("new") || has("new") && !stays {
		b.t.Errorf("the folder has the old one's data: %t, the new one's: %t", has("data"), has("new"))
	}
	if left, err := os.ReadDir(filepath.Join(b.root, "supervisor", "replaced")); len(left) > 0 || err != nil && !os.IsNotExist(err) {
		b.t.Errorf("left: %v, %v", left, err)
	}
	return has("new")
}

// UP-13: a package of the running version replaces it only if it is as good. When it
// is refused or rolled back, the old folder is there, with its data.
func TestReinstall(t *testing.T) {
	for name, v := range newVersions {
		t.Run("UP-13 "+name, func(t *testing.T) {
			b, o := newReinstallFixture(t, "#!/bin/sh\n"+v.script, nil)
			got := b.fetchAndChange(t.Context(), o, plugin.ChangePermit{})
			if (got.Err == nil) != v.stays || got.RolledBack == v.stays || got.Status != plugin.StatusRunning {
				t.Errorf("reinstalled: %+v", got)
			}
			if b.checkReinstalled(v.stays) != v.stays {
				t.Errorf("the new package is installed: %t, want %t", !v.stays, v.stays)
			}
			b.checkNothingStaged()
		})
	}
	t.Run("UP-13 an executable of another machine", func(t *testing.T) {
		b, o := newReinstallFixture(t, "\x7fELF no program", nil)
		before := b.readCalls()
		if got := b.fetchAndChange(t.Context(), o, plugin.ChangePermit{}); got.Err == nil || got.RolledBack || !strings.Contains(got.Cause(), "cannot be run") {
			t.Errorf("reinstalled: %+v", got)
		}
		b.checkReinstalled(false)
		if calls := b.readCalls()[len(before):]; len(calls) != 1 {
			t.Errorf("ran %q, want one --status", calls)
		}
	})
	t.Run("UP-12 an operator stops it during --upgrade", func(t *testing.T) {
		b, o := newReinstallFixture(t, "#!/bin/sh\n"+daemonScript, nil)
		requests := make(chan plugin.Interruption, 1)
		b.setStep(func(step string) error {
			if step == "--upgrade 1.0" {
				requests <- plugin.Interruption{}
			}
			return nil
		})
		if got := b.fetchAndChange(t.Context(), o, plugin.ChangePermit{Interrupt: requests}); !errors.Is(got.Err, plugin.ErrInterrupted) {
			t.Errorf("reinstalled: %+v", got)
		}
		b.checkReinstalled(false)
	})
}

// UP-13: when the supervisor is killed at any step of a reinstallation, and the next
// one at any step of its recovery, 1.0 is whole and runs.
func TestReinstallKilled(t *testing.T) {
	for name, script := range map[string]string{"good": daemonScript, "never starts": "BROKEN=1" + daemonScript} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // both wait most of the time
			points := 0
			for at := 0; at <= points; at++ {
				var passed []string
				fetched, cut := false, false // TestPackageKilled kills while it is fetched
				pass := func(point string) bool {
					if fetched {
						passed = append(passed, point)
						cut = cut || at > 0 && len(passed) == at
					}
					return cut
				}
				b, o := newReinstallFixture(t, "#!/bin/sh\n"+script, func(name string) error {
					if pass(name) {
						return killedAt
					}
					return nil
				})
				b.proveWindow = 20 * time.Millisecond
				b.setStep(func(point string) error {
					if pass(point) {
						panic(processKilled{})
					}
					return nil
				})
				if err := b.Fetch(t.Context(), o); err != nil {
					t.Fatal(err)
				}
				fetched = true
				b.runKillable(func(ctx context.Context) { b.Change(ctx, o, plugin.ChangePermit{}) })
				if at == 0 {
					points = len(passed)
					t.Logf("%d points: %s", points, strings.Join(passed, ", "))
				} else if !cut {
					t.Fatalf("not killed at step %d", at)
				}
				b.restartAndKill(at % 5)
				b.restartAndStart()
				b.checkSwept()
				b.checkReinstalled(script == daemonScript)
				if t.Failed() {
					t.Fatalf("killed at step %d, %q", at, passed[max(at, 1)-1])
				}
			}
		})
	}
}

// restartAndKill starts the supervisor and kills it after a few steps of the change that it resumes.
func (b *fixture) restartAndKill(steps int) {
	b.runKillable(func(ctx context.Context) {
		b.Manager = New(b.options())
		b.setStep(func(string) error {
			if steps--; steps < 0 {
				panic(processKilled{})
			}
			return nil
		})
		pending, err := b.Unfinished()
		if err != nil {
			b.t.Error(err)
		}
		for _, o := range pending {
			b.fetchAndChange(ctx, o, plugin.ChangePermit{})
		}
	})
}
