package actors

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

var errAway = errors.New("connection refused")

// failing answers the first n reports with an error.
func failing(n int, err error) func(int) (plugin.Answer, error) {
	return func(i int) (plugin.Answer, error) {
		if i <= n {
			return plugin.Answer{}, err
		}
		return plugin.Answer{}, nil
	}
}

func TestReportRetries(t *testing.T) {
	t.Run("SC-17 first after about 2 s, longer each time, at most 5 min apart, until delivered", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.answer = failing(12, errAway)
		cfg := testConfig()
		cfg.Intervals.Scan, cfg.FirstRun.Pull = 10*time.Hour, 10*time.Hour
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(3 * time.Hour)
			got := w.takeReports()
			if len(got) != 13 {
				t.Fatalf("%d tries, want 13", len(got))
			}
			want := 2 * time.Second
			for i := 1; i < len(got); i++ {
				gap := got[i].at - got[i-1].at
				if gap < want*7/10 || gap > min(want*13/10, 5*time.Minute) {
					t.Errorf("try %d came %v after the one before, want about %v", i+1, gap, want)
				}
				want = min(2*want, 5*time.Minute)
			}
			if r := status(t, s).Reports; r.Owed != 0 || r.LastError != "" {
				t.Errorf("still owed: %+v", r)
			}
		})
	})
	t.Run("SC-17 Retry-After is honoured, up to an hour, by newer reports too", func(t *testing.T) {
		for _, test := range []struct{ wish, want time.Duration }{{10 * time.Minute, 10 * time.Minute}, {5 * time.Hour, time.Hour}} {
			w := newWorld(persist(1, "a"))
			w.answer = failing(1, &plugin.Refusal{Code: 503, RetryAfter: test.wish})
			cfg := testConfig()
			cfg.Intervals.Scan = 7 * time.Minute
			inBubble(t, w, cfg, func(t *testing.T, s *System) {
				pass(test.want + 2*time.Minute)
				got := w.takeReports()
				if len(got) != 2 || got[1].at-got[0].at < test.want || got[1].at-got[0].at > test.want+time.Second {
					t.Errorf("wish %v: reports %v", test.wish, got)
				}
			})
		}
	})
	t.Run("SC-17 a new report carries everything still owed, the newest status winning", func(t *testing.T) {
		w := newWorld(persist(1, "a"), once(2, "o"))
		w.answer = failing(3, errAway)
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(61 * time.Second) // the scan's report fails at 60 s, tried again about 62 s
			w.set(func() { w.beats["a"] = epoch })
			pass(4 * time.Minute) // a pull says failed
			got := w.takeReports()
			if got[0].short() != "o=installed a=running" {
				t.Errorf("first %q", got[0].short())
			}
			if last := got[len(got)-1].short(); last != "a=failed" && last != "o=installed a=failed" {
				t.Errorf("last %q", last)
			}
		})
	})
	t.Run("SC-18 owed is shown, saved, and told by the next process", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.answer = failing(1000, errAway)
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(2 * time.Minute)
			if r := status(t, s).Reports; r.Owed != 1 || r.LastError == "" || r.NextTry.IsZero() || r.OwedSince.IsZero() {
				t.Errorf("status %+v", r)
			}
			if !view(t, s, "a").Owed {
				t.Error("the plugin is not shown as owed")
			}
		})
		if o := w.saved.Owed["a"]; o.Status != plugin.StatusRunning {
			t.Fatalf("saved %+v", w.saved.Owed)
		}
		w.plugins, w.reports, w.answer = nil, nil, nil // even if the plugin is gone by then
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(owedSpread)
			wantReports(t, w.takeReports(), "a=running")
			if len(w.saved.Owed) != 0 {
				t.Errorf("still saved: %v", w.saved.Owed)
			}
		})
	})
	t.Run("SC-19 delivered although the answer is not understood", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.answer = func(int) (plugin.Answer, error) { return plugin.Answer{Understood: errors.New("not JSON")}, nil }
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(5 * time.Minute)
			wantReports(t, w.takeReports(), "a=running")
			got := status(t, s)
			if got.Reports.Owed != 0 || got.Timers[0].Interval != 15*time.Minute || got.Reports.Lazy {
				t.Errorf("status %+v", got)
			}
			if due := got.Timers[0].Due; !due.Equal(epoch.Add(16 * time.Minute)) {
				t.Errorf("due %v", due)
			}
		})
	})
	t.Run("SC-20 which refusals are tried again", func(t *testing.T) {
		for code, again := range map[int]bool{301: true, 400: false, 401: false, 403: false, 404: false, 408: true, 425: true, 429: true, 500: true, 503: true} {
			w := newWorld(persist(1, "a"))
			w.answer = failing(1, &plugin.Refusal{Code: code})
			inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
				pass(5 * time.Minute)
				if n := len(w.takeReports()); (n > 1) != again {
					t.Errorf("status %d: %d tries", code, n)
				}
				if r := status(t, s).Reports; !again && r.Owed != 1 {
					t.Errorf("status %d: owed %d", code, r.Owed)
				}
				pass(15 * time.Minute) // the next report carries it
				if r := status(t, s).Reports; r.Owed != 0 {
					t.Errorf("status %d: never delivered", code)
				}
			})
		}
	})
	t.Run("SC-20 what was refused goes with the next scan, even one that has nothing of its own", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.running["a"], w.starts = false, func(string) bool { return true }
		w.answer = failing(1, &plugin.Refusal{Code: 403})
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(2 * time.Minute)
			w.set(func() { w.says = map[string]plugin.Status{"a": plugin.StatusRemoved} })
			w.takeReports()
			pass(15 * time.Minute)
			wantReports(t, w.takeReports(), "a=running")
		})
	})
}

func TestAnswers(t *testing.T) {
	t.Run("SC-23 the report mode", func(t *testing.T) {
		var mode plugin.ReportMode
		w := newWorld(persist(1, "a"))
		w.answer = func(int) (plugin.Answer, error) { m := mode; return plugin.Answer{ReportMode: &m}, nil }
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			for _, step := range []struct {
				mode plugin.ReportMode
				lazy bool
			}{{0, false}, {1, true}, {7, true}, {-1, true}, {0, false}} {
				w.set(func() { mode = step.mode })
				pass(15 * time.Minute)
				if got := status(t, s).Reports.Lazy; got != step.lazy {
					t.Errorf("after mode %d lazy is %v", step.mode, got)
				}
			}
		})
	})
	t.Run("SC-24 a code is a warning, the rest is used", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.answer = func(int) (plugin.Answer, error) {
			return plugin.Answer{Code: 7, ScanInterval: time.Minute}, nil
		}
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(2 * time.Minute)
			if got := status(t, s).Timers[0].Interval; got != time.Minute {
				t.Errorf("scan interval %v", got)
			}
		})
	})
	t.Run("SC-25 a restarted plugin is told again, if scan and pull come later", func(t *testing.T) {
		for refresh, want := range map[time.Duration]int{0: 1, 30 * time.Second: 2, 10 * time.Minute: 1} {
			w := newWorld(persist(1, "a"))
			w.running["a"] = false
			w.answer = func(int) (plugin.Answer, error) { return plugin.Answer{RefreshInterval: refresh}, nil }
			inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
				pass(14 * time.Minute)
				got := w.takeReports()
				if len(got) != want {
					t.Fatalf("refresh %v: %d reports %v", refresh, len(got), shorts(got))
				}
				if want == 2 && got[1].at-got[0].at != refresh {
					t.Errorf("refresh %v: told again after %v", refresh, got[1].at-got[0].at)
				}
			})
		}
	})
}

// A report on the wire is not overtaken by a newer one.
func TestReportsDoNotOvertake(t *testing.T) {
	w := newWorld(persist(1, "a"), persist(2, "b"))
	w.running["b"] = false
	w.startTime["b"] = time.Second
	w.latency = 10 * time.Second
	cfg := testConfig()
	cfg.FirstRun.Pull = 10 * time.Hour
	inBubble(t, w, cfg, func(t *testing.T, s *System) {
		pass(2 * time.Minute)
		got := w.takeReports()
		wantReports(t, got, "a=running", "a=running b=running")
		if got[1].at-got[0].at != w.latency {
			t.Errorf("the second was sent %v after the first", got[1].at-got[0].at)
		}
	})
}

func TestLedger(t *testing.T) {
	now := epoch
	fill := func(n int) *ledger {
		l := newLedger(plugin.Memory{}, &changes{})
		for i := range n {
			l.owe(now, persist(uint64(i+1), fmt.Sprintf("p%d", i)), plugin.StatusRunning, "")
		}
		return l
	}
	t.Run("what came to be owed after a report stays owed when that is acknowledged", func(t *testing.T) {
		l := fill(2)
		l.compose(1, purposeScan, nil)
		l.owe(now, persist(1, "p0"), plugin.StatusFailed, "")
		if p, ok := l.acknowledge(1, unheard); !ok || p != purposeScan {
			t.Errorf("acknowledged %v %v", p, ok)
		}
		if len(l.owed) != 1 || l.owed["p0"].Status != plugin.StatusFailed {
			t.Errorf("owed %v", l.owed)
		}
		if l.acked["p0"].Status != plugin.StatusRunning {
			t.Errorf("acked %v", l.acked)
		}
	})
	t.Run("a replaced report's purpose passes on, once", func(t *testing.T) {
		l := fill(1)
		l.compose(1, purposeScan, nil)
		l.compose(2, purposePull, []string{"p0"})
		l.compose(3, purposeOther, nil)
		if p, _ := l.acknowledge(2, unheard); p != purposeScan|purposePull {
			t.Errorf("purpose %v", p)
		}
		if p, _ := l.acknowledge(3, unheard); p != purposeOther {
			t.Errorf("purpose of the third %v", p)
		}
		if _, ok := l.acknowledge(1, unheard); ok {
			t.Error("a replaced report was acknowledged")
		}
	})
	t.Run("a refused report passes nothing on", func(t *testing.T) {
		l := fill(1)
		l.compose(1, purposePull, []string{"p0"})
		l.refused(1)
		l.compose(2, purposeOther, nil)
		if p, _ := l.acknowledge(2, unheard); p != purposeOther || l.pullAcked {
			t.Errorf("purpose %v, pull acknowledged %v", p, l.pullAcked)
		}
	})
	t.Run("SysTag: a tag that was not told yet is not lost to a newer status", func(t *testing.T) {
		l := newLedger(plugin.Memory{}, &changes{})
		l.owe(now, persist(1, "a"), plugin.StatusRunning, plugin.SysTagAdd)
		l.owe(now, persist(1, "a"), plugin.StatusFailed, "")
		if e := l.compose(1, purposeOther, nil).Entries[0]; e.SysTag != plugin.SysTagAdd || e.Status != plugin.StatusFailed {
			t.Errorf("%+v", e)
		}
	})
	t.Run("SC-18 only what the control plane does not know yet needs to be saved", func(t *testing.T) {
		l := fill(1)
		l.compose(1, purposeScan, nil)
		l.acknowledge(1, unheard)
		l.saving.written()
		l.owe(now, persist(1, "p0"), plugin.StatusRunning, "")
		if b := l.saving.batch; !b.Empty() {
			t.Errorf("saves %+v", b)
		}
		l.owe(now, persist(1, "p0"), plugin.StatusFailed, "")
		if b := l.saving.batch; b.Owed["p0"] == nil || !b.Sync {
			t.Errorf("saves %+v", b)
		}
	})
	t.Run("SC-05 order: Once first, then by record, whatever came first", func(t *testing.T) {
		l := newLedger(plugin.Memory{}, &changes{})
		for _, p := range []plugin.Plugin{persist(300, "z"), once(400, "o2"), persist(1, "y"), once(2, "o1")} {
			l.owe(now, p, plugin.StatusRunning, "")
		}
		var names []string
		for _, e := range l.compose(1, purposeScan, nil).Entries {
			names = append(names, e.Name)
		}
		if got := strings.Join(names, " "); got != "o1 o2 y z" {
			t.Errorf("order %q", got)
		}
	})
}

func TestLazyDecision(t *testing.T) {
	a, b := persist(1, "a"), persist(2, "b")
	newer := a
	newer.Version = "2.0"
	all := []pullEntry{{a, plugin.StatusRunning}, {b, plugin.StatusRunning}}
	acked := func(s plugin.Status) plugin.Acked { return plugin.Acked{Version: "1.0", Status: s} }
	known := map[string]plugin.Acked{"a": acked(plugin.StatusRunning), "b": acked(plugin.StatusRunning)}
	for _, test := range []struct {
		name    string
		entries []pullEntry
		acked   map[string]plugin.Acked
		owed    map[string]plugin.Owed
		pulled  []string
		never   bool
		want    bool
	}{
		{"PL-13 all as acknowledged", all, known, nil, []string{"a", "b"}, false, false},
		{"PL-18 no pull acknowledged yet", all, known, nil, nil, true, true},
		{"PL-14 a status changed", []pullEntry{{a, plugin.StatusFailed}, {b, plugin.StatusRunning}}, known, nil, []string{"a", "b"}, false, true},
		{"PL-14 a version changed", []pullEntry{{newer, plugin.StatusRunning}, {b, plugin.StatusRunning}}, known, nil, []string{"a", "b"}, false, true},
		{"PL-14 a plugin is new", all, map[string]plugin.Acked{"a": acked(plugin.StatusRunning)}, nil, []string{"a"}, false, true},
		{"PL-14 a plugin is no longer there", all[:1], known, nil, []string{"a", "b"}, false, true},
		{"PL-13 acknowledged by a scan's or restart's report, not by a pull", all, known, nil, []string{"a", "b"}, false, false},
		{"what is owed of it says otherwise", all, known, map[string]plugin.Owed{"a": {Version: "1.0", Status: plugin.StatusFailed}}, []string{"a", "b"}, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLedger(plugin.Memory{Acked: test.acked, Owed: test.owed}, &changes{})
			l.pullAcked, l.pulled = !test.never, test.pulled
			if got := l.pullIsNews(test.entries); got != test.want {
				t.Errorf("news: %v", got)
			}
		})
	}
}

func TestOutbox(t *testing.T) {
	event := func(id string) plugin.Event { return plugin.Event{ID: id} }
	t.Run("LR-04 a newer inventory replaces the one not delivered", func(t *testing.T) {
		b := newOutbox(plugin.Memory{}, &changes{})
		b.add(event(plugin.EventLocalList))
		first, _, _ := b.next()
		b.add(event(plugin.EventUpdate))
		b.add(event(plugin.EventLocalList))
		if len(b.events) != 2 {
			t.Errorf("events %v", b.events)
		}
		b.delivered(first) // too late to matter
		if seq, e, ok := b.next(); !ok || e.ID != plugin.EventUpdate {
			t.Errorf("next %d %v %v", seq, e, ok)
		}
	})
	t.Run("a refused event does not hold up the others, and is tried on the next occasion", func(t *testing.T) {
		b := newOutbox(plugin.Memory{}, &changes{})
		b.add(event("one"))
		b.add(event("two"))
		seq, _, _ := b.next()
		b.failed(seq)
		if _, e, ok := b.next(); !ok || e.ID != "two" {
			t.Errorf("next %v %v", e, ok)
		}
		b.delivered(2)
		if _, _, ok := b.next(); ok {
			t.Error("a refused event was tried without an occasion")
		}
		b.again()
		if _, e, ok := b.next(); !ok || e.ID != "one" {
			t.Errorf("next %v %v", e, ok)
		}
	})
	t.Run("full: the oldest goes", func(t *testing.T) {
		b := newOutbox(plugin.Memory{}, &changes{})
		for i := range maxEvents {
			if dropped := b.add(event(fmt.Sprint(i))); dropped != nil {
				t.Fatalf("dropped %v", dropped)
			}
		}
		if dropped := b.add(event("last")); dropped == nil || dropped.ID != "0" {
			t.Errorf("dropped %v", dropped)
		}
		if len(b.events) != maxEvents {
			t.Errorf("%d events", len(b.events))
		}
	})
	t.Run("begins with what was saved", func(t *testing.T) {
		b := newOutbox(plugin.Memory{Events: map[uint64]plugin.Event{7: event("a"), 9: event("b")}}, &changes{})
		var order []uint64
		for seq, _, ok := b.next(); ok; seq, _, ok = b.next() {
			order = append(order, seq)
			b.delivered(seq)
		}
		if !slices.Equal(order, []uint64{7, 9}) {
			t.Errorf("order %v", order)
		}
		b.add(event("c"))
		if seq, _, _ := b.next(); seq != 10 {
			t.Errorf("sequence %d", seq)
		}
	})
}

// A report that a newer one took the place of is given up by name, so that
// what waits for an answer does not grow while the control plane is away.
func TestReplacedReportsAreGivenUp(t *testing.T) {
	w := newWorld(persist(1, "a"))
	w.answer = failing(1<<30, errAway)
	w.latency = 3 * time.Second
	bareBubble(t, func(t *testing.T, sys *actor.ActorSystem) {
		me := &probeActor{}
		self := sys.Root.Spawn(me.props())
		reporter := sys.Root.Spawn(newReporter(w, w, rand.New(rand.NewPCG(1, 1))))
		order := func(gen uint64) {
			sys.Root.RequestWithCustomSender(reporter, messages.Report{Gen: gen, Report: plugin.Report{Entries: []plugin.ReportEntry{{Name: "a"}}}}, self)
		}
		order(1)
		pass(time.Second) // 1 is on the wire
		order(2)
		order(3) // in the place of 2, which was never sent
		pass(time.Second)
		if got := of[messages.ReportReplaced](me.take()); len(got) != 1 || got[0].Gen != 2 {
			t.Errorf("replaced %v", got)
		}
		pass(5 * time.Second) // 1 has failed, 3 follows and fails
		got := me.take()
		if r := of[messages.ReportReplaced](got); len(r) != 1 || r[0].Gen != 1 {
			t.Errorf("replaced %v", r)
		}
		if f := of[messages.ReportFailed](got); len(f) != 2 || f[0].Gen != 1 || f[1].Gen != 3 || f[1].NextTry.IsZero() {
			t.Errorf("failed %v", f)
		}
		order(4) // 3 waits for its next try
		synctest.Wait()
		if r := of[messages.ReportReplaced](me.take()); len(r) != 1 || r[0].Gen != 3 {
			t.Errorf("replaced %v", r)
		}
		_ = sys.Root.StopFuture(reporter).Wait()
		_ = sys.Root.StopFuture(self).Wait()
	})
	l := newLedger(plugin.Memory{}, &changes{})
	for gen := range uint64(1000) {
		l.owe(epoch, persist(1, "a"), plugin.StatusRunning, "")
		l.compose(gen+1, purposeScan, nil)
		l.replaced(gen)
	}
	if len(l.sent) != 1 {
		t.Errorf("%d reports are awaited", len(l.sent))
	}
	if p, _ := l.acknowledge(1000, unheard); p != purposeScan {
		t.Errorf("purpose %v", p)
	}
}

// unheard is for tests that do not look at what was settled.
func unheard(string, plugin.Owed) {}
