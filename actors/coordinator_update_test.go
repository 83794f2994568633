package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

// updateConfig returns a configuration that checks for updates at 2 min, and scans and
// pulls later.
func updateConfig() Config {
	cfg := testConfig()
	cfg.FirstRun.Update = 2 * time.Minute
	cfg.Intervals.Scan = 1000 * time.Hour
	cfg.FirstRun.Pull = 1000 * time.Hour
	return cfg
}

func offer(name, version string) plugin.Change {
	return plugin.Change{Name: name, Version: version, Timeout: time.Minute}
}

// offering returns an OnUpdateCheck that assigns these changes at the first check.
func offering(next time.Duration, os ...plugin.Change) func(int) (plugin.Updates, error) {
	return func(n int) (plugin.Updates, error) {
		if n > 1 {
			os = nil
		}
		return plugin.Updates{Changes: os, NextInterval: next}, nil
	}
}

// eventLine returns an update event in one line.
func eventLine(e plugin.Event) string {
	k := e.Keywords
	return fmt.Sprintf("%s %s@%s status %s %s", e.ID, k["name"], k["version"], k["status"], k["errMsg"])
}

// takeEvents returns the events that were received since the last call.
func takeEvents(w *actorstest.World) (lines []string) {
	synctest.Wait()
	w.Lock()
	defer w.Unlock()
	for _, e := range w.Events {
		lines = append(lines, eventLine(e.Event))
	}
	w.Events = nil
	return lines
}

func TestUpdateChecks(t *testing.T) {
	t.Run("UP-01 UP-02 only upgradable plugins are in the request; no request without any, or after an error", func(t *testing.T) {
		gone, unknown := actorstest.Persist(2, "gone"), actorstest.Persist(3, "odd")
		gone.Removed, unknown.Type = true, plugin.Unknown
		w := actorstest.NewWorld(actorstest.Once(1, "o"), gone, unknown)
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(40 * time.Minute)
			w.Set(func() { w.ListErr = errors.New("locked") })
			actorstest.Advance(time.Hour)
			if len(w.UpdateCheckTimes()) != 0 {
				t.Errorf("checks at %v, want none", w.UpdateCheckTimes())
			}
			w.Set(func() { w.ListErr = nil; w.Plugins[2].Type = plugin.Commander })
			actorstest.Advance(time.Hour)
			if len(w.UpdateCheckTimes()) != 2 {
				t.Errorf("%d checks, want 2", len(w.UpdateCheckTimes()))
			}
		})
	})
	t.Run("UP-03 two more tries about 3 s apart, then the next period", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.OnUpdateCheck = func(int) (plugin.Updates, error) { return plugin.Updates{}, errAway }
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(20 * time.Minute)
			if len(w.UpdateCheckTimes()) != 3 {
				t.Fatalf("checks at %v, want 3", w.UpdateCheckTimes())
			}
			for i := 1; i < 3; i++ {
				if gap := w.UpdateCheckTimes()[i].Sub(w.UpdateCheckTimes()[i-1]); gap < 2*time.Second || gap > 4*time.Second {
					t.Errorf("try %d after %v; want at least %v, at most %v", i+1, gap, 2*time.Second, 4*time.Second)
				}
			}
			actorstest.Advance(20 * time.Minute)
			if len(w.UpdateCheckTimes()) != 6 || !w.UpdateCheckTimes()[3].Equal(actorstest.Epoch.Add(32*time.Minute)) {
				t.Errorf("checks at %v; want 6, the fourth at %v", w.UpdateCheckTimes(), actorstest.Epoch.Add(32*time.Minute))
			}
		})
	})
	t.Run("SC-26 status shows why update checks fail, until one succeeds", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.OnUpdateCheck = func(n int) (plugin.Updates, error) {
			if n <= 3 {
				return plugin.Updates{}, errAway
			}
			return plugin.Updates{}, nil
		}
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(20 * time.Minute)
			if p := status(t, s).Problems; len(p) != 1 || p[0].What != "update check" || p[0].Why != errAway.Error() {
				t.Errorf("problems %v; want 1 entry, what \"update check\", why %v", p, errAway.Error())
			}
			actorstest.Advance(40 * time.Minute)
			if p := status(t, s).Problems; len(p) != 0 {
				t.Errorf("problems %v, want none", p)
			}
		})
	})
	t.Run("UP-04 after an answer that cannot be parsed, the next check is a period later", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.OnUpdateCheck = func(int) (plugin.Updates, error) {
			return plugin.Updates{}, fmt.Errorf("decode: %w", plugin.ErrUnreadableAnswer)
		}
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(20 * time.Minute)
			if len(w.UpdateCheckTimes()) != 1 {
				t.Errorf("checks at %v, want 1", w.UpdateCheckTimes())
			}
		})
	})
}

func TestUpdateOffers(t *testing.T) {
	t.Run("UP-05 a change that the update handler handles is not made", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Persist(2, "b"))
		w.OnUpdateCheck = offering(0, offer("a", "2.0"), offer("b", "2.0"))
		ports := worldPorts(w)
		var asked []string
		ports.UpdateHandler = func(_ context.Context, u plugin.AssignedUpdate) bool {
			asked = append(asked, u.Name+"@"+u.Version)
			return u.Name == "a"
		}
		synctest.Test(t, func(t *testing.T) {
			s, err := Start(updateConfig(), plugin.Memory{}, ports)
			if err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(5 * time.Minute)
			if !slices.Equal(asked, []string{"a@2.0", "b@2.0"}) {
				t.Errorf("handler called for %v, want %q", asked, []string{"a@2.0", "b@2.0"})
			}
			if w.CountCalls("upgrade 2.0", "a") != 0 || w.CountCalls("upgrade 2.0", "b") != 1 {
				t.Errorf("calls %v; want no calls of upgrade 2.0 of a, 1 call of upgrade 2.0 of b", w.Calls)
			}
			if got := takeEvents(w); !slices.Equal(got, []string{"agent.plugin.update b@2.0 status 0 "}) {
				t.Errorf("events %q, want %q", got, []string{"agent.plugin.update b@2.0 status 0 "})
			}
			wantState(t, s, "a", plugin.StateRunning)
			drainAll(t, s)
		})
	})
	t.Run("UP-06 UP-07 UP-08 UP-11 changes are made in parallel, each with its event; a failed one stops no other", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Persist(2, "b"), actorstest.Persist(3, "c"))
		w.OnUpdateCheck = offering(0, offer("a", "2.0"), offer("nosuch", "1.0"), offer("c", "0.9"), offer("b", "1.0"))
		for _, name := range []string{"a", "b", "c"} {
			w.VerbTime[name] = 5 * time.Minute // a fetch may take longer than the deadline of a verb
		}
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(119 * time.Second)
			w.TakeReports()
			actorstest.Advance(20 * time.Minute)
			want := []string{
				"agent.plugin.update a@2.0 status 0 ", "agent.plugin.update nosuch@1.0 status 1 version folder missing",
				"agent.plugin.update c@0.9 status 0 ", "agent.plugin.update b@1.0 status 0 ",
			}
			got := takeEvents(w)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("events %q, want %q", got, want)
			}
			reported := map[string]bool{}
			for _, r := range w.TakeReports() {
				for _, word := range strings.Fields(r.String()) {
					reported[word] = true
				}
			}
			if len(reported) != 3 || !reported["a@2.0=running"] || !reported["c@0.9=running"] || !reported["b=running"] {
				t.Errorf("reported %v; want a@2.0=running, c@0.9=running, b=running", reported)
			}
			if at := w.CallTimes("upgrade 0.9", "c"); len(at) != 1 || at[0] != 2*minute {
				t.Errorf("the change of the other plugin was made at %v, want %v", at, 2*minute)
			}
			if got := status(t, s).Counters; got.Upgrades != 4 || got.UpgradesFailed != 1 {
				t.Errorf("counters %+v; want upgrades 4, upgrades failed 1", got)
			}
		})
	})
	t.Run("UP-06 a manager that panics counts as a failed upgrade", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.OnUpdateCheck = offering(0, offer("a", "2.0"))
		w.OnChange = func(plugin.Change) plugin.ChangeResult { panic("bug") }
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(5 * time.Minute)
			wantState(t, s, "a", plugin.StateRunning)
			if got := takeEvents(w); len(got) != 1 {
				t.Errorf("events %q, want 1 entry", got)
			}
		})
	})
	t.Run("UP-09 the interval of an answer is stored, and counts from the end of the check", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.OnUpdateCheck = offering(50*time.Minute, offer("a", "2.0"))
		w.VerbTime["a"] = 4 * time.Minute
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(10 * time.Minute)
			if got := status(t, s).Timers[2]; got.Interval != 50*time.Minute || !got.Due.Equal(actorstest.Epoch.Add(56*time.Minute)) {
				t.Errorf("timer %+v; want interval %v, due %v", got, 50*time.Minute, actorstest.Epoch.Add(56*time.Minute))
			}
		})
	})
}

func TestUpdateAndRestarter(t *testing.T) {
	t.Run("UP-10 RS-09 during an upgrade no Restarter touches the plugin, no report says it failed", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Persist(2, "b"))
		w.OnUpdateCheck = offering(0, offer("a", "2.0"))
		w.VerbTime["a"] = 30 * time.Minute
		w.LastHeartbeat = map[string]time.Time{"a": actorstest.Epoch, "b": actorstest.Epoch.Add(1000 * time.Hour)}
		cfg := updateConfig()
		cfg.Intervals.Scan, cfg.FirstRun.Pull = 5*time.Minute, 4*time.Minute
		cfg.Restart.OnHang = false
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(119 * time.Second)
			w.TakeReports()
			actorstest.Advance(2 * time.Second)
			wantState(t, s, "a", plugin.StateUpgrading)
			w.Set(func() { w.Running["a"] = false })
			actorstest.Advance(25 * time.Minute)
			for _, r := range w.TakeReports() {
				if r.String() != "b=running" {
					t.Errorf("reported %q, want \"b=running\"", r.String())
				}
			}
			if n := w.CountCalls("--start", "a"); n != 0 {
				t.Errorf("%d starts, want 0", n)
			}
			actorstest.Advance(6 * time.Minute)
			wantState(t, s, "a", plugin.StateRunning)
		})
	})
	t.Run("RS-09 an upgrade waits until the Restarter of the plugin has stopped", func(t *testing.T) {
		w := stoppedWorld("a")
		w.OnUpdateCheck = offering(0, offer("a", "2.0"))
		cfg := updateConfig()
		cfg.Restart.Stagger = 20 * time.Minute
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(40 * time.Minute)
			if w.CountCalls("upgrade 2.0", "a") != 1 || w.CountCalls("--start", "a") != 0 {
				t.Errorf("calls %v; want 1 call of upgrade 2.0 of a, no calls of --start of a", w.Calls)
			}
			if v := view(t, s, "a"); v.State != plugin.StateRunning || v.Version != "2.0" {
				t.Errorf("view %+v; want state running, version \"2.0\"", v)
			}
		})
	})
	t.Run("a plugin is restarted after a failed upgrade", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.OnUpdateCheck = offering(0, offer("a", "2.0"))
		w.OnChange = func(plugin.Change) plugin.ChangeResult {
			w.Set(func() { w.Running["a"] = false })
			p := actorstest.Persist(1, "a")
			p.Version = "2.0"
			return plugin.ChangeResult{
				Outcome: plugin.Outcome{Verb: plugin.VerbUpgrade, ExitCode: 4, Err: errors.New("exit 4")},
				Plugin:  p, Previous: "1.0", Status: plugin.StatusFailed,
			}
		}
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(3 * time.Minute)
			wantState(t, s, "a", plugin.StateRunning)
			got := actorstest.ReportTexts(w.TakeReports())
			if !slices.Contains(got, "a@2.0=failed") {
				t.Errorf("reports %q, want \"a@2.0=failed\" among them", got)
			}
		})
	})
}

func TestUpdateReported(t *testing.T) {
	t.Run("SPEC 3: the tag of an upgrade is in the report", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.OnUpdateCheck = offering(0, offer("a", "2.0"))
		w.OnChange = func(plugin.Change) plugin.ChangeResult {
			p := actorstest.Persist(1, "a")
			p.Version = "2.0"
			return plugin.ChangeResult{Plugin: p, Previous: "1.0", Status: plugin.StatusRunning, SysTag: plugin.SysTagAdd}
		}
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(3 * time.Minute)
			if got := actorstest.ReportTexts(w.TakeReports()); !slices.Contains(got, "a@2.0=running+add") {
				t.Errorf("reports %q, want \"a@2.0=running+add\" among them", got)
			}
		})
	})
	t.Run("an operator can make the update check due now", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(time.Second)
			if err := s.CheckUpdates(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if len(w.UpdateCheckTimes()) != 1 {
				t.Errorf("%d checks, want 1", len(w.UpdateCheckTimes()))
			}
		})
	})
}

func TestInventory(t *testing.T) {
	config := func() Config {
		cfg := testConfig()
		cfg.FirstRun.Inventory = 3 * time.Minute
		cfg.FirstRun.Scan, cfg.FirstRun.Pull = 1000*time.Hour, 1000*time.Hour
		return cfg
	}
	t.Run("LR-01 LR-02 all installed plugins, os and arch in lower case", func(t *testing.T) {
		gone := actorstest.Persist(3, "gone")
		gone.Removed = true
		odd := actorstest.Persist(4, "odd")
		odd.Type = plugin.Unknown
		w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Once(2, "o"), gone, odd)
		inBubble(t, w, config(), func(t *testing.T, s *System) {
			actorstest.Advance(48 * time.Hour)
			events := w.SentEvents()
			if len(events) != 2 || events[0].At != 3*time.Minute || events[1].At != 24*time.Hour+3*time.Minute {
				t.Fatalf("events %v; want 2 events, at %v, at %v", events, 3*time.Minute, 24*time.Hour+3*time.Minute)
			}
			e := events[0].Event
			if e.ID != plugin.EventLocalList || e.Keywords["localArch"] != "x64" || e.Keywords["localOsType"] != "linux" {
				t.Errorf("event %+v; want id %v, keywords of localArch \"x64\", keywords of localOsType \"linux\"", e, plugin.EventLocalList)
			}
			var list map[string][]string
			if err := json.Unmarshal([]byte(e.Keywords["pluginList"]), &list); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(list["name"], []string{"a", "o", "odd"}) || list["os"][0] != "linux" || list["arch"][0] != "all" {
				t.Errorf("list %v; want names %q, os \"linux\", arch \"all\"", list, []string{"a", "o", "odd"})
			}
		})
	})
	t.Run("LR-03 nothing installed, nothing sent", func(t *testing.T) {
		w := actorstest.NewWorld()
		inBubble(t, w, config(), func(t *testing.T, s *System) {
			actorstest.Advance(48 * time.Hour)
			if events := w.SentEvents(); len(events) != 0 {
				t.Errorf("events %v, want no events", events)
			}
		})
	})
	t.Run("LR-04 the event is sent until it is delivered, also by the next process", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.OnEvent = func(int) error { return errAway }
		inBubble(t, w, config(), func(t *testing.T, s *System) {
			actorstest.Advance(time.Hour)
			if n := len(w.SentEvents()); n < 10 {
				t.Errorf("%d tries, want at least 10", n)
			}
			if got := status(t, s).Reports.Events; got != 1 {
				t.Errorf("%d events pending, want 1", got)
			}
		})
		w.OnEvent, w.Events = nil, nil
		inBubble(t, w, config(), func(t *testing.T, s *System) {
			actorstest.Advance(pendingSpread)
			if events := w.SentEvents(); len(events) != 1 || len(w.Saved.Events) != 0 {
				t.Errorf("events %v, saved %v; want 1 event, no events", events, w.Saved.Events)
			}
		})
	})
}

// The record of a plugin is removed while its Restarter runs, and an update is
// assigned before that stops: the queue continues, and the plugin is installed again.
func TestUpdateOfRemovedPlugin(t *testing.T) {
	w := stoppedWorld("a", "b")
	w.VerbTime["a"], w.KillTime = 3*time.Minute, 3*time.Second
	w.OnUpdateCheck = offering(0, offer("a", "2.0"), offer("b", "2.0"))
	w.OnChange = func(o plugin.Change) plugin.ChangeResult {
		p := actorstest.Persist(1, o.Name)
		p.Version = o.Version
		w.Set(func() {
			w.Running[o.Name] = true
			w.Plugins = append(slices.DeleteFunc(w.Plugins, func(old plugin.Plugin) bool { return old.Name == o.Name }), p)
		})
		return plugin.ChangeResult{Plugin: p, Status: plugin.StatusRunning}
	}
	cfg := updateConfig()
	cfg.FirstRun.Inventory = 119 * time.Second
	inBubble(t, w, cfg, func(t *testing.T, s *System) {
		actorstest.Advance(90 * time.Second) // --start of a runs
		w.Set(func() { w.Plugins = w.Plugins[1:] })
		actorstest.Advance(5 * time.Minute)
		if w.CountCalls("upgrade 2.0", "a") != 1 || w.CountCalls("upgrade 2.0", "b") != 1 {
			t.Errorf("calls %v; want 1 call of upgrade 2.0 of a, 1 call of upgrade 2.0 of b", w.Calls)
		}
		wantState(t, s, "a", plugin.StateRunning)
		if got := status(t, s).Timers[2]; got.Running {
			t.Error("the update check still runs, want that it ended")
		}
	})
}
