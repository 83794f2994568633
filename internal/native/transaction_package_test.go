package native

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pluginsupervisor/internal/failpoint"
	"pluginsupervisor/internal/install"
	"pluginsupervisor/plugin"
)

// packageInstaller stages the package of the change with a real installer.
type packageInstaller struct{ *install.Installer }

func (p packageInstaller) Stage(ctx context.Context, o plugin.Change) (*install.Staged, error) {
	return p.Installer.Stage(ctx, install.Request{Source: o.Package, Name: o.Name, Version: o.Version})
}

// newPackageFixture returns a newChangeFixture whose 2.0 comes as a package.
func newPackageFixture(t *testing.T, step failpoint.Step) (*fixture, plugin.Change) {
	t.Helper()
	b := newChangeFixture(t, daemonScript, func(o *Options) {
		o.Packages, o.Prove = packageInstaller{newInstaller(t, install.Config{Root: o.Root, Step: step})}, 50*time.Millisecond
	})
	path := filepath.Join(t.TempDir(), "p.zip")
	packFolder(t, path, b.versionFolder("p", "2.0"))
	return b, plugin.Change{Name: "p", Version: "2.0", Package: path, Timeout: time.Minute}
}

// checkSwept removes what killed processes left in staging, and checks that nothing
// is staged.
func (b *fixture) checkSwept() {
	b.t.Helper()
	i := newInstaller(b.t, install.Config{Root: b.root})
	// A process that another test is forking may hold a staging lock for a moment.
	eventually(b.t, "nothing is staged", func() bool {
		if _, err := i.Sweep(b.t.Context()); err != nil {
			b.t.Fatal(err)
		}
		left, err := os.ReadDir(filepath.Join(b.root, "supervisor", "staging"))
		return len(left) == 0 && (err == nil || errors.Is(err, os.ErrNotExist))
	})
}

func (b *fixture) checkNothingStaged() {
	b.t.Helper()
	left, err := os.ReadDir(filepath.Join(b.root, "supervisor", "staging"))
	if len(left) > 0 || err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Errorf("staged: %v %v", left, err)
	}
}

// UP-06: when the supervisor is killed at any step of fetching, placing and changing
// to a package, the next one has one whole version recorded and running, and nothing
// staged.
func TestPackageKilled(t *testing.T) {
	points := 0
	for at := 0; at <= points; at++ {
		var passed []string
		cut := false
		pass := func(point string) bool {
			passed = append(passed, point)
			cut = cut || at > 0 && len(passed) == at
			return cut
		}
		b, o := newPackageFixture(t, func(name string) error {
			if pass(name) {
				return killedAt
			}
			return nil
		})
		b.setStep(func(point string) error {
			if pass(point) {
				panic(processKilled{})
			}
			return nil
		})
		b.runKillable(func(ctx context.Context) { b.fetchAndChange(ctx, o, plugin.ChangePermit{}) })
		if at == 0 {
			points = len(passed)
			t.Logf("%d points: %s", points, strings.Join(passed, ", "))
		} else if !cut {
			t.Fatalf("not killed at step %d", at)
		}
		b.restartAndStart()
		b.checkSettledAfter(passed[max(at, 1)-1], true)
		b.checkSwept()
		if r, _, err := b.registry.Find(t.Context(), "p"); err != nil || r.Version == "1.0" && isFolder(b.versionFolder("p", "2.0")) {
			t.Errorf("2.0 is left, and %s recorded: %v", r.Version, err)
		}
		if t.Failed() {
			t.Fatalf("killed at step %d, %q", at, passed[max(at, 1)-1])
		}
	}
}

const killedAt = syscall.EINTR // returned by each step once the process is killed

// UP-06: where the disk is full at one step of a package, the old version runs on,
// the error says so, and with free space the next try succeeds.
func TestPackageDiskFull(t *testing.T) {
	for at, done := 1, false; !done; at++ {
		n, where := 0, ""
		b, o := newPackageFixture(t, func(name string) error {
			if strings.HasPrefix(name, "remove ") { // needs no space
				return nil
			}
			if n++; n == at {
				where = name
				return syscall.ENOSPC
			}
			return nil
		})
		got := b.fetchAndChange(t.Context(), o, plugin.ChangePermit{})
		if done = where == ""; !done {
			if !errors.Is(got.Err, syscall.ENOSPC) || !strings.Contains(got.Cause(), "the disk is full") {
				t.Errorf("full at %q: %+v", where, got)
			}
			b.checkSettled("1.0")
			b.checkNothingStaged()
			if isFolder(b.versionFolder("p", "2.0")) {
				t.Errorf("full at %q: 2.0 is left", where)
			}
			got = b.fetchAndChange(t.Context(), o, plugin.ChangePermit{})
		}
		if got.Err != nil {
			t.Fatalf("with free space after %q: %+v", where, got)
		}
		b.checkSettled("2.0")
		b.checkNothingStaged()
	}
}

// UP-06: where the disk has no space for one entry of the journal, exactly one
// version is recorded and runs, and the next supervisor finishes the change.
func TestJournalDiskFull(t *testing.T) {
	for name, v := range newVersions {
		for _, step := range []string{"prepared", "switching", "proving", "committed", "undoing"} {
			t.Run("UP-06 "+name+", "+step, func(t *testing.T) {
				full := false
				b := newChangeFixture(t, v.script, nil)
				b.setStep(func(point string) error {
					if point == "write "+step { // the write fails
						full = os.Symlink("/dev/full", filepath.Join(b.root, "supervisor", "transactions", "p.json.new")) == nil
					}
					return nil
				})
				got := b.fetchAndChange(t.Context(), offer, plugin.ChangePermit{})
				if step == "prepared" || step == "switching" {
					if !full || !errors.Is(got.Err, syscall.ENOSPC) {
						t.Errorf("full before anything is changed: %+v", got)
					}
					b.checkSettled("1.0")
				}
				b.restartAndStart()
				b.checkSettledAfter("write "+step, v.stays)
			})
		}
	}
}

// UP-06: an operator's request lifts a quarantine when the version is tried again,
// not when its package cannot be fetched.
func TestForceThatFails(t *testing.T) {
	b, o := newPackageFixture(t, nil)
	ban := plugin.QuarantinedVersion{Name: "p", Version: "2.0", Until: time.Now().Add(time.Hour), Cause: "it exited"}
	if err := b.changes.Quarantine(ban); err != nil {
		t.Fatal(err)
	}
	missing := o
	o.Origin, missing.Origin, missing.Package = plugin.FromOperator, plugin.FromOperator, o.Package+".gone"
	if got := b.fetchAndChange(t.Context(), missing, plugin.ChangePermit{}); got.Err == nil {
		t.Errorf("upgraded without a package: %+v", got)
	}
	if refused, err := b.ListQuarantined(); len(refused) != 1 || err != nil {
		t.Errorf("refused: %v, %v", refused, err)
	}
	if got := b.fetchAndChange(t.Context(), o, plugin.ChangePermit{}); got.Err != nil {
		t.Errorf("upgraded: %+v", got)
	}
	if refused, err := b.ListQuarantined(); len(refused) != 0 || err != nil {
		t.Errorf("refused: %v, %v", refused, err)
	}
	b.checkSettled("2.0")
}
