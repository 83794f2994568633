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

	"pluginsupervisor/plugin"
)

// updateConfig checks for updates at 2 min and does little else.
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

// offering answers the first update check with these offers.
func offering(next time.Duration, os ...plugin.Change) func(int) (plugin.Updates, error) {
	return func(n int) (plugin.Updates, error) {
		if n > 1 {
			os = nil
		}
		return plugin.Updates{Changes: os, NextInterval: next}, nil
	}
}

// eventLine is an update event in short form.
func eventLine(e plugin.Event) string {
	k := e.Keywords
	return fmt.Sprintf("%s %s@%s status %s %s", e.ID, k["name"], k["version"], k["status"], k["errMsg"])
}

func (w *world) takeEvents() (lines []string) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		lines = append(lines, eventLine(e.event))
	}
	w.events = nil
	return lines
}

func TestUpdateChecks(t *testing.T) {
	t.Run("UP-01 UP-02 only upgradable plugins are asked for; none, or an error: no HTTP", func(t *testing.T) {
		gone, unknown := persist(2, "gone"), persist(3, "odd")
		gone.Removed, unknown.Type = true, plugin.Unknown
		w := newWorld(once(1, "o"), gone, unknown)
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			pass(40 * time.Minute)
			w.set(func() { w.listErr = errors.New("locked") })
			pass(time.Hour)
			if len(w.checked()) != 0 {
				t.Errorf("checks at %v", w.checked())
			}
			w.set(func() { w.listErr = nil; w.plugins[2].Type = plugin.Commander })
			pass(time.Hour)
			if len(w.checked()) != 2 {
				t.Errorf("%d checks", len(w.checked()))
			}
		})
	})
	t.Run("UP-03 two more tries about 3 s apart, then the next period", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.updates = func(int) (plugin.Updates, error) { return plugin.Updates{}, errAway }
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			pass(20 * time.Minute)
			if len(w.checked()) != 3 {
				t.Fatalf("checks at %v", w.checked())
			}
			for i := 1; i < 3; i++ {
				if gap := w.checked()[i].Sub(w.checked()[i-1]); gap < 2*time.Second || gap > 4*time.Second {
					t.Errorf("try %d after %v", i+1, gap)
				}
			}
			pass(20 * time.Minute)
			if len(w.checked()) != 6 || !w.checked()[3].Equal(epoch.Add(32*time.Minute)) {
				t.Errorf("checks at %v", w.checked())
			}
		})
	})
	t.Run("SC-26 why update checks fail stands in status until one succeeds", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.updates = func(n int) (plugin.Updates, error) {
			if n <= 3 {
				return plugin.Updates{}, errAway
			}
			return plugin.Updates{}, nil
		}
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			pass(20 * time.Minute)
			if p := status(t, s).Problems; len(p) != 1 || p[0].What != "update check" || p[0].Why != errAway.Error() {
				t.Errorf("problems %v", p)
			}
			pass(40 * time.Minute)
			if p := status(t, s).Problems; len(p) != 0 {
				t.Errorf("problems %v", p)
			}
		})
	})
	t.Run("UP-04 an answer not understood waits for the next period", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.updates = func(int) (plugin.Updates, error) {
			return plugin.Updates{}, fmt.Errorf("decode: %w", plugin.ErrUnreadableAnswer)
		}
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			pass(20 * time.Minute)
			if len(w.checked()) != 1 {
				t.Errorf("checks at %v", w.checked())
			}
		})
	})
}

func TestUpdateOffers(t *testing.T) {
	t.Run("UP-05 a handler takes an offer over: nothing else is done about it", func(t *testing.T) {
		w := newWorld(persist(1, "a"), persist(2, "b"))
		w.updates = offering(0, offer("a", "2.0"), offer("b", "2.0"))
		ports := w.ports()
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
			pass(5 * time.Minute)
			if !slices.Equal(asked, []string{"a@2.0", "b@2.0"}) {
				t.Errorf("handler asked for %v", asked)
			}
			if w.count("upgrade 2.0", "a") != 0 || w.count("upgrade 2.0", "b") != 1 {
				t.Errorf("did %v", w.did)
			}
			if got := w.takeEvents(); !slices.Equal(got, []string{"agent.plugin.update b@2.0 status 0 "}) {
				t.Errorf("events %q", got)
			}
			wantState(t, s, "a", plugin.StateRunning)
			drainAll(t, s)
		})
	})
	t.Run("UP-06 UP-07 UP-08 UP-11 offers side by side, each with its event, a failure stops nothing", func(t *testing.T) {
		w := newWorld(persist(1, "a"), persist(2, "b"), persist(3, "c"))
		w.updates = offering(0, offer("a", "2.0"), offer("nosuch", "1.0"), offer("c", "0.9"), offer("b", "1.0"))
		for _, name := range []string{"a", "b", "c"} {
			w.startTime[name] = 5 * time.Minute // fetching may take longer than the verb's deadline
		}
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			pass(119 * time.Second)
			w.takeReports()
			pass(20 * time.Minute)
			want := []string{
				"agent.plugin.update a@2.0 status 0 ", "agent.plugin.update nosuch@1.0 status 1 version folder missing",
				"agent.plugin.update c@0.9 status 0 ", "agent.plugin.update b@1.0 status 0 ",
			}
			got := w.takeEvents()
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("events %q", got)
			}
			told := map[string]bool{}
			for _, r := range w.takeReports() {
				for _, word := range strings.Fields(r.short()) {
					told[word] = true
				}
			}
			if len(told) != 3 || !told["a@2.0=running"] || !told["c@0.9=running"] || !told["b=running"] {
				t.Errorf("reported %v", told)
			}
			if at := w.when("upgrade 0.9", "c"); len(at) != 1 || at[0] != 2*minute {
				t.Errorf("the other plugin's change waited until %v", at)
			}
			if got := status(t, s).Counters; got.Upgrades != 4 || got.UpgradesFailed != 1 {
				t.Errorf("counters %+v", got)
			}
		})
	})
	t.Run("UP-06 a manager that panics counts as a failed upgrade", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.updates = offering(0, offer("a", "2.0"))
		w.upgrade = func(plugin.Change) plugin.ChangeResult { panic("bug") }
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			pass(5 * time.Minute)
			wantState(t, s, "a", plugin.StateRunning)
			if got := w.takeEvents(); len(got) != 1 {
				t.Errorf("events %q", got)
			}
		})
	})
	t.Run("UP-09 the answer's interval is stored, due counts from the end", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.updates = offering(50*time.Minute, offer("a", "2.0"))
		w.startTime["a"] = 4 * time.Minute
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			pass(10 * time.Minute)
			if got := status(t, s).Timers[2]; got.Interval != 50*time.Minute || !got.Due.Equal(epoch.Add(56*time.Minute)) {
				t.Errorf("timer %+v", got)
			}
		})
	})
}

func TestUpdateAndRestarter(t *testing.T) {
	t.Run("UP-10 RS-09 during an upgrade no Restarter touches the plugin, no report says it failed", func(t *testing.T) {
		w := newWorld(persist(1, "a"), persist(2, "b"))
		w.updates = offering(0, offer("a", "2.0"))
		w.startTime["a"] = 30 * time.Minute
		w.beats = map[string]time.Time{"a": epoch, "b": epoch.Add(1000 * time.Hour)}
		cfg := updateConfig()
		cfg.Intervals.Scan, cfg.FirstRun.Pull = 5*time.Minute, 4*time.Minute
		cfg.Restart.OnHang = false
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(119 * time.Second)
			w.takeReports()
			pass(2 * time.Second)
			wantState(t, s, "a", plugin.StateUpgrading)
			w.set(func() { w.running["a"] = false })
			pass(25 * time.Minute)
			for _, r := range w.takeReports() {
				if r.short() != "b=running" {
					t.Errorf("reported %q", r.short())
				}
			}
			if n := w.count("--start", "a"); n != 0 {
				t.Errorf("%d starts", n)
			}
			pass(6 * time.Minute)
			wantState(t, s, "a", plugin.StateRunning)
		})
	})
	t.Run("RS-09 an upgrade waits until the plugin's Restarter is gone", func(t *testing.T) {
		w := deadWorld("a")
		w.updates = offering(0, offer("a", "2.0"))
		cfg := updateConfig()
		cfg.Restart.Stagger = 20 * time.Minute
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			pass(40 * time.Minute)
			if w.count("upgrade 2.0", "a") != 1 || w.count("--start", "a") != 0 {
				t.Errorf("did %v", w.did)
			}
			if v := view(t, s, "a"); v.State != plugin.StateRunning || v.Version != "2.0" {
				t.Errorf("view %+v", v)
			}
		})
	})
	t.Run("after a failed upgrade the plugin is brought back", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.updates = offering(0, offer("a", "2.0"))
		w.upgrade = func(plugin.Change) plugin.ChangeResult {
			w.set(func() { w.running["a"] = false })
			p := persist(1, "a")
			p.Version = "2.0"
			return plugin.ChangeResult{
				Outcome: plugin.Outcome{Verb: plugin.VerbUpgrade, ExitCode: 4, Err: errors.New("exit 4")},
				Plugin:  p, Previous: "1.0", Status: plugin.StatusFailed,
			}
		}
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			pass(3 * time.Minute)
			wantState(t, s, "a", plugin.StateRunning)
			got := shorts(w.takeReports())
			if !slices.Contains(got, "a@2.0=failed") {
				t.Errorf("reports %q", got)
			}
		})
	})
}

func TestUpdateReported(t *testing.T) {
	t.Run("SPEC 3: an upgrade's tag goes with the report", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.updates = offering(0, offer("a", "2.0"))
		w.upgrade = func(plugin.Change) plugin.ChangeResult {
			p := persist(1, "a")
			p.Version = "2.0"
			return plugin.ChangeResult{Plugin: p, Previous: "1.0", Status: plugin.StatusRunning, SysTag: plugin.SysTagAdd}
		}
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			pass(3 * time.Minute)
			if got := shorts(w.takeReports()); !slices.Contains(got, "a@2.0=running+add") {
				t.Errorf("reports %q", got)
			}
		})
	})
	t.Run("an operator may ask for updates now", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			pass(time.Second)
			if err := s.CheckUpdates(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if len(w.checked()) != 1 {
				t.Errorf("%d checks", len(w.checked()))
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
	t.Run("LR-01 LR-02 all that is installed, os and arch in lower case", func(t *testing.T) {
		gone := persist(3, "gone")
		gone.Removed = true
		odd := persist(4, "odd")
		odd.Type = plugin.Unknown
		w := newWorld(persist(1, "a"), once(2, "o"), gone, odd)
		inBubble(t, w, config(), func(t *testing.T, s *System) {
			pass(48 * time.Hour)
			events := w.sent()
			if len(events) != 2 || events[0].at != 3*time.Minute || events[1].at != 24*time.Hour+3*time.Minute {
				t.Fatalf("events %v", events)
			}
			e := events[0].event
			if e.ID != plugin.EventLocalList || e.Keywords["localArch"] != "x64" || e.Keywords["localOsType"] != "linux" {
				t.Errorf("event %+v", e)
			}
			var list map[string][]string
			if err := json.Unmarshal([]byte(e.Keywords["pluginList"]), &list); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(list["name"], []string{"a", "o", "odd"}) || list["os"][0] != "linux" || list["arch"][0] != "all" {
				t.Errorf("list %v", list)
			}
		})
	})
	t.Run("LR-03 nothing installed, nothing sent", func(t *testing.T) {
		w := newWorld()
		inBubble(t, w, config(), func(t *testing.T, s *System) {
			pass(48 * time.Hour)
			if events := w.sent(); len(events) != 0 {
				t.Errorf("events %v", events)
			}
		})
	})
	t.Run("LR-04 tried until delivered, and by the next process", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.eventErr = func(int) error { return errAway }
		inBubble(t, w, config(), func(t *testing.T, s *System) {
			pass(time.Hour)
			if n := len(w.sent()); n < 10 {
				t.Errorf("%d tries", n)
			}
			if got := status(t, s).Reports.Events; got != 1 {
				t.Errorf("%d owed", got)
			}
		})
		w.eventErr, w.events = nil, nil
		inBubble(t, w, config(), func(t *testing.T, s *System) {
			pass(pendingSpread)
			if events := w.sent(); len(events) != 1 || len(w.saved.Events) != 0 {
				t.Errorf("events %v, saved %v", events, w.saved.Events)
			}
		})
	})
}

// A plugin whose record went away while its Restarter ran, and for which an
// offer comes before that has ended: the queue goes on, and the plugin is back.
func TestOfferForAPluginThatIsBeingLost(t *testing.T) {
	w := deadWorld("a", "b")
	w.startTime["a"], w.lingers = 3*time.Minute, 3*time.Second
	w.updates = offering(0, offer("a", "2.0"), offer("b", "2.0"))
	w.upgrade = func(o plugin.Change) plugin.ChangeResult {
		p := persist(1, o.Name)
		p.Version = o.Version
		w.set(func() {
			w.running[o.Name] = true
			w.plugins = append(slices.DeleteFunc(w.plugins, func(old plugin.Plugin) bool { return old.Name == o.Name }), p)
		})
		return plugin.ChangeResult{Plugin: p, Status: plugin.StatusRunning}
	}
	cfg := updateConfig()
	cfg.FirstRun.Inventory = 119 * time.Second
	inBubble(t, w, cfg, func(t *testing.T, s *System) {
		pass(90 * time.Second) // a's start runs
		w.set(func() { w.plugins = w.plugins[1:] })
		pass(5 * time.Minute)
		if w.count("upgrade 2.0", "a") != 1 || w.count("upgrade 2.0", "b") != 1 {
			t.Errorf("did %v", w.did)
		}
		wantState(t, s, "a", plugin.StateRunning)
		if got := status(t, s).Timers[2]; got.Running {
			t.Error("the update check never ended")
		}
	})
}
