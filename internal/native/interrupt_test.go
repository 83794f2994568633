package native

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/plugin"
)

// interruptAt returns a permit whose interruption is received at a step.
func (b *fixture) interruptAt(at string, i plugin.Interruption) plugin.ChangePermit {
	requests := make(chan plugin.Interruption, 1)
	b.setStep(func(step string) error {
		if step == at && len(requests) == 0 {
			requests <- i
		}
		return nil
	})
	return plugin.ChangePermit{StatusBefore: plugin.StatusRunning, Interrupt: requests}
}

// checkRunsAs checks which version is recorded, whether it runs, and that the change
// is finished.
func (b *fixture) checkRunsAs(want string, running bool) {
	b.t.Helper()
	if running {
		b.checkSettled(want)
		return
	}
	if got := b.findPlugin("p").Version; got != want {
		b.t.Errorf("recorded: %s, want %s", got, want)
	}
	if got := b.listRunningVersions(); len(got) > 0 {
		b.t.Errorf("running: %v, want none", got)
	}
	if pending, err := b.Unfinished(); len(pending) > 0 || err != nil {
		b.t.Errorf("unfinished: %+v %v", pending, err)
	}
}

func (b *fixture) checkNotQuarantined() {
	b.t.Helper()
	if bans, err := b.ListQuarantined(); len(bans) > 0 || err != nil {
		b.t.Errorf("in quarantine: %+v %v", bans, err)
	}
}

// UP-12: an operator interrupts an upgrade at any step. The old version is restored,
// stopped if the operator wants that, and the new one is not quarantined.
func TestInterrupted(t *testing.T) {
	for at, want := range map[string]struct {
		switched, touched, stays bool
	}{
		"write prepared":  {},
		"write switching": {touched: true},
		"--stop 1.0":      {touched: true},
		"record 2.0":      {touched: true, switched: true},
		"--upgrade 2.0":   {touched: true, switched: true},
		"write proving":   {touched: true, switched: true},
		"prove":           {touched: true, switched: true},
		"write committed": {touched: true, stays: true},
	} {
		for _, leave := range []bool{false, true} {
			name := "UP-12 " + at
			if leave {
				name += ", left stopped"
			}
			t.Run(name, func(t *testing.T) {
				b := newChangeFixture(t, daemonScript, func(o *Options) {
					if at != "write committed" {
						o.Prove = time.Hour
					}
				})
				got := b.fetchAndChange(t.Context(), offer, b.interruptAt(at, plugin.Interruption{LeaveStopped: leave}))
				if want.stays {
					if got.Err != nil || got.Status != plugin.StatusRunning {
						t.Errorf("upgraded: %+v", got)
					}
					b.checkRunsAs("2.0", true)
					return
				}
				runs, status := !leave || !want.touched, plugin.StatusUnknown
				if want.touched {
					if status = plugin.StatusRunning; leave {
						status = plugin.StatusFailed
					}
				}
				if !errors.Is(got.Err, plugin.ErrInterrupted) || got.RolledBack != want.switched || got.Status != status || got.Plugin.Version != "1.0" {
					t.Errorf("interrupted: %+v", got)
				}
				b.checkRunsAs("1.0", runs)
				b.checkNotQuarantined()
			})
		}
	}
}

// UP-12: a running verb is not killed.
func TestInterruptedVerbFinishes(t *testing.T) {
	b := newChangeFixture(t, `test "$1" = --upgrade && sleep 0.3 && touch "$PLUGIN_DIR/../finished"`+daemonScript, nil)
	got := b.fetchAndChange(t.Context(), offer, b.interruptAt("--upgrade 2.0", plugin.Interruption{}))
	if !errors.Is(got.Err, plugin.ErrInterrupted) {
		t.Errorf("interrupted: %+v", got)
	}
	if !isFile(b.versionFolder("p", "finished")) {
		t.Error("--upgrade was killed")
	}
	b.checkRunsAs("1.0", true)
}

// UP-12: an interruption ends the wait for another program that holds the lock.
func TestInterruptedWhileItWaits(t *testing.T) {
	b := newFixture(t)
	before := b.install("p", "1.0", okScript, "20")
	b.unpack("p", "2.0", okScript, "")
	b.holdLock("p", true)
	requests := make(chan plugin.Interruption)
	go func() {
		eventually(t, "waiting is logged", func() bool { return len(b.findLogged(waitingLine)) > 0 })
		requests <- plugin.Interruption{}
	}()
	got := b.fetchAndChange(t.Context(), offer, plugin.ChangePermit{StatusBefore: plugin.StatusRunning, Interrupt: requests})
	if !errors.Is(got.Err, plugin.ErrInterrupted) || got.Status != plugin.StatusUnknown || got.Plugin != before || b.readCalls() != nil {
		t.Errorf("interrupted: %+v after %q", got, b.readCalls())
	}
}

// UP-12: an interruption that comes while a bad version is undone keeps the old one
// stopped. The bad one is quarantined all the same.
func TestInterruptedWhileItIsUndone(t *testing.T) {
	b := newChangeFixture(t, newVersions["never starts"].script, nil)
	got := b.fetchAndChange(t.Context(), offer, b.interruptAt("--stop 2.0", plugin.Interruption{LeaveStopped: true}))
	if !errors.Is(got.Err, plugin.ErrInterrupted) || !got.RolledBack || got.Status != plugin.StatusFailed {
		t.Errorf("interrupted: %+v", got)
	}
	b.checkRunsAs("1.0", false)
	if bans, err := b.ListQuarantined(); len(bans) != 1 || err != nil {
		t.Errorf("in quarantine: %+v %v", bans, err)
	}
}

// UP-12: where there is no older version, the new one stays installed.
func TestInterruptedFirstVersion(t *testing.T) {
	for _, leave := range []bool{false, true} {
		b := newChangeFixture(t, daemonScript, func(o *Options) { o.Prove = time.Hour })
		if got := b.fetchAndChange(t.Context(), plugin.Change{Kind: plugin.ChangeRemove, Name: "p"}, plugin.ChangePermit{}); got.Err != nil {
			t.Fatal(got.Err)
		}
		b.unpack("p", "2.0", daemonScript, "")
		got := b.fetchAndChange(t.Context(), offer, b.interruptAt("prove", plugin.Interruption{LeaveStopped: leave}))
		status := plugin.StatusRunning
		if leave {
			status = plugin.StatusFailed
		}
		if !errors.Is(got.Err, plugin.ErrInterrupted) || !strings.Contains(got.Cause(), "2.0 stays installed") || got.RolledBack || got.Status != status {
			t.Errorf("leave stopped %t: %+v", leave, got)
		}
		b.checkRunsAs("2.0", !leave)
		b.checkNotQuarantined()
	}
}

// UP-12: a removal is undone as long as `--uninstall` has not run.
func TestInterruptedRemoval(t *testing.T) {
	removal := plugin.Change{Kind: plugin.ChangeRemove, Name: "p", Origin: plugin.FromOperator}
	for _, leave := range []bool{false, true} {
		b := newChangeFixture(t, daemonScript, nil)
		got := b.fetchAndChange(t.Context(), removal, b.interruptAt("--stop 1.0", plugin.Interruption{LeaveStopped: leave}))
		if !errors.Is(got.Err, plugin.ErrInterrupted) || got.Plugin.Removed || slices.Contains(b.readCalls(), "--uninstall 1.0 from -") {
			t.Errorf("leave stopped %t: %+v", leave, got)
		}
		b.checkRunsAs("1.0", !leave)
	}
	b := newChangeFixture(t, daemonScript, nil)
	if got := b.fetchAndChange(t.Context(), removal, b.interruptAt("--uninstall 1.0", plugin.Interruption{})); got.Err != nil || got.Status != plugin.StatusRemoved {
		t.Errorf("interrupted during --uninstall: %+v", got)
	}
}

// UP-12: the process is killed at each step after an interruption. The next one does
// not start the old version, because the journal says so or because it gets the
// operator's request again.
func TestInterruptedAndKilled(t *testing.T) {
	points := 0
	for at := 0; at <= points; at++ {
		var passed []string
		b := newChangeFixture(t, daemonScript, func(o *Options) { o.Prove = time.Hour })
		requests := make(chan plugin.Interruption, 1)
		interrupted, cut := false, false
		b.setStep(func(step string) error {
			if step == "prove" {
				requests <- plugin.Interruption{LeaveStopped: true}
				interrupted = true
				return nil
			}
			if !interrupted {
				return nil
			}
			if passed = append(passed, step); cut || at > 0 && len(passed) == at {
				cut = true
				panic(processKilled{})
			}
			return nil
		})
		b.runKillable(func(ctx context.Context) {
			b.fetchAndChange(ctx, offer, plugin.ChangePermit{StatusBefore: plugin.StatusRunning, Interrupt: requests})
		})
		if at == 0 {
			points = len(passed)
			t.Logf("%d points: %s", points, strings.Join(passed, ", "))
			b.checkRunsAs("1.0", false)
			continue
		}
		where := passed[len(passed)-1]
		b.restartSupervisor(!slices.Contains(passed, "flush undoing"))
		b.checkRunsAs("1.0", false)
		b.checkNotQuarantined()
		if t.Failed() {
			t.Fatalf("killed at step %d, %q", at, where)
		}
	}
}

// UP-12: the operator's request is found at the start, with a change that was killed:
// that is undone. A version that had not been stopped yet keeps running.
func TestResumedAndInterrupted(t *testing.T) {
	for at, runs := range map[string]bool{
		"write switching": true, "--stop 1.0": true, "record 2.0": false, "--upgrade 2.0": false, "write proving": false, "prove": false,
	} {
		t.Run("UP-12 "+at, func(t *testing.T) {
			b := newChangeFixture(t, daemonScript, nil)
			b.setStep(func(step string) error {
				if step == at {
					panic(processKilled{})
				}
				return nil
			})
			b.runKillable(func(ctx context.Context) { b.fetchAndChange(ctx, offer, plugin.ChangePermit{}) })
			b.restartSupervisor(true)
			b.checkRunsAs("1.0", runs)
			b.checkNotQuarantined()
		})
	}
}
