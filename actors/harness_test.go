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

// testConfig returns a configuration without random first runs and without a stagger.
func testConfig() Config {
	cfg := DefaultConfig()
	cfg.FirstRun = FirstRun{Scan: time.Minute, Pull: 3 * time.Minute, Update: 1000 * time.Hour, Inventory: 1000 * time.Hour}
	cfg.Restart.Stagger = 0
	cfg.LocalArch, cfg.LocalOS = "x64", "linux"
	return cfg
}

// worldPorts returns the ports of a world.
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

// inBubble runs fn with a supervisor in virtual time, then drains it and checks that
// nothing is left behind.
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

// drainAll drains a supervisor and checks that no actor is left behind.
func drainAll(t *testing.T, s *System) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Drain(ctx); err != nil {
		t.Error(err)
	}
	actorstest.CheckEmpty(t, s.actors)
}

// status returns the status of the supervisor once all actors are idle.
func status(t *testing.T, s *System) plugin.Snapshot {
	t.Helper()
	synctest.Wait()
	got, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// view returns the status of one plugin.
func view(t *testing.T, s *System, name string) plugin.View {
	t.Helper()
	for _, v := range status(t, s).Plugins {
		if v.Name == name {
			return v
		}
	}
	t.Fatalf("no plugin %s in status, want it there\n%s", name, debug.Stack())
	return plugin.View{}
}

// wantState checks the state of a plugin.
func wantState(t *testing.T, s *System, name string, want plugin.State) {
	t.Helper()
	if v := view(t, s, name); v.State != want {
		t.Errorf("%s is %s (%s), want %s", name, v.State, v.Why, want)
	}
}

// wantReports checks reports, each in one line.
func wantReports(t *testing.T, got []actorstest.SentReport, want ...string) {
	t.Helper()
	if !slices.Equal(actorstest.ReportTexts(got), want) {
		t.Errorf("reports %q, want %q", actorstest.ReportTexts(got), want)
	}
}

// intervals returns an OnReport that sets the intervals of scan and pull.
func intervals(scan, pull time.Duration) func(int) (plugin.Answer, error) {
	return func(int) (plugin.Answer, error) {
		return plugin.Answer{ScanInterval: scan, PullInterval: pull}, nil
	}
}

const minute = time.Minute
