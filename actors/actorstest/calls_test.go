package actorstest_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

func TestCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := actorstest.Persist(1, "a"), actorstest.Persist(2, "b")
		w := actorstest.NewWorld(a, b)
		w.Stop(t.Context(), b)
		actorstest.Advance(time.Minute)
		w.Stop(t.Context(), a)
		if n := w.CountCalls("--stop", ""); n != 2 {
			t.Errorf("%d calls of --stop, want 2", n)
		}
		if at := w.CallTimes("--stop", "a"); !slices.Equal(at, []time.Duration{time.Minute}) {
			t.Errorf("--stop of a at %v, want 1m", at)
		}
		if names := w.CalledPlugins("--stop"); !slices.Equal(names, []string{"a", "b"}) {
			t.Errorf("--stop was run of %v, want a and b", names)
		}
	})
}

func TestReportTexts(t *testing.T) {
	entry := func(name, version string, s plugin.Status) plugin.ReportEntry {
		return plugin.ReportEntry{Name: name, Version: version, Status: s}
	}
	got := actorstest.ReportTexts([]actorstest.SentReport{
		{Entries: []plugin.ReportEntry{entry("a", "1.0", plugin.StatusRunning), entry("b", "2.0", plugin.StatusFailed)}},
		{},
	})
	if want := []string{"a=running b@2.0=failed", ""}; !slices.Equal(got, want) {
		t.Errorf("report texts %q, want %q", got, want)
	}
}
