package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/plugin"
)

// ignoreAck is for tests that do not check the acknowledged statuses.
func ignoreAck(string, plugin.PendingReport) {}

func newReports(m plugin.Memory) *Reports { return NewReports(m, &Batch{}) }

// composed requests and composes a report for a purpose.
func (r *Reports) composed(gen uint64, p Purpose, pulled []string) plugin.Report {
	r.RequestReport(p, pulled)
	return r.Compose(gen, moment(0))
}

// reportsOf returns the reports of n plugins that are running.
func reportsOf(n int) *Reports {
	r := newReports(plugin.Memory{})
	for i := range n {
		r.Add(epoch, persist(uint64(i+1), fmt.Sprintf("p%d", i)), plugin.StatusRunning, "")
	}
	return r
}

// The pending status and its saved part when a status is added, by the acknowledged
// and the pending status before.
func TestReportsAdd(t *testing.T) {
	const running, failed = plugin.StatusRunning, plugin.StatusFailed
	status := func(version string, s plugin.Status, tag plugin.SysTag) *plugin.PendingReport {
		return &plugin.PendingReport{Name: "a", Version: version, Status: s, SysTag: tag, Since: epoch.Add(-time.Hour)}
	}
	for name, test := range map[string]struct {
		acked   plugin.Acked
		pending *plugin.PendingReport
		status  plugin.Status
		tag     plugin.SysTag

		wantTag plugin.SysTag
		saved   string // what is saved: pending, nothing, or that nothing is pending any more
		older   bool   // pending since before
	}{
		"SC-17 nothing is known":                            {plugin.Acked{}, nil, running, "", "", "pending", false},
		"SC-18 acknowledged just so":                        {plugin.Acked{Version: "1.0", Status: running}, nil, running, "", "", "nothing", false},
		"SC-18 acknowledged with another status":            {plugin.Acked{Version: "1.0", Status: failed}, nil, running, "", "", "pending", false},
		"SC-18 acknowledged with another version":           {plugin.Acked{Version: "0.9", Status: running}, nil, running, "", "", "pending", false},
		"SC-18 acknowledged just so, with a new tag":        {plugin.Acked{Version: "1.0", Status: running}, nil, running, plugin.SysTagAdd, plugin.SysTagAdd, "pending", false},
		"SC-17 pending with the same status":                {plugin.Acked{}, status("1.0", running, ""), running, "", "", "pending", true},
		"SC-17 pending with another status":                 {plugin.Acked{}, status("1.0", failed, ""), running, "", "", "pending", false},
		"SC-17 pending with another version":                {plugin.Acked{}, status("0.9", running, ""), running, "", "", "pending", false},
		"SC-17 a pending tag stays":                         {plugin.Acked{}, status("1.0", failed, plugin.SysTagAdd), running, "", plugin.SysTagAdd, "pending", false},
		"SC-17 a newer tag counts":                          {plugin.Acked{}, status("1.0", failed, plugin.SysTagAdd), running, plugin.SysTagRemove, plugin.SysTagRemove, "pending", false},
		"SC-18 what was pending is what is acknowledged":    {plugin.Acked{Version: "1.0", Status: running}, status("1.0", failed, ""), running, "", "", "none", false},
		"SC-18 … but its tag was not delivered: it is kept": {plugin.Acked{Version: "1.0", Status: running}, status("1.0", failed, plugin.SysTagAdd), running, "", plugin.SysTagAdd, "pending", false},
	} {
		t.Run(name, func(t *testing.T) {
			m := plugin.Memory{Acked: map[string]plugin.Acked{}, Pending: map[string]plugin.PendingReport{}}
			if test.acked != (plugin.Acked{}) {
				m.Acked["a"] = test.acked
			}
			if test.pending != nil {
				m.Pending["a"] = *test.pending
			}
			batch := &Batch{}
			r := NewReports(m, batch)
			r.Add(epoch, persist(1, "a"), test.status, test.tag)

			since := epoch
			if test.older {
				since = test.pending.Since
			}
			got := r.pending["a"]
			if got.Version != "1.0" || got.Status != test.status || got.SysTag != test.wantTag || !got.Since.Equal(since) {
				t.Errorf("pending %+v, want tag %q since %v", got, test.wantTag, since)
			}
			if n := r.Count(); n != 1 {
				t.Errorf("%d pending, want 1", n)
			}
			saved := "nothing"
			if changes, dirty := batch.CollectChanges(nil); dirty {
				switch o, ok := changes.Pending["a"]; {
				case ok && o != nil && changes.Sync:
					saved = "pending"
				case ok && o == nil && !changes.Sync:
					saved = "none"
				default:
					saved = fmt.Sprintf("%+v", changes)
				}
			}
			if saved != test.saved {
				t.Errorf("saved %s, want %s", saved, test.saved)
			}
		})
	}
}

func TestReportsAcknowledged(t *testing.T) {
	t.Run("SC-17 a status that became pending after a report stays pending when that is acknowledged", func(t *testing.T) {
		r := reportsOf(2)
		r.composed(1, ForScan, nil)
		r.Add(epoch, persist(1, "p0"), plugin.StatusFailed, "")
		if p, ok := r.Acknowledge(1, ignoreAck); !ok || p != ForScan {
			t.Errorf("acknowledged %v %v", p, ok)
		}
		if r.Count() != 1 || r.pending["p0"].Status != plugin.StatusFailed {
			t.Errorf("pending %v", r.pending)
		}
		if acked, pending := r.LastAcked("p0"); acked.Status != plugin.StatusRunning || !pending {
			t.Errorf("acknowledged %v", acked)
		}
	})
	t.Run("SC-17 a replaced report's purpose passes on, once", func(t *testing.T) {
		r := reportsOf(1)
		r.composed(1, ForScan, nil)
		r.composed(2, ForPull, []string{"p0"})
		r.composed(3, ForChange, nil)
		if p, _ := r.Acknowledge(2, ignoreAck); p != ForScan|ForPull {
			t.Errorf("purpose %v", p)
		}
		if p, _ := r.Acknowledge(3, ignoreAck); p != ForChange {
			t.Errorf("purpose of the third %v", p)
		}
		if _, ok := r.Acknowledge(1, ignoreAck); ok {
			t.Error("a replaced report was acknowledged")
		}
	})
	t.Run("SC-20 the purpose of a rejected report is not inherited", func(t *testing.T) {
		r := reportsOf(1)
		r.composed(1, ForPull, []string{"p0"})
		r.Discard(1)
		r.composed(2, ForChange, nil)
		if p, _ := r.Acknowledge(2, ignoreAck); p != ForChange || r.pullAcked {
			t.Errorf("purpose %v, pull acknowledged %v", p, r.pullAcked)
		}
	})
	t.Run("SC-17 a newer status keeps an undelivered tag", func(t *testing.T) {
		r := newReports(plugin.Memory{})
		r.Add(epoch, persist(1, "a"), plugin.StatusRunning, plugin.SysTagAdd)
		r.Add(epoch, persist(1, "a"), plugin.StatusFailed, "")
		if e := r.composed(1, ForChange, nil).Entries[0]; e.SysTag != plugin.SysTagAdd || e.Status != plugin.StatusFailed {
			t.Errorf("%+v", e)
		}
	})
}

func TestReportsSaved(t *testing.T) {
	t.Run("SC-18 only statuses that are not acknowledged are saved", func(t *testing.T) {
		r := reportsOf(1)
		r.composed(1, ForScan, nil)
		r.Acknowledge(1, ignoreAck)
		r.batch.MarkWritten()
		r.Add(epoch, persist(1, "p0"), plugin.StatusRunning, "")
		if _, dirty := r.batch.CollectChanges(nil); dirty {
			t.Errorf("saves %+v", r.batch)
		}
		r.Add(epoch, persist(1, "p0"), plugin.StatusFailed, "")
		if c, _ := r.batch.CollectChanges(nil); c.Pending["p0"] == nil || !c.Sync {
			t.Errorf("saves %+v", c)
		}
	})
	t.Run("SC-18 reports of an earlier process are sent, also of removed plugins", func(t *testing.T) {
		r := newReports(plugin.Memory{Pending: map[string]plugin.PendingReport{"a": {Name: "a", Version: "1.0", Status: plugin.StatusFailed, Since: epoch}}})
		if !r.OldestPending().Equal(epoch) {
			t.Errorf("pending since %v", r.OldestPending())
		}
		if got := r.composed(1, ForChange, nil).Entries; len(got) != 1 || got[0].Name != "a" || got[0].Status != plugin.StatusFailed {
			t.Errorf("%+v", got)
		}
	})
}

func TestReportsContent(t *testing.T) {
	t.Run("SC-05 order: Once first, then by record, whatever came first", func(t *testing.T) {
		r := newReports(plugin.Memory{})
		for _, p := range []plugin.Plugin{persist(300, "z"), once(400, "o2"), persist(1, "y"), once(2, "o1")} {
			r.Add(epoch, p, plugin.StatusRunning, "")
		}
		var names []string
		for _, e := range r.composed(1, ForScan, nil).Entries {
			names = append(names, e.Name)
		}
		if got := strings.Join(names, " "); got != "o1 o2 y z" {
			t.Errorf("order %q", got)
		}
	})
	t.Run("SC-17 the pending status of a plugin that is gone becomes REMOVED", func(t *testing.T) {
		r := reportsOf(2)
		r.AddRemoved("p0", persist(1, "p0"), true, epoch)
		r.AddRemoved("unknown", persist(3, "unknown"), false, epoch) // nothing was reported: nothing is
		got := r.composed(1, ForChange, nil).Entries
		if len(got) != 2 || got[0].Status != plugin.StatusRemoved || got[1].Status != plugin.StatusRunning {
			t.Errorf("%+v", got)
		}
		if acked, _ := reportsOf(0).LastAcked("unknown"); acked != (plugin.Acked{}) {
			t.Errorf("%+v", acked)
		}
	})
	t.Run("EV-22 the acknowledged status of a plugin that is gone becomes REMOVED", func(t *testing.T) {
		r := reportsOf(3)
		r.composed(1, ForScan, nil)
		r.Acknowledge(1, ignoreAck)
		r.AddRemoved("p0", persist(1, "p0"), false, epoch)
		r.AddRemoved("p1", persist(2, "p1"), true, epoch) // of another type now
		got := r.composed(2, ForChange, nil).Entries
		if len(got) != 1 || got[0].Name != "p0" || got[0].Version != "1.0" || got[0].Status != plugin.StatusRemoved {
			t.Errorf("%+v", got)
		}
		r.Acknowledge(2, ignoreAck)
		if r.AddRemoved("p0", persist(1, "p0"), false, epoch); r.Count() > 0 {
			t.Error("reported twice")
		}
	})
}

func TestReportsMemory(t *testing.T) {
	t.Run("the acknowledged status of a plugin that is gone is deleted, but not while another is pending", func(t *testing.T) {
		r := reportsOf(1)
		r.composed(1, ForScan, nil)
		r.Acknowledge(1, ignoreAck)
		none := func(string) bool { return false }
		r.Add(epoch, persist(1, "p0"), plugin.StatusRemoved, "")
		if r.ForgetRemoved(none); r.acked["p0"].Status != plugin.StatusRunning {
			t.Error("deleted while another status is pending")
		}
		r.composed(2, ForChange, nil)
		r.Acknowledge(2, ignoreAck)
		if r.ForgetRemoved(none); len(r.acked) != 0 {
			t.Errorf("acknowledged %v", r.acked)
		}
	})
	t.Run("SC-25 a restarted plugin is reported again when its restart was acknowledged", func(t *testing.T) {
		r := reportsOf(2)
		r.MarkRestarted("p0")
		if keys := r.TakeRefreshes(); len(keys) != 0 {
			t.Errorf("refresh %v before it was acknowledged", keys)
		}
		r.composed(1, ForChange, nil)
		r.Acknowledge(1, ignoreAck)
		if keys := r.TakeRefreshes(); len(keys) != 1 || keys[0] != "p0" {
			t.Errorf("refresh %v", keys)
		}
		if keys := r.TakeRefreshes(); len(keys) != 0 {
			t.Errorf("refresh %v twice", keys)
		}
	})
}

func TestGoneIsNotRefreshed(t *testing.T) { // SC-25
	r := NewReports(plugin.Memory{}, &Batch{})
	r.MarkRestarted("a")
	r.AddRemoved("a", persist(1, "a"), false, epoch)
	if keys := r.TakeRefreshes(); len(keys) != 0 {
		t.Errorf("to be reported again: %v", keys)
	}
}

func TestGathering(t *testing.T) {
	r := newReports(plugin.Memory{})
	wanted := func(at plugin.Moment, send bool, after time.Duration) {
		t.Helper()
		if s, a := r.IsDue(at); s != send || a != after {
			t.Errorf("SC-17 at %v: send %v, after %v", at.Uptime, s, a)
		}
	}
	r.RequestReport(ForChange, nil)
	wanted(moment(0), false, 0) // nothing is pending
	if r.IsRequested() {
		t.Error("an empty report is still wanted")
	}
	r.Add(epoch, persist(1, "a"), plugin.StatusRunning, "")
	wanted(moment(0), false, 0) // not asked for
	r.RequestReport(ForChange, nil)
	wanted(moment(0), true, 0) // the first one goes at once
	r.Compose(1, moment(0))
	r.RequestReport(ForChange, nil)
	wanted(moment(100*time.Millisecond), false, 400*time.Millisecond)
	back := moment(100 * time.Millisecond)
	back.Wall = back.Wall.Add(-5 * time.Hour) // the clock is set back
	wanted(back, false, 400*time.Millisecond)
	wanted(moment(GatherFor), true, 0)
	r.RequestReport(ForScan, nil)
	wanted(moment(100*time.Millisecond), true, 0) // a scan's goes at once
}

func TestLazyDecision(t *testing.T) {
	a, b := persist(1, "a"), persist(2, "b")
	newer := a
	newer.Version = "2.0"
	all := []PullEntry{{a, plugin.StatusRunning}, {b, plugin.StatusRunning}}
	acked := func(s plugin.Status) plugin.Acked { return plugin.Acked{Version: "1.0", Status: s} }
	known := map[string]plugin.Acked{"a": acked(plugin.StatusRunning), "b": acked(plugin.StatusRunning)}
	for _, test := range []struct {
		name    string
		entries []PullEntry
		acked   map[string]plugin.Acked
		pending map[string]plugin.PendingReport
		pulled  []string
		never   bool
		want    bool
	}{
		{"PL-13 all as acknowledged", all, known, nil, []string{"a", "b"}, false, false},
		{"PL-18 no pull acknowledged yet", all, known, nil, nil, true, true},
		{"PL-14 a status changed", []PullEntry{{a, plugin.StatusFailed}, {b, plugin.StatusRunning}}, known, nil, []string{"a", "b"}, false, true},
		{"PL-14 a version changed", []PullEntry{{newer, plugin.StatusRunning}, {b, plugin.StatusRunning}}, known, nil, []string{"a", "b"}, false, true},
		{"PL-14 a plugin is new", all, map[string]plugin.Acked{"a": acked(plugin.StatusRunning)}, nil, []string{"a"}, false, true},
		{"PL-14 a plugin is no longer there", all[:1], known, nil, []string{"a", "b"}, false, true},
		{"PL-13 acknowledged by a scan's or restart's report, not by a pull", all, known, nil, []string{"a", "b"}, false, false},
		{"PL-13 what is pending of it says otherwise", all, known, map[string]plugin.PendingReport{"a": {Version: "1.0", Status: plugin.StatusFailed}}, []string{"a", "b"}, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			settings := plugin.Settings{PullAcked: !test.never, PulledKeys: test.pulled}
			r := newReports(plugin.Memory{Settings: settings, Acked: test.acked, Pending: test.pending})
			if got := r.AddPull(epoch, test.entries, true); got != test.want || r.IsRequested() != test.want {
				t.Errorf("to be sent: %v", got)
			}
			if test.want && len(r.Compose(1, moment(0)).Entries) != len(test.entries) {
				t.Error("PL-14: not the full list")
			}
			if !newReports(plugin.Memory{Settings: settings, Acked: test.acked}).AddPull(epoch, test.entries, false) {
				t.Error("PL-12: not lazy, and not reported")
			}
		})
	}
	t.Run("PL-15 EV-11 that a pull was acknowledged survives the process", func(t *testing.T) {
		r := newReports(plugin.Memory{})
		r.AddPull(epoch, all, true)
		r.Compose(1, moment(0))
		var before, after plugin.Settings
		r.SaveSettings(&before)
		r.Acknowledge(1, ignoreAck)
		r.SaveSettings(&after)
		if before.PullAcked || !after.PullAcked || strings.Join(after.PulledKeys, " ") != "a b" {
			t.Errorf("before %+v, after %+v", before, after)
		}
	})
}

// A replaced report is forgotten, so that the reports that wait for an answer do not
// grow while the control plane is not reachable.
func TestReplacedReportsAreForgotten(t *testing.T) {
	r := newReports(plugin.Memory{})
	for gen := range uint64(1000) {
		r.Add(epoch, persist(1, "a"), plugin.StatusRunning, "")
		r.composed(gen+1, ForScan, nil)
		r.Discard(gen)
	}
	if len(r.sent) != 1 {
		t.Errorf("%d reports are awaited", len(r.sent))
	}
	if p, _ := r.Acknowledge(1000, ignoreAck); p != ForScan {
		t.Errorf("purpose %v", p)
	}
}

// CL-20: a status that a command could not deliver is pending unless a later one of
// the plugin is known; its tag is delivered in any case.
func TestAddLate(t *testing.T) {
	late := func(at time.Time, s plugin.Status, tag plugin.SysTag) plugin.PendingReport {
		return plugin.PendingReport{Name: "a", Version: "2.0", Status: s, SysTag: tag, Since: at}
	}
	t.Run("CL-20 nothing is known", func(t *testing.T) {
		r := newReports(plugin.Memory{})
		if !r.AddLate("a", late(epoch, plugin.StatusRunning, "")) || r.pending["a"].Version != "2.0" {
			t.Errorf("pending %+v", r.pending)
		}
	})
	t.Run("CL-20 it is later than what is known", func(t *testing.T) {
		r := newReports(plugin.Memory{})
		r.Add(epoch, persist(1, "a"), plugin.StatusFailed, "")
		if !r.AddLate("a", late(epoch.Add(time.Second), plugin.StatusRunning, "")) || r.pending["a"].Status != plugin.StatusRunning {
			t.Errorf("pending %+v", r.pending)
		}
	})
	t.Run("CL-20 something later is pending", func(t *testing.T) {
		r := newReports(plugin.Memory{})
		r.Add(epoch.Add(time.Second), persist(1, "a"), plugin.StatusFailed, "")
		if r.AddLate("a", late(epoch, plugin.StatusRunning, plugin.SysTagAdd)) {
			t.Error("the older one counts")
		}
		if o := r.pending["a"]; o.Status != plugin.StatusFailed || o.SysTag != plugin.SysTagAdd {
			t.Errorf("pending %+v", o)
		}
	})
	t.Run("CL-20 something later was acknowledged", func(t *testing.T) {
		r := newReports(plugin.Memory{})
		r.Add(epoch.Add(time.Second), persist(1, "a"), plugin.StatusFailed, "")
		r.composed(1, ForScan, nil)
		r.Acknowledge(1, ignoreAck)
		if r.AddLate("a", late(epoch, plugin.StatusRunning, "")) || r.Count() > 0 {
			t.Errorf("pending %+v", r.pending)
		}
		r.AddLate("a", late(epoch, plugin.StatusRunning, plugin.SysTagRemove))
		if o := r.pending["a"]; o.Status != plugin.StatusFailed || o.SysTag != plugin.SysTagRemove {
			t.Errorf("pending %+v", o)
		}
	})
}
