package actorstest_test

import (
	"io"
	"math/rand/v2"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/actors"
	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

// newPorts returns a World's ports as a program outside of this module sets them.
func newPorts(w *actorstest.World) actors.Ports {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return actors.Ports{
		Manager: w, Heartbeats: w, ControlPlane: w, Memory: w, Clock: w,
		Watcher: w.Watcher(), HeartbeatEvents: w.HeartbeatEvents(), OtherPrograms: w.Others,
		Rand: rand.New(rand.NewPCG(1, 2)), Log: log,
	}
}

func newEventWorld(ps ...plugin.Plugin) *actorstest.World {
	w := actorstest.NewWorld(ps...).WithEvents()
	w.WithOtherPrograms()
	return w
}

func TestWorldIsEveryPort(t *testing.T) {
	ports := reflect.ValueOf(newPorts(newEventWorld()))
	optional := map[string]bool{"Meter": true, "UpdateHandler": true}
	for field, value := range ports.Fields() {
		if !optional[field.Name] && value.IsNil() {
			t.Errorf("no fake for the port %s of actors.Ports", field.Name)
		}
	}
}

// A program outside of this module tests with the actors of Start and a World.
func TestWorldWithSystem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEventWorld(actorstest.Persist(1, "web"))
		system, err := actors.Start(actors.DefaultConfig(), w.Saved, newPorts(w))
		if err != nil {
			t.Fatal(err)
		}
		actorstest.Advance(20 * time.Minute) // at least one scan
		w.ExitPlugins(plugin.Exit{CauseKnown: true, Code: 3, PID: 1001}, "web")
		actorstest.Advance(time.Minute) // RS-01: a restart waits up to 10 s
		if n := w.CountCalls("--start", "web"); n != 1 {
			t.Errorf("--start ran %d times after the exit, want 1; calls: %v", n, w.Calls)
		}
		if reports := w.TakeReports(); len(reports) == 0 {
			t.Error("the control plane got no report, want at least one")
		}
		if w.SaveCount == 0 || len(w.Journal) == 0 {
			t.Errorf("%d saves with %d entries of the journal, want some", w.SaveCount, len(w.Journal))
		}
		if len(w.Violations) > 0 {
			t.Errorf("violations %q, want none", w.Violations)
		}
		if err := system.Drain(t.Context()); err != nil {
			t.Errorf("drain: %v", err)
		}
		actorstest.Advance(time.Minute) // timers of the actor library expire
	})
}

func TestPlugins(t *testing.T) {
	w := actorstest.NewWorld(actorstest.Persist(1, "web"), actorstest.Once(2, "setup"))
	for i, want := range []plugin.Type{plugin.Persist, plugin.Once} {
		if p := w.Plugins[i]; p.Type != want || p.ID != uint64(i+1) || !w.Running[p.Name] {
			t.Errorf("plugin %d: %+v, running %v; want type %v, running", i, p, w.Running[p.Name], want)
		}
	}
}
