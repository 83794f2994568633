package native

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/plugin"
)

// holdLock takes a plugin's name lock as another program would.
func (b *fixture) holdLock(name string, exclusive bool) (release func()) {
	b.t.Helper()
	take := lock.Shared
	if exclusive {
		take = lock.Exclusive
	}
	release, _, err := take(withTimeout(b.t, 20*time.Second), layout.NameLock(b.root, name), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(release)
	return release
}

const waitingLine = "Waiting for another program to release the plugin's lock"

// whileWaiting runs do in the background, and calls meanwhile once do waits for the
// name lock. Then it releases the lock and returns the outcome of do.
func (b *fixture) whileWaiting(exclusive bool, do func() plugin.Outcome, meanwhile func()) plugin.Outcome {
	b.t.Helper()
	release := b.holdLock("p", exclusive)
	done := make(chan plugin.Outcome, 1)
	go func() { done <- do() }()
	eventually(b.t, "waiting is logged", func() bool { return len(b.findLogged(waitingLine)) > 0 })
	if got := b.readCalls(); got != nil {
		b.t.Errorf("run while the lock was held: %q", got)
	}
	meanwhile()
	release()
	return <-done
}

func TestNameLock(t *testing.T) {
	tests := map[string]struct {
		do        func(*fixture, context.Context, plugin.Plugin) plugin.Outcome
		meanwhile func(*fixture)
		want      plugin.Outcome
		calls     []string
	}{
		"RS-11 start of a plugin that another program starts": {
			do:        func(b *fixture, ctx context.Context, p plugin.Plugin) plugin.Outcome { return b.Start(ctx, p) },
			meanwhile: func(b *fixture) { b.touch("plugin", "p", "1.0", "running") },
			want:      plugin.Outcome{Verb: plugin.VerbStart, Skipped: true},
			calls:     []string{"--status 1.0 from -"},
		},
		"RS-11 start of a plugin that does not run": {
			do:        func(b *fixture, ctx context.Context, p plugin.Plugin) plugin.Outcome { return b.Start(ctx, p) },
			meanwhile: func(*fixture) {},
			want:      plugin.Outcome{Verb: plugin.VerbStart},
			calls:     []string{"--status 1.0 from -", "--start 1.0 from -"},
		},
		"RS-11 start of a plugin that another program upgrades": {
			do: func(b *fixture, ctx context.Context, p plugin.Plugin) plugin.Outcome { return b.Start(ctx, p) },
			meanwhile: func(b *fixture) {
				b.install("p", "2.0", okScript, "60")
				b.touch("plugin", "p", "2.0", "running")
			},
			want:  plugin.Outcome{Verb: plugin.VerbStart, Skipped: true},
			calls: []string{"--status 2.0 from -"},
		},
		"RS-11 stop": {
			do:        func(b *fixture, ctx context.Context, p plugin.Plugin) plugin.Outcome { return b.Stop(ctx, p) },
			meanwhile: func(*fixture) {},
			want:      plugin.Outcome{Verb: plugin.VerbStop},
			calls:     []string{"--stop 1.0 from -", "--status 1.0 from -"},
		},
		"RS-11 restart": {
			do:        func(b *fixture, ctx context.Context, p plugin.Plugin) plugin.Outcome { return b.Restart(ctx, p) },
			meanwhile: func(*fixture) {},
			want:      plugin.Outcome{Verb: plugin.VerbStart},
			calls:     []string{"--stop 1.0 from -", "--status 1.0 from -", "--start 1.0 from -"},
		},
	}
	for name, tt := range tests {
		for how, exclusive := range map[string]bool{"shared": false, "exclusively": true} {
			t.Run(name+", held "+how, func(t *testing.T) {
				b := newFixture(t)
				p := b.install("p", "1.0", okScript, "60")
				got := b.whileWaiting(exclusive, func() plugin.Outcome { return tt.do(b, t.Context(), p) }, func() { tt.meanwhile(b) })
				if !reflect.DeepEqual(got, tt.want) {
					t.Errorf("got %+v, want %+v", got, tt.want)
				}
				if diff := cmp.Diff(tt.calls, b.readCalls()); diff != "" {
					t.Error(diff)
				}
				if lines := b.findLogged(waitingLine); len(lines) != 1 || lines[0].Data["plugin"] != "p" {
					t.Errorf("logged %d times: %v", len(lines), lines)
				}
			})
		}
	}
}

func TestDeadlineBeginsWithTheNameLock(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	p := b.install("p", "1.0", okScript, "3")
	got := b.whileWaiting(true, func() plugin.Outcome { return b.Start(t.Context(), p) }, func() {
		// RS-11: the plugin's own deadline passes while it waits, and does not count.
		<-time.After(3500 * time.Millisecond)
	})
	if got.Err != nil || got.TimedOut {
		t.Errorf("got %+v", got)
	}
}

func TestNameLockWaitEndsWithContext(t *testing.T) {
	b := newFixture(t)
	p := b.install("p", "1.0", okScript, "60")
	b.holdLock("p", false)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		eventually(t, "waiting is logged", func() bool { return len(b.findLogged(waitingLine)) > 0 })
	}()
	if got := b.Start(ctx, p); !errors.Is(got.Err, context.Canceled) || b.readCalls() != nil {
		t.Errorf("got %+v after %q", got, b.readCalls())
	}
}

// RS-11: probes ignore the lock.
func TestProbesIgnoreTheNameLock(t *testing.T) {
	b := newFixture(t)
	p := b.install("p", "1.0", "exit 0", "60")
	b.holdLock("p", true)
	if got := b.Check(t.Context(), p); got.Status != plugin.StatusRunning {
		t.Errorf("check: %+v", got)
	}
	if err := b.Probe(t.Context(), []plugin.Plugin{p}, func(plugin.Probe) {}); err != nil {
		t.Error(err)
	}
}

// RS-11: a start holds the lock exclusively for 5 s at most. Then it shares it, and
// an upgrade still waits.
func TestStartSharesTheLockAfterAWhile(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	fifo := b.root + "/go"
	makeFIFO(t, fifo)
	p := b.install("p", "1.0", `if test "$1" = --start; then echo x > "`+fifo+`"; fi`, "60")
	started, began := make(chan plugin.Outcome, 1), time.Now()
	go func() { started <- b.Start(t.Context(), p) }()
	eventually(t, "start runs", func() bool { return b.readCalls() != nil })

	shared, waited, err := lock.Shared(withTimeout(t, 20*time.Second), layout.NameLock(b.root, "p"), nil)
	if took := time.Since(began); err != nil || !waited || took < maxExclusive-100*time.Millisecond {
		t.Fatalf("a second start waited %t, for %v, %v", waited, took, err)
	}
	shared()
	ctx, cancel := context.WithCancel(t.Context())
	_, waited, err = lock.Exclusive(ctx, layout.NameLock(b.root, "p"), cancel)
	if !waited || !errors.Is(err, context.Canceled) {
		t.Errorf("an upgrade would not wait: %t, %v", waited, err)
	}
	if _, err := os.ReadFile(fifo); err != nil { // the plugin's --start continues
		t.Fatal(err)
	}
	if got := <-started; got.Err != nil {
		t.Error(got.Err)
	}
	b.holdLock("p", true)()
}

// RS-11: the status is not used when the lock was shared while `--status` ran: another
// program may have started the plugin.
func TestStartChecksAgain(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	p := b.install("p", "1.0", `
if test "$1" = --status && ! test -e "$PLUGIN_DIR/asked"; then
	touch "$PLUGIN_DIR/asked"
	sleep 6
	exit 1
fi`+okScript, "60")
	release := b.holdLock("p", false)
	done := make(chan plugin.Outcome, 1)
	go func() { done <- b.Start(t.Context(), p) }()
	eventually(t, "waiting is logged", func() bool { return len(b.findLogged(waitingLine)) > 0 })
	release()
	eventually(t, "--status runs", func() bool { return b.readCalls() != nil })
	shared := b.holdLock("p", false) // once the start shares it
	b.touch("plugin", "p", "1.0", "running")
	shared()
	if got := <-done; got.Err != nil || !got.Skipped {
		t.Errorf("got %+v", got)
	}
	if diff := cmp.Diff([]string{"--status 1.0 from -", "--status 1.0 from -"}, b.readCalls()); diff != "" {
		t.Error(diff)
	}
}

// RS-11: a start that waited for another program waits a little longer: that may
// follow a `--stop` with a `--start` under a new lock.
func TestStartWaitsForMoreWork(t *testing.T) {
	b := newFixture(t)
	b.quietPeriod = time.Second
	p := b.install("p", "1.0", okScript, "60")
	got := b.whileWaiting(false, func() plugin.Outcome { return b.Start(t.Context(), p) }, func() {
		go func() {
			time.Sleep(100 * time.Millisecond)
			release := b.holdLock("p", false)
			b.touch("plugin", "p", "1.0", "running")
			release()
		}()
	})
	if got.Err != nil || !got.Skipped {
		t.Errorf("got %+v after %q", got, b.readCalls())
	}
}

// RS-11: a forced start does not wait, whatever program holds the lock.
func TestForceStart(t *testing.T) {
	b := newFixture(t)
	p := b.install("p", "1.0", okScript, "60")
	b.holdLock("p", true)
	for range 2 {
		if got := b.ForceStart(t.Context(), p); got.Err != nil {
			t.Errorf("got %+v", got)
		}
	}
	want := []string{"--status 1.0 from -", "--start 1.0 from -", "--status 1.0 from -"}
	if diff := cmp.Diff(want, b.readCalls()); diff != "" {
		t.Error(diff)
	}
	if err := b.registry.MarkRemoved(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	if got := b.ForceStart(t.Context(), p); !errors.Is(got.Err, plugin.ErrNotInstalled) {
		t.Errorf("removed: %+v", got)
	}
}

// EV-28: a plugin is started even if the file of its name lock cannot be made.
func TestStartWithoutNameLock(t *testing.T) {
	b := newFixture(t)
	p := b.install("p", "1.0", okScript, "20")
	if err := errors.Join(os.RemoveAll(filepath.Join(b.root, "cache")), os.WriteFile(filepath.Join(b.root, "cache"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if got := b.Start(t.Context(), p); got.Err != nil {
		t.Error(got.Err)
	}
	if got := b.Check(t.Context(), p).Status; got != plugin.StatusRunning {
		t.Errorf("status %v", got)
	}
}
