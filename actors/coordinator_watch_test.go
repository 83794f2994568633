package actors

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

// watchedWorld returns a world with plugins that do not run yet, and reports their
// exits.
func watchedWorld(names ...string) *actorstest.World { return stoppedWorld(names...).WithEvents() }

// journalCauses returns the causes and decisions in the journal, of one plugin or all.
func journalCauses(w *actorstest.World, kind plugin.EntryKind, name string) (all []string) {
	w.Set(func() {
		for _, e := range w.Journal {
			if e.Kind == kind && (name == "" || e.Plugin == name) {
				line := e.Cause
				if e.Decision != "" {
					line += " | " + e.Decision
				}
				all = append(all, line)
			}
		}
	})
	return all
}

// known returns an exit whose cause is known.
func known(code int) plugin.Exit {
	return plugin.Exit{CauseKnown: true, Code: code, PID: 1001, Output: "cannot open"}
}

// settled is the time at which a plugin that was started after a minute is healthy.
const settled = 2*minute + time.Second

func TestExit(t *testing.T) {
	t.Run("EV-05 a plugin that exits after a healthy run is restarted at once", func(t *testing.T) {
		w := watchedWorld("a")
		cfg := testConfig()
		cfg.Restart.Stagger = 10 * time.Second
		cfg.FirstRun.Pull = 10 * time.Hour
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(3 * minute)
			w.ExitPlugins(known(3), "a")
			if at := w.CallTimes("--start", "a"); len(at) != 2 || at[1] != 3*minute {
				t.Errorf("started at %v; want 2 starts, the second at %v", at, 3*minute)
			}
			v := view(t, s, "a")
			if v.State != plugin.StateRunning || v.Why != "restarted after: exit 3" || v.Watch != plugin.WatchCgroup || len(v.PIDs) != 1 {
				t.Errorf("%+v; want state running, why \"restarted after: exit 3\", watch %v, 1 pid", v, plugin.WatchCgroup)
			}
			if got := journalCauses(w, plugin.EntryExit, "a"); !slices.Equal(got, []string{"exit 3 | restart at once"}) {
				t.Errorf("journal %q, want %q", got, []string{"exit 3 | restart at once"})
			}
		})
	})
	t.Run("EV-05 no backoff after the first exit since the first start, a backoff after the next", func(t *testing.T) {
		w := watchedWorld("a")
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(minute + time.Second)
			for range 3 {
				w.ExitPlugins(known(1), "a")
				actorstest.Advance(10 * time.Second)
			}
			at := w.CallTimes("--start", "a")
			if len(at) != 4 || at[1] != minute+time.Second || at[2] <= minute+11*time.Second || at[3]-(minute+21*time.Second) <= at[2]-(minute+11*time.Second) {
				t.Errorf("started at %v; want 4 starts, the second at %v, then with longer and longer backoffs", at, minute+time.Second)
			}
			wantState(t, s, "a", plugin.StateRunning)
			w.ExitPlugins(known(1), "a")
			wantState(t, s, "a", plugin.StateCrashLoop)
			if v := view(t, s, "a"); v.Next != "retry" || v.Why != "exit 1" {
				t.Errorf("%+v; want next \"retry\", why \"exit 1\"", v)
			}
			// That it does not run for a while is reported; a restart at once is reported at its end.
			if got := actorstest.ReportTexts(w.TakeReports()); got[len(got)-1] != "a=failed" {
				t.Errorf("reports %q, want a=failed last", got)
			}
		})
	})
}

func TestExitsOfMany(t *testing.T) {
	t.Run("EV-05 the stagger grows with the number of pending restarts", func(t *testing.T) {
		var names []string
		for i := range 40 {
			names = append(names, fmt.Sprintf("p%02d", i))
		}
		w := watchedWorld(names...)
		cfg := testConfig()
		cfg.Restart.Stagger, cfg.Restart.Parallel = 10*time.Second, 100
		cfg.FirstRun.Pull = 10 * time.Hour
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(3 * minute)
			w.Set(func() { w.Calls = nil })
			w.ExitPlugins(known(1), names...)
			actorstest.Advance(2 * time.Second)
			at := w.CallTimes("--start", "")
			slices.Sort(at)
			if len(at) != 40 || at[0] != 3*minute || at[39] > 3*minute+2*time.Second || at[39] == at[0] {
				t.Errorf("started at %v; want 40 starts, from %v to at most %v, not all at once", at, 3*minute, 3*minute+2*time.Second)
			}
			// EV-13: many failures at once are one event.
			if got := journalCauses(w, plugin.EntryHost, ""); !slices.Equal(got, []string{"5 plugins failed within 10s | restarts are limited by the restart budget of the host"}) {
				t.Errorf("journal %q, want one entry for the 5 failures", got)
			}
		})
	})
	t.Run("EV-13 restarts wait for the budget, none is dropped", func(t *testing.T) {
		var names []string
		for i := range 30 {
			names = append(names, fmt.Sprintf("p%02d", i))
		}
		w := watchedWorld(names...)
		for _, name := range names {
			w.Running[name] = true
		}
		cfg := testConfig()
		cfg.Restart.Burst, cfg.Restart.Rate, cfg.Restart.Parallel = 10, 2, 100
		cfg.FirstRun.Pull = 10 * time.Hour
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(3 * minute)
			w.ExitPlugins(known(1), names...)
			if n := w.CountCalls("--start", ""); n != 10 {
				t.Errorf("%d starts at once, want 10", n)
			}
			actorstest.Advance(5*time.Second + time.Millisecond)
			if n := w.CountCalls("--start", ""); n != 20 {
				t.Errorf("%d starts after 5 s, want 20", n)
			}
			actorstest.Advance(6 * time.Second)
			if n := w.CountCalls("--start", ""); n != 30 {
				t.Errorf("%d starts in the end, want 30", n)
			}
		})
	})
}

func TestExitOfStoppedPlugin(t *testing.T) {
	t.Run("EV-14 a plugin that an operator stops stays stopped, also when it exits before its stop", func(t *testing.T) {
		w := watchedWorld("a")
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(settled)
			w.VerbTime["a"] = time.Second
			if err := s.StopPlugin(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(0)
			w.ExitPlugins(known(0), "a") // while --stop runs
			actorstest.Advance(time.Hour)
			wantState(t, s, "a", plugin.StateStopped)
			if n := w.CountCalls("--start", "a"); n != 1 {
				t.Errorf("%d starts, want 1", n)
			}
			if got := journalCauses(w, plugin.EntryExit, "a"); !slices.Equal(got, []string{"exit 0 | nothing to do, already stopping"}) {
				t.Errorf("journal %q, want %q", got, []string{"exit 0 | nothing to do, already stopping"})
			}
			if r := w.Saved.Restarts["a"]; !r.Stopped || !r.RunningSince.IsZero() {
				t.Errorf("saved %+v; want stopped, without RunningSince", r)
			}
		})
	})
}

func TestExitCauseKnownLater(t *testing.T) {
	t.Run("EV-10 a cause that becomes known later is shown later", func(t *testing.T) {
		w := watchedWorld("a")
		w.VerbTime["a"] = time.Second
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(settled + time.Second)
			w.ExitPlugins(plugin.Exit{}, "a")
			if v := view(t, s, "a"); v.Why != "exited, cause unknown" {
				t.Errorf("%+v, want why \"exited, cause unknown\"", v)
			}
			w.ExitPlugins(plugin.Exit{Late: true, CauseKnown: true, Signal: "SIGKILL", OOM: true}, "a")
			actorstest.Advance(5 * time.Second)
			if v := view(t, s, "a"); v.Why != "restarted after: out of memory, killed by the kernel" {
				t.Errorf("%+v, want why \"restarted after: out of memory, killed by the kernel\"", v)
			}
		})
	})
}

func TestExitCountsOnce(t *testing.T) {
	t.Run("an exit between --start and the --status after it is handled once", func(t *testing.T) {
		w := watchedWorld("a")
		w.ProbeTime["a"] = time.Second
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(minute + 1500*time.Millisecond) // scanned, started, --status runs
			tell := w.Watched.ExitFollower
			tell(plugin.Exit{Name: "a", RunID: 2, At: time.Now(), CauseKnown: true, Code: 7})
			actorstest.Advance(3 * time.Second)
			if n := w.CountCalls("--start", "a"); n != 2 {
				t.Errorf("%d starts, want 2", n)
			}
			if got := journalCauses(w, plugin.EntryExit, "a"); len(got) != 1 || !strings.HasPrefix(got[0], "exit 7") {
				t.Errorf("journal %q; want 1 entry, which begins with \"exit 7\"", got)
			}
		})
	})
	t.Run("an exit of an earlier run, or of an unknown plugin, changes nothing", func(t *testing.T) {
		w := watchedWorld("a")
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(settled)
			w.Watched.ExitFollower(plugin.Exit{Name: "a", RunID: 1, CauseKnown: true})
			w.Watched.ExitFollower(plugin.Exit{Name: "b", RunID: 1, CauseKnown: true})
			actorstest.Advance(time.Minute)
			if n := w.CountCalls("--start", ""); n != 1 {
				t.Errorf("%d starts, want 1", n)
			}
		})
	})
}

// The supervisor re-attaches to plugins that run; a plugin that stopped meanwhile has exited.
func TestReattach(t *testing.T) {
	up := func(w *actorstest.World, names ...string) {
		for i, name := range names {
			w.Saved.Restarts[name] = plugin.RestartRecord{Last: plugin.Moment{Wall: actorstest.Epoch.Add(-time.Hour)}, RunningSince: plugin.Moment{Wall: actorstest.Epoch.Add(-time.Hour)}, Processes: []plugin.Process{{PID: 50 + i, StartTicks: 7, BootID: "b"}}}
		}
	}
	t.Run("EV-07 EV-09 one plugin runs, one exited while no supervisor ran, one never ran", func(t *testing.T) {
		w := watchedWorld("alive", "ended", "new")
		up(w, "alive", "ended")
		w.Running["alive"] = true
		w.Watched.Processes["alive"] = []plugin.Process{{PID: 50, StartTicks: 7, BootID: "b"}}
		cfg := testConfig()
		cfg.FirstRun.Scan = time.Hour
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(time.Second)
			if v := view(t, s, "alive"); v.State != plugin.StateRunning || v.Why != "re-attached after supervisor restart" || !slices.Equal(v.PIDs, []int{50}) {
				t.Errorf("%+v; want state running, why \"re-attached after supervisor restart\", pids %v", v, []int{50})
			}
			if v := view(t, s, "ended"); v.State != plugin.StateRunning || v.Why != "restarted after: exited while the supervisor was not running" {
				t.Errorf("%+v; want state running, why \"restarted after: exited while the supervisor was not running\"", v)
			}
			wantState(t, s, "new", plugin.StateInstalled)
			if at := w.CallTimes("--start", ""); len(at) != 1 || at[0] > time.Second {
				t.Errorf("started at %v; want 1 start, at most at %v", at, time.Second)
			}
			if got := w.Watched.Targets; len(got) != 3 || got[0].Processes[0].PID != 50 {
				t.Errorf("adopted %+v; want 3 plugins, the first with pid 50", got)
			}
			if got := journalCauses(w, plugin.EntrySupervisor, ""); len(got) != 1 || !strings.Contains(got[0], "re-attached to 1 running plugins, 1 have exited") {
				t.Errorf("journal %q; want 1 entry, with \"re-attached to 1 running plugins, 1 have exited\"", got)
			}
			w.ExitPlugins(known(9), "alive")
			wantState(t, s, "alive", plugin.StateRunning)
			if n := w.CountCalls("--start", "alive"); n != 1 {
				t.Errorf("%d starts of the plugin that ran, want 1 after its exit", n)
			}
		})
	})
	t.Run("EV-07 no process is found, but --status says running: accepted after 2 s of the same answer", func(t *testing.T) {
		w := watchedWorld("a")
		up(w, "a")
		w.Running["a"] = true
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(1900 * time.Millisecond)
			wantState(t, s, "a", plugin.StateStarting)
			actorstest.Advance(time.Second)
			if v := view(t, s, "a"); v.State != plugin.StateRunning || v.Watch != plugin.WatchScan {
				t.Errorf("%+v; want state running, watch %v", v, plugin.WatchScan)
			}
			if n := w.CountCalls("--start", "a"); n != 0 {
				t.Errorf("%d starts, want 0", n)
			}
		})
	})
	t.Run("EV-07 the first scan waits until it is known which plugins run", func(t *testing.T) {
		w := watchedWorld("a")
		w.Running["a"] = true
		cfg := testConfig()
		cfg.FirstRun.Scan = 0
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(time.Second)
			if n := status(t, s).Counters.Scans; n != 1 {
				t.Errorf("%d scans, want 1", n)
			}
		})
	})
	t.Run("EV-14 a plugin that an operator stopped stays stopped in the next process", func(t *testing.T) {
		w := watchedWorld("a")
		w.Saved.Restarts["a"] = plugin.RestartRecord{Stopped: true, Cause: "stopped by an operator", RunningSince: plugin.Moment{Wall: actorstest.Epoch}}
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(time.Hour)
			if n := w.CountCalls("--start", "a"); n != 0 {
				t.Errorf("%d starts, want 0", n)
			}
			wantState(t, s, "a", plugin.StateStopped)
		})
	})
}

func TestHeartbeatEvents(t *testing.T) {
	begin := func(w *actorstest.World) plugin.Plugin {
		p := w.Plugins[0]
		w.Running[p.Name] = true
		return p
	}
	t.Run("EV-06 a missed heartbeat is noticed at its deadline, and a hang at its own", func(t *testing.T) {
		w := watchedWorld("a")
		p := begin(w)
		cfg := testConfig()
		cfg.FirstRun.Pull = 1000 * time.Hour
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(2 * minute)
			last := time.Now()
			w.ReportHeartbeat(plugin.HeartbeatEvent{Heartbeat: plugin.Heartbeat{Plugin: p, Found: true, Last: last}})
			actorstest.Advance(66 * time.Second)
			w.ReportHeartbeat(plugin.HeartbeatEvent{Heartbeat: plugin.Heartbeat{Plugin: p, Found: true, Last: last}, Lost: true})
			wantState(t, s, "a", plugin.StateDegraded)
			got := actorstest.ReportTexts(w.TakeReports())
			if got[len(got)-1] != "a=failed" {
				t.Errorf("reports %q, want a=failed last", got)
			}
			actorstest.Advance(2 * minute)
			if n := w.CountCalls("--restart", "a"); n != 1 {
				t.Errorf("%d restarts of the plugin that hangs, want 1", n)
			}
		})
	})
	t.Run("EV-06 a plugin with a new heartbeat is running", func(t *testing.T) {
		w := watchedWorld("a")
		p := begin(w)
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2 * minute)
			last := time.Now()
			w.ReportHeartbeat(plugin.HeartbeatEvent{Heartbeat: plugin.Heartbeat{Plugin: p, Found: true, Last: last.Add(-70 * time.Second)}, Lost: true})
			wantState(t, s, "a", plugin.StateDegraded)
			actorstest.Advance(time.Second)
			w.ReportHeartbeat(plugin.HeartbeatEvent{Heartbeat: plugin.Heartbeat{Plugin: p, Found: true, Last: time.Now()}})
			wantState(t, s, "a", plugin.StateRunning)
			got := actorstest.ReportTexts(w.TakeReports())
			if got[len(got)-1] != "a=running" {
				t.Errorf("reports %q, want a=running last", got)
			}
		})
	})
	t.Run("EV-06 a clock step makes no heartbeat overdue", func(t *testing.T) {
		w := watchedWorld("a")
		p := begin(w)
		w.LastHeartbeat["a"] = actorstest.Epoch.Add(2*minute + 50*time.Second)
		cfg := testConfig()
		cfg.FirstRun.Pull = 3 * time.Minute
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(2*minute + 50*time.Second)
			w.ReportHeartbeat(plugin.HeartbeatEvent{Heartbeat: plugin.Heartbeat{Plugin: p, Found: true, Last: time.Now()}})
			w.Set(func() { w.WallOffset = 5 * time.Hour })
			s.ClockStepped()
			actorstest.Advance(2 * minute)
			wantState(t, s, "a", plugin.StateRunning)
			for _, r := range actorstest.ReportTexts(w.TakeReports()) {
				if strings.Contains(r, "failed") {
					t.Errorf("reported %q, want text without \"failed\"", r)
				}
			}
		})
	})
	t.Run("the heartbeats of the installed plugins are followed", func(t *testing.T) {
		w := watchedWorld("a", "b")
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2 * minute)
			w.Set(func() { w.Plugins = w.Plugins[1:] })
			actorstest.Advance(15 * minute)
			if got := w.Watched.HeartbeatsOf; len(got) != 1 || got[0].Name != "b" {
				t.Errorf("followed: %+v; want 1 entry, name \"b\"", got)
			}
		})
	})
}

func TestJournal(t *testing.T) {
	t.Run("EV-12 the chain of a crash: exit, decision, restart, confirmed, acknowledged", func(t *testing.T) {
		w := watchedWorld("a")
		w.Saved.Entries = 41
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			var followed []uint64
			go func() {
				_ = s.Follow(t.Context(), func(e plugin.Entry) { followed = append(followed, e.Seq) })
			}()
			actorstest.Advance(minute + time.Second)
			w.ExitPlugins(known(3), "a")
			w.ExitPlugins(known(4), "a")
			actorstest.Advance(5 * time.Second)
			var lines []string
			w.Set(func() {
				for i, e := range w.Journal {
					if e.Seq != uint64(42+i) {
						t.Errorf("entry %d has number %d, want %d", i, e.Seq, uint64(42+i))
					}
					lines = append(lines, string(e.Kind)+" "+e.String())
				}
			})
			all := strings.Join(lines, "\n")
			at := 0
			for _, want := range []string{
				"supervisor supervisor", "installed → starting", "starting → running; started by the supervisor", "report a 1.0: control plane acknowledged running",
				"exit a 1.0: exit 3; restart at once; start", "running; restarted after: exit 3", "exit a 1.0: exit 4; restart after a backoff of", "retry",
				"acknowledged failed", "running; restarted after: exit 4", "acknowledged running",
			} {
				i := strings.Index(all[at:], want)
				if i < 0 {
					t.Fatalf("journal from here:\n%[2]s\nwant an entry with %[1]q", want, all)
				}
				at += i + len(want)
			}
			// The first entries may have been written before Follow began.
			if n := len(followed); n < len(lines)-1 || followed[n-1] != 41+uint64(len(lines)) || followed[n-1]-followed[0] != uint64(n-1) {
				t.Errorf("followed %v of %d entries; want all but the first at most, without a gap, up to %d", followed, len(lines), 41+uint64(len(lines)))
			}
		})
	})
	t.Run("EV-11 after a failed write no entry is lost and none is doubled", func(t *testing.T) {
		w := watchedWorld("a")
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2 * minute)
			w.Set(func() { w.SaveErr = fmt.Errorf("disk full") })
			w.ExitPlugins(known(1), "a")
			w.Set(func() { w.SaveErr = nil })
			actorstest.Advance(time.Minute)
			if got := journalCauses(w, plugin.EntryHost, ""); len(got) != 1 || got[0] != "state file recovered" {
				t.Errorf("journal %q; want 1 entry, got[0] \"state file recovered\"", got) // the entry before it is the store's to keep
			}
		})
	})
}
