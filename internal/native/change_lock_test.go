package native

import (
	"errors"
	"os"
	"testing"
	"time"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/transaction"
	"pluginsupervisor/plugin"
)

// isHeldExclusively reports whether another program would have to wait for a shared
// lock.
func (b *fixture) isHeldExclusively(name string) bool {
	f, err := os.Open(layout.NameLock(b.root, name))
	if err != nil {
		b.t.Error(err)
		return false
	}
	defer f.Close()
	err = lock.TryFile(f, false)
	if err != nil && !errors.Is(err, lock.ErrHeld) {
		b.t.Error(err)
	}
	return err != nil
}

// RS-11: a change holds the lock exclusively for the switch and for undoing, and shares
// it while the new version proves itself.
func TestChangeSharesTheLockForTheProof(t *testing.T) {
	for name, script := range map[string]string{
		"RS-11 it stays": okScript,
		"RS-11 undone":   `test "$1" = --status && test -e "$PLUGIN_DIR/running" && test -e "$PLUGIN_DIR/unhealthy" && exit 1` + "\n" + okScript,
	} {
		t.Run(name, func(t *testing.T) {
			b := newFixture(t, func(o *Options) { o.Prove = 300 * time.Millisecond })
			b.install("p", "1.0", okScript, "20")
			b.touch("plugin", "p", "1.0", "running")
			b.unpack("p", "2.0", script, "")
			undone := name == "RS-11 undone"
			exclusive := map[string]bool{}
			b.setStep(func(step string) error {
				exclusive[step] = b.isHeldExclusively("p")
				if undone && step == "prove" {
					b.touch("plugin", "p", "2.0", "unhealthy")
				}
				return nil
			})
			if got := b.fetchAndChange(t.Context(), offer, plugin.ChangePermit{StatusBefore: plugin.StatusRunning}); got.RolledBack != undone {
				t.Errorf("changed: %+v", got)
			}
			for step, want := range map[string]bool{"--stop 1.0": true, "record 2.0": true, "--upgrade 2.0": true, "prove": false} {
				if got, reached := exclusive[step]; got != want || !reached {
					t.Errorf("%s: held exclusively %t, want %t, step reached %t", step, got, want, reached)
				}
			}
			if undone && !exclusive["record 1.0"] {
				t.Error("undone under the shared lock")
			}
			if b.isHeldExclusively("p") {
				t.Error("the lock is held after the change")
			}
		})
	}
}

// RS-11: a rollback waits 5 s for the exclusive lock, then goes on under the shared
// one.
func TestRollbackDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	b := newFixture(t, func(o *Options) { o.Prove = 300 * time.Millisecond })
	b.install("p", "1.0", okScript, "20")
	b.touch("plugin", "p", "1.0", "running")
	b.unpack("p", "2.0", `test "$1" = --status && test -e "$PLUGIN_DIR/unhealthy" && exit 1`+"\n"+okScript, "")
	var began time.Time
	b.setStep(func(step string) error {
		if step == "prove" {
			b.holdLock("p", false)
			b.touch("plugin", "p", "2.0", "unhealthy")
			began = time.Now()
		}
		return nil
	})
	got := b.fetchAndChange(t.Context(), offer, plugin.ChangePermit{StatusBefore: plugin.StatusRunning})
	if took := time.Since(began); !got.RolledBack || got.Status != plugin.StatusRunning || took < undoLockTimeout || took > 3*undoLockTimeout {
		t.Errorf("after %v: %+v", took, got)
	}
	if v := b.findPlugin("p").Version; v != "1.0" {
		t.Errorf("recorded %s", v)
	}
}

// RS-11: a change of another program during the proof stays: the own change is neither
// undone nor committed.
func TestChangeIsSuperseded(t *testing.T) {
	for name, tt := range map[string]struct {
		do      func(*fixture) error
		version string
		removed bool
	}{
		"RS-11 removed": {func(b *fixture) error { return b.registry.MarkRemoved(b.t.Context(), "p") }, "", true},
		"RS-11 another version": {func(b *fixture) error {
			b.install("p", "3.0", okScript, "20")
			b.touch("plugin", "p", "3.0", "running")
			return os.Remove(b.versionFolder("p", "2.0") + "/running")
		}, "3.0", false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFixture(t, func(o *Options) { o.Prove = 300 * time.Millisecond })
			b.install("p", "1.0", okScript, "20")
			b.touch("plugin", "p", "1.0", "running")
			b.unpack("p", "2.0", okScript, "")
			b.setStep(func(step string) error {
				if step == "prove" {
					return tt.do(b)
				}
				return nil
			})
			got := b.fetchAndChange(t.Context(), offer, plugin.ChangePermit{StatusBefore: plugin.StatusRunning})
			if !errors.Is(got.Err, errSuperseded) || got.RolledBack || got.Plugin.Removed != tt.removed {
				t.Errorf("changed: %+v", got)
			}
			if v := b.findPlugin("p").Version; v != tt.version {
				t.Errorf("recorded %q, want %q", v, tt.version)
			}
			var pending []transaction.Transaction
			if pending, _ = b.changes.ListPending(); len(pending) > 0 {
				t.Errorf("pending: %+v, want none", pending)
			}
		})
	}
}
