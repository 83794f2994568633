package controlplane

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/plugin"
)

// Old silent hosts and removed plugins are deleted, with all their data; the others
// stay.
func TestRemoveOld(t *testing.T) {
	f := newFleet(t)
	old, now := time.UnixMilli(1_700_000_000_000), time.UnixMilli(1_710_000_000_000)
	report := func(host string, at time.Time, entries ...plugin.ReportEntry) {
		t.Helper()
		if _, err := f.store.RecordReport(t.Context(), Caller{ID: host}, entries, at); err != nil {
			t.Fatal(err)
		}
	}
	for i := range removalBatch + 5 {
		report(fmt.Sprintf("silent-%d", i), old, plugin.ReportEntry{Name: "a", Version: "1", Status: plugin.StatusRunning})
	}
	report("here", old, plugin.ReportEntry{Name: "gone", Version: "1", Status: plugin.StatusRemoved}, plugin.ReportEntry{Name: "quiet", Version: "1", Status: plugin.StatusRunning})
	report("here", now, plugin.ReportEntry{Name: "just gone", Version: "1", Status: plugin.StatusRemoved})
	if err := f.store.MakeOffer(t.Context(), Offer{Name: "a", Version: "2", Host: "silent-1"}); err != nil {
		t.Fatal(err)
	}
	p, err := f.store.RemoveOld(t.Context(), now.Add(-time.Hour))
	if want := (RemovedCounts{Hosts: removalBatch + 5, Plugins: 1}); err != nil || p != want {
		t.Errorf("removed %+v, %v", p, err)
	}
	all := readContents(t, f.store)
	if len(all.Hosts) != 1 || len(all.Hosts[0].Plugins) != 2 || len(all.Changes) != 2 || len(all.Offers) != 1 {
		t.Errorf("left %+v", all)
	}
	if p, err := f.store.RemoveOld(t.Context(), now.Add(-time.Hour)); err != nil || p != (RemovedCounts{}) {
		t.Errorf("again %+v, %v", p, err)
	}
}

// A running server removes old hosts.
func TestServerRemovesOld(t *testing.T) {
	f := newFleet(t)
	if err := f.store.RecordContact(t.Context(), Caller{ID: "silent"}, time.Now().Add(-31*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	s := NewServer(f.store, logger.Silent(), DefaultLimits(), Links{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); s.removeOldHourly(ctx) }()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if known, err := f.store.HasHost(t.Context(), "silent"); err == nil && !known {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the host is still there, %v", err)
		}
	}
	cancel()
	<-ended
}

// CP-13: a peer that invents hosts is limited; known hosts and other peers are
// served.
func TestInventedHosts(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	f := newFleetWith(t, func(s *Server) { s.limits.NewHosts = 3; s.now = func() time.Time { return now } })
	if err := f.store.RecordContact(t.Context(), Caller{ID: "known"}, now); err != nil {
		t.Fatal(err)
	}
	report := func(host string) int {
		code, _ := f.sendRequest(http.MethodPost, control.PathReport, host, `{"plugin":[]}`)
		return code
	}
	for i := range 6 {
		want := http.StatusOK
		if i >= 3 {
			want = http.StatusTooManyRequests
		}
		if code := report(fmt.Sprintf("new-%d", i)); code != want {
			t.Errorf("new host %d answered %d", i, code)
		}
	}
	for _, host := range []string{"known", "new-0"} {
		if code := report(host); code != http.StatusOK {
			t.Errorf("%s answered %d, want 200", host, code)
		}
	}
	for _, path := range []string{control.PathUpdate, control.PathEvent} {
		if code, text := f.sendRequest(http.MethodPost, path, "new-9", `{"plugin":[],"eventId":"e"}`); code != http.StatusTooManyRequests {
			t.Errorf("%s answered %d %s, want 429", path, code, text)
		}
	}
	var n newHosts
	if !n.countHost("a", now, 1) || n.countHost("a", now, 1) || !n.countHost("b", now, 1) {
		t.Error("peers are not counted separately")
	}
	now = now.Add(newHostsWindow)
	if code := report("new-9"); code != http.StatusOK {
		t.Errorf("a minute later answered %d, want 200", code)
	}
}

// CP-13: the stored events of a host are limited in bytes, too, and the page does
// not show very long ones.
func TestLargeEventsAreBounded(t *testing.T) {
	f := newFleet(t)
	const each = 10 << 20
	for range 5 {
		e := Event{ID: "e", Keywords: strings.Repeat("k", each), At: time.Now(), Received: time.Now()}
		if err := f.store.AddEvent(t.Context(), Caller{ID: "loud"}, e); err != nil {
			t.Fatal(err)
		}
	}
	all, err := f.store.ListEvents(t.Context(), 100)
	if err != nil || len(all) != maxEventBytes/each || all[0].Keywords != fmt.Sprintf("%d bytes", each) {
		t.Errorf("%d events, %v", len(all), err)
	}
}
