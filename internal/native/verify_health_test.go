package native

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"pluginsupervisor/plugin"
)

// earlyStartScript is a daemon whose --start returns before its pid file is there. The
// file appears soon after the first --status.
const earlyStartScript = `
pid=$(cat "$PLUGIN_DIR/pid" 2>/dev/null)
case "$1" in
--status) touch "$PLUGIN_DIR/asked"; test -n "$pid" && kill -0 "$pid" 2>/dev/null ;;
--start)
	rm -f "$PLUGIN_DIR/asked" "$PLUGIN_DIR/pid"
	setsid sh -c 'while ! test -e "$PLUGIN_DIR/asked"; do sleep 0.01; done; sleep 0.02
		echo $$ > "$PLUGIN_DIR/pid"; for i in $(seq 12000); do sleep 0.05; done' daemon >/dev/null 2>&1 & ;;
--stop) test -z "$pid" || kill "$pid"; rm -f "$PLUGIN_DIR/pid" ;;
esac
`

const returnedEarly = "--start returned before the plugin was running; it should return when --status says so"

func TestConfirmStart(t *testing.T) {
	t.Run("RS-06 --start returns too early", func(t *testing.T) {
		b := newChangeFixture(t, daemonScript, nil)
		if got := b.Stop(t.Context(), b.findPlugin("p")); got.Err != nil {
			t.Fatal(got.Err)
		}
		p := b.install("p", "1.0", earlyStartScript, "20")
		if got := b.Start(t.Context(), p); got.Err != nil {
			t.Fatal(got.Err)
		}
		got := b.ConfirmStart(t.Context(), p)
		if got.Status != plugin.StatusRunning || !got.SlowStart {
			t.Errorf("confirmed: %+v", got)
		}
		if len(b.findLogged(returnedEarly)) != 1 {
			t.Error("want one warning in the log")
		}
		if got = b.ConfirmStart(t.Context(), p); got.Status != plugin.StatusRunning || got.SlowStart {
			t.Errorf("confirmed when it runs: %+v", got)
		}
	})
	t.Run("RS-06 an upgrade waits too", func(t *testing.T) {
		b := newChangeFixture(t, `test "$1" = --upgrade && exit`+earlyStartScript, nil)
		if got := b.fetchAndChange(t.Context(), offer, plugin.ChangePermit{}); got.Err != nil || got.Status != plugin.StatusRunning {
			t.Errorf("upgraded: %+v", got)
		}
		if len(b.findLogged(returnedEarly)) != 1 {
			t.Error("want one warning in the log")
		}
		b.checkSettled("2.0")
	})
	t.Run("RS-06 no process runs", func(t *testing.T) {
		b := newFixture(t)
		p := b.install("p", "1.0", okScript, "20")
		if got := b.ConfirmStart(t.Context(), p); got.Status != plugin.StatusFailed || got.SlowStart || len(b.readCalls()) != 1 {
			t.Errorf("confirmed: %+v after %q", got, b.readCalls())
		}
	})
	t.Run("RS-06 a process runs and --status fails", func(t *testing.T) {
		b := newChangeFixture(t, daemonScript, nil)
		p := b.findPlugin("p")
		b.unpack("p", "1.0", "exit 1", "") // its daemon runs
		began, before := time.Now(), len(b.readCalls())
		got := b.ConfirmStart(t.Context(), p)
		if got.Status != plugin.StatusFailed || got.SlowStart || len(b.readCalls())-before != 1+len(confirmDelays) {
			t.Errorf("confirmed: %+v after %q", got, b.readCalls()[before:])
		}
		if took := time.Since(began); took < confirmDelays[len(confirmDelays)-1] {
			t.Errorf("returned after %s, want %s at least", took, confirmDelays[len(confirmDelays)-1])
		}
	})
}

// UP-13: the status of the result is the status at the end.
func TestStatusAtTheEnd(t *testing.T) {
	soonEnds := newVersions["soon ends"].script
	t.Run("UP-13 a first version that fails its proof", func(t *testing.T) {
		b := newChangeFixture(t, daemonScript, nil)
		if got := b.fetchAndChange(t.Context(), plugin.Change{Kind: plugin.ChangeRemove, Name: "p"}, plugin.ChangePermit{}); got.Err != nil {
			t.Fatal(got.Err)
		}
		b.unpack("p", "2.0", soonEnds, "")
		got := b.fetchAndChange(t.Context(), offer, plugin.ChangePermit{})
		if got.Err == nil || got.RolledBack || got.Status != plugin.StatusFailed || got.Plugin.Version != "2.0" || len(got.Processes) > 0 {
			t.Errorf("installed: %+v", got)
		}
	})
	t.Run("UP-13 a plugin that did not run before", func(t *testing.T) {
		b := newChangeFixture(t, soonEnds, nil)
		got := b.fetchAndChange(t.Context(), offer, plugin.ChangePermit{StatusBefore: plugin.StatusFailed}) // though it runs now
		if got.Err == nil || got.RolledBack || got.Status != plugin.StatusFailed || got.Plugin.Version != "2.0" {
			t.Errorf("upgraded: %+v", got)
		}
	})
	t.Run("UP-13 the old version exits after the permit", func(t *testing.T) {
		b := newChangeFixture(t, soonEnds, nil)
		if err := b.tracker.KillPlugin(t.Context(), "p"); err != nil {
			t.Fatal(err)
		}
		got := b.fetchAndChange(t.Context(), offer, plugin.ChangePermit{StatusBefore: plugin.StatusRunning})
		if got.Err == nil || !got.RolledBack || got.Status != plugin.StatusRunning || got.Plugin.Version != "1.0" {
			t.Errorf("upgraded: %+v", got)
		}
		b.checkSettled("1.0")
	})
	t.Run("UP-13 it exits while old versions are deleted", func(t *testing.T) {
		b := newChangeFixture(t, daemonScript, func(o *Options) { o.Prove = 50 * time.Millisecond })
		b.setStep(func(step string) error {
			if step == "set aside 0.9" {
				return b.tracker.KillPlugin(t.Context(), "p")
			}
			return nil
		})
		got := b.fetchAndChange(t.Context(), offer, plugin.ChangePermit{StatusBefore: plugin.StatusRunning})
		if got.Err != nil || got.Status != plugin.StatusFailed || got.Plugin.Version != "2.0" {
			t.Errorf("upgraded: %+v", got)
		}
	})
}

// secondUnread returns fresh heartbeats, except the second one, which the host
// cannot read.
type secondUnread struct{ reads atomic.Int32 }

func (s *secondUnread) Read(_ context.Context, ps []plugin.Plugin, now time.Time) []plugin.Heartbeat {
	if s.reads.Add(1) == 2 {
		return []plugin.Heartbeat{{Plugin: ps[0], Found: true, Err: errors.New("too many open files"), HostFault: true}}
	}
	return []plugin.Heartbeat{{Plugin: ps[0], Found: true, Last: now}}
}

// EV-24: a new version whose heartbeat the host cannot read is not rolled back.
func TestHeartbeatThatCannotBeRead(t *testing.T) {
	t.Parallel()
	beats := &secondUnread{}
	b := newChangeFixture(t, daemonScript, func(o *Options) {
		o.Heartbeats, o.Prove = beats, time.Second+plugin.HeartbeatGrace+100*time.Millisecond
	})
	b.unpack("p", "2.0", daemonScript, `{"name":"p","version":"2.0","runPath":"run","pluginType":"Persist","timeout":"20","heartbeatInterval":"1"}`)
	got := b.fetchAndChange(t.Context(), offer, plugin.ChangePermit{StatusBefore: plugin.StatusRunning})
	if got.Err != nil || got.Status != plugin.StatusRunning || got.Plugin.Version != "2.0" {
		t.Errorf("upgraded: %+v", got)
	}
	if n := beats.reads.Load(); n != 3 {
		t.Errorf("the heartbeat was read %d times", n)
	}
}
