package actors

import (
	"context"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

// testConfig has no randomness in its first runs and staggers nothing.
func testConfig() Config {
	cfg := DefaultConfig()
	cfg.FirstRun = FirstRun{Scan: time.Minute, Pull: 3 * time.Minute, Update: 1000 * time.Hour, Inventory: 1000 * time.Hour}
	cfg.Restart.Stagger = 0
	cfg.LocalArch, cfg.LocalOS = "x64", "linux"
	return cfg
}

func worldPorts(w *actorstest.World) Ports {
	log := logrus.New()
	log.SetOutput(io.Discard)
	p := Ports{
		Manager: w, Heartbeats: w, ControlPlane: w, Memory: w, Clock: w,
		Rand: rand.New(rand.NewPCG(1, 2)), Log: log,
	}
	if w.Watched != nil {
		p.Watcher, p.HeartbeatEvents = w.Watcher(), w.HeartbeatEvents()
	}
	if w.Others != nil {
		p.OtherPrograms = w.Others
	}
	return p
}

// inBubble runs fn against a supervisor in virtual time, drains it, and
// proves that nothing is left of it.
func inBubble(t *testing.T, w *actorstest.World, cfg Config, fn func(t *testing.T, s *System)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, err := Start(cfg, w.Saved, worldPorts(w))
		if err != nil {
			t.Fatal(err)
		}
		fn(t, s)
		drainAll(t, s)
	})
}

func drainAll(t *testing.T, s *System) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Drain(ctx); err != nil {
		t.Error(err)
	}
	actorstest.CheckEmpty(t, s.actors)
}

// status asks the running supervisor.
func status(t *testing.T, s *System) plugin.Snapshot {
	t.Helper()
	synctest.Wait()
	got, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func view(t *testing.T, s *System, name string) plugin.View {
	t.Helper()
	for _, v := range status(t, s).Plugins {
		if v.Name == name {
			return v
		}
	}
	t.Fatalf("no plugin %s in status\n%s", name, debug.Stack())
	return plugin.View{}
}

func wantState(t *testing.T, s *System, name string, want plugin.State) {
	t.Helper()
	if v := view(t, s, name); v.State != want {
		t.Errorf("%s is %s (%s), want %s", name, v.State, v.Why, want)
	}
}

func wantReports(t *testing.T, got []actorstest.SentReport, want ...string) {
	t.Helper()
	if !slices.Equal(actorstest.ReportTexts(got), want) {
		t.Errorf("reports %q, want %q", actorstest.ReportTexts(got), want)
	}
}

func intervals(scan, pull time.Duration) func(int) (plugin.Answer, error) {
	return func(int) (plugin.Answer, error) {
		return plugin.Answer{ScanInterval: scan, PullInterval: pull}, nil
	}
}

const minute = time.Minute
