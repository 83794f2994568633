package native

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/failpoint"
	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/plugin"
)

// newReinstallFixture has 1.0 installed, with data, and a package of 1.0 that is
// another one. script is its executable.
func newReinstallFixture(t *testing.T, script string, step failpoint.Step) (*fixture, plugin.Change) {
	t.Helper()
	b := newChangeFixture(t, daemonScript, func(o *Options) {
		i, err := install.New(install.Config{Root: o.Root, OS: "linux", Arch: "x64", Step: step})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(i.Close)
		o.Packages, o.Prove = packageInstaller{i}, 400*time.Millisecond
	})
	path := filepath.Join(t.TempDir(), "p.zip")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(f)
	for name, text := range map[string]string{
		"config.json": `{"name":"p","version":"1.0","runPath":"run","pluginType":1,"timeout":"20"}`, "run": script, "new": "",
	} {
		file, err := w.Create(name)
		if err == nil {
			_, err = file.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), f.Close(), os.WriteFile(filepath.Join(b.versionFolder("p", "1.0"), "data"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	return b, plugin.Change{Name: "p", Version: "1.0", Package: path, Timeout: time.Minute, Kind: plugin.ChangeInstall}
}

// checkReinstalled checks that 1.0 is whole, the one before or the new one where that
// stays, runs, and that nothing of an exchange is left. It returns whether it is
// the new one.
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

// UP-13: a package of the version that runs takes its place only if it is as
// good; refused or rolled back, what was there is there, with its data.
func TestReinstall(t *testing.T) {
	for name, v := range newVersions {
		t.Run("UP-13 "+name, func(t *testing.T) {
			b, o := newReinstallFixture(t, "#!/bin/sh\n"+v.script, nil)
			got := b.fetchAndChange(t.Context(), o, plugin.ChangePermit{})
			if (got.Err == nil) != v.stays || got.RolledBack == v.stays || got.Status != plugin.StatusRunning {
				t.Errorf("reinstalled: %+v", got)
			}
			if b.checkReinstalled(v.stays) != v.stays {
				t.Error("the wrong one is there")
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
			t.Errorf("the one that runs was touched: %q", calls)
		}
	})
	t.Run("UP-12 an operator stops it meanwhile", func(t *testing.T) {
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

// UP-13: killed at any point of a reinstallation, and at any of what the next
// life then does, 1.0 is whole and runs.
func TestReinstallCutShort(t *testing.T) {
	for name, script := range map[string]string{"good": daemonScript, "never starts": "SICK=1" + daemonScript} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they wait most of the time
			points := 0
			for at := 0; at <= points; at++ {
				var passed []string
				fetched, cut := false, false // TestPackageCutShort kills while it is fetched
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
					t.Fatalf("not cut short at %d", at)
				}
				b.restartAndKill(at % 5)
				b.restartAndStart()
				b.checkSwept()
				b.checkReinstalled(script == daemonScript)
				if t.Failed() {
					t.Fatalf("cut short at %d, %q", at, passed[max(at, 1)-1])
				}
			}
		})
	}
}

// restartAndKill starts the supervisor and kills it after a few steps of what it resumes.
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

// EV-32: a folder that cannot be renamed is removed where it is, and one that
// cannot be deleted is told.
func TestDiscard(t *testing.T) {
	b := newFixture(t)
	b.install("p", "1.0", okScript, "20")
	dir := b.versionFolder("p", "1.0")
	b.setStep(func(step string) error {
		if step == "set aside p" {
			return unix.EXDEV
		}
		return nil
	})
	got := b.fetchAndChange(t.Context(), plugin.Change{Name: "p", Kind: plugin.ChangeRemove}, plugin.ChangePermit{})
	if got.Err != nil || got.Note != "" || isFolder(filepath.Dir(dir)) || len(b.listUndeleted()) > 0 {
		t.Errorf("removed: %+v", got)
	}
	b.install("p", "1.0", okScript, "20")
	b.setStep(func(step string) error {
		if step == "remove p" {
			return unix.EPERM
		}
		return nil
	})
	got = b.fetchAndChange(t.Context(), plugin.Change{Name: "p", Kind: plugin.ChangeRemove}, plugin.ChangePermit{})
	if got.Err != nil || !strings.Contains(got.Note, "could not be deleted: operation not permitted") || got.Status != plugin.StatusRemoved {
		t.Errorf("removed: %+v", got)
	}
	if problems := b.listUndeleted(); len(problems) != 1 || !strings.Contains(problems[0].Why, filepath.Dir(dir)) {
		t.Errorf("problems: %+v", problems)
	}
}

// UP-15: the current version and the one before it by history stay, whatever
// their order, and an operator goes back to that one.
func TestVersionsStayByHistory(t *testing.T) {
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
		t.Errorf("there are %s", got)
	}
	for _, want := range []string{"99-rc", "6"} {
		got := b.fetchAndChange(t.Context(), plugin.Change{Name: "p", Kind: plugin.ChangeRollback, Origin: plugin.FromOperator}, plugin.ChangePermit{})
		if got.Err != nil || got.Plugin.Version != want {
			t.Errorf("rolled back: %+v, want %s", got, want)
		}
	}
	if got := versions(); got != "[100 6 99-rc] <nil>" {
		t.Errorf("there are %s", got)
	}
	// The same version again does not make it its own predecessor.
	if got := b.fetchAndChange(t.Context(), plugin.Change{Name: "p", Version: "6"}, plugin.ChangePermit{}); got.Err != nil {
		t.Errorf("again: %+v", got)
	}
	if got := versions(); got != "[100 6 99-rc] <nil>" {
		t.Errorf("there are %s", got)
	}
}

// EV-32: a command that installs by itself was killed between the two renames of
// an exchange. The next supervisor brings the folder back, unless another
// program works on the plugin.
func TestEndExchanges(t *testing.T) {
	b := newFixture(t)
	b.install("p", "1.0", okScript, "20")
	old := layout.Replaced(b.root, "p")
	err := errors.Join(
		os.MkdirAll(filepath.Dir(old), 0o700),
		os.Rename(b.versionFolder("p", "1.0"), old),
		os.Mkdir(filepath.Join(filepath.Dir(old), "torn.new"), 0o700), // whose it is is not known
	)
	if err != nil {
		t.Fatal(err)
	}
	release, _, err := lock.Shared(t.Context(), layout.NameLock(b.root, "p"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.CleanUp(t.Context()); err != nil || isFolder(b.versionFolder("p", "1.0")) {
		t.Errorf("under another's lock: %v, back %t", err, isFolder(b.versionFolder("p", "1.0")))
	}
	release()
	if err := b.CleanUp(t.Context()); err != nil || !isFolder(b.versionFolder("p", "1.0")) || isFolder(old) {
		t.Errorf("%v, back %t, left %t", err, isFolder(b.versionFolder("p", "1.0")), isFolder(old))
	}
}
