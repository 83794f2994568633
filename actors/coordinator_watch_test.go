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

// watchedWorld has plugins that do not run yet, and tells of their ends.
func watchedWorld(names ...string) *actorstest.World { return stoppedWorld(names...).WithEvents() }

// told are the causes in the journal, of one plugin or all.
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

func known(code int) plugin.Exit {
	return plugin.Exit{CauseKnown: true, Code: code, PID: 1001, Output: "cannot open"}
}

// settled is when a plugin that was scanned after a minute has been healthy.
const settled = 2*minute + time.Second

func TestExit(t *testing.T) {
	t.Run("EV-05 an exit after healthy time is answered at once", func(t *testing.T) {
		w := watchedWorld("a")
		cfg := testConfig()
		cfg.Restart.Stagger = 10 * time.Second
		cfg.FirstRun.Pull = 10 * time.Hour
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(3 * minute)
			w.ExitPlugins(known(3), "a")
			if at := w.CallTimes("--start", "a"); len(at) != 2 || at[1] != 3*minute {
				t.Errorf("started at %v; want 2 entries, at[1] = %v", at, 3*minute)
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
	t.Run("EV-05 the first exit since first started is not backed off, the next are", func(t *testing.T) {
		w := watchedWorld("a")
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(minute + time.Second)
			for range 3 {
				w.ExitPlugins(known(1), "a")
				actorstest.Advance(10 * time.Second)
			}
			at := w.CallTimes("--start", "a")
			if len(at) != 4 || at[1] != minute+time.Second || at[2] <= minute+11*time.Second || at[3]-(minute+21*time.Second) <= at[2]-(minute+11*time.Second) {
				t.Errorf("started at %v; want 4 entries, at[1] = %v, at[2] more than %v, more than %v", at, minute+time.Second, minute+11*time.Second, at[2]-(minute+11*time.Second))
			}
			wantState(t, s, "a", plugin.StateRunning)
			w.ExitPlugins(known(1), "a")
			wantState(t, s, "a", plugin.StateCrashLoop)
			if v := view(t, s, "a"); v.Next != "retry" || v.Why != "exit 1" {
				t.Errorf("%+v; want next \"retry\", why \"exit 1\"", v)
			}
			// Down for a while is told; a restart at once is not worth a word before its end.
			if got := actorstest.ReportTexts(w.TakeReports()); got[len(got)-1] != "a=failed" {
				t.Errorf("reports %q, want got[len(got)-1] = \"a=failed\"", got)
			}
		})
	})
}

func TestExitsOfMany(t *testing.T) {
	t.Run("EV-05 the stagger grows with the restarts pending", func(t *testing.T) {
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
				t.Errorf("started at %v; want 40 entries, at[0] = %v, at[39] at most %v, at[39] not %v", at, 3*minute, 3*minute+2*time.Second, at[0])
			}
			// EV-13: they failed together: one event.
			if got := journalCauses(w, plugin.EntryHost, ""); !slices.Equal(got, []string{"5 plugins failed within 10s | restarts go through the host's budget"}) {
				t.Errorf("journal %q", got)
			}
		})
	})
	t.Run("EV-13 restarts go through a budget, none is dropped", func(t *testing.T) {
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
	t.Run("EV-14 what an operator stopped stays so, also when it exits by itself", func(t *testing.T) {
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
			if got := journalCauses(w, plugin.EntryExit, "a"); !slices.Equal(got, []string{"exit 0 | none, a stop is under way"}) {
				t.Errorf("journal %q, want %q", got, []string{"exit 0 | none, a stop is under way"})
			}
			if r := w.Saved.Restarts["a"]; !r.Stopped || !r.RunningSince.IsZero() {
				t.Errorf("saved %+v; want stopped, no running since", r)
			}
		})
	})
}

func TestExitCauseKnownLater(t *testing.T) {
	t.Run("EV-10 a cause that is known later is told later", func(t *testing.T) {
		w := watchedWorld("a")
		w.VerbTime["a"] = time.Second
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(settled + time.Second)
			w.ExitPlugins(plugin.Exit{}, "a")
			if v := view(t, s, "a"); v.Why != "ended, cause unknown" {
				t.Errorf("%+v, want why \"ended, cause unknown\"", v)
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
	t.Run("an exit between the start and the look at it is handled once", func(t *testing.T) {
		w := watchedWorld("a")
		w.ProbeTime["a"] = time.Second
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(minute + 1500*time.Millisecond) // scanned, started, --status under way
			tell := w.Watched.ExitFollower
			tell(plugin.Exit{Name: "a", RunID: 2, At: time.Now(), CauseKnown: true, Code: 7})
			actorstest.Advance(3 * time.Second)
			if n := w.CountCalls("--start", "a"); n != 2 {
				t.Errorf("%d starts, want 2", n)
			}
			if got := journalCauses(w, plugin.EntryExit, "a"); len(got) != 1 || !strings.HasPrefix(got[0], "exit 7") {
				t.Errorf("journal %q; want 1 entry, got[0] that begins with \"exit 7\"", got)
			}
		})
	})
	t.Run("an exit of an earlier life, or of nobody, changes nothing", func(t *testing.T) {
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

// What was running is taken over; what ended meanwhile is an exit.
func TestTakeOver(t *testing.T) {
	up := func(w *actorstest.World, names ...string) {
		for i, name := range names {
			w.Saved.Restarts[name] = plugin.RestartRecord{Last: plugin.Moment{Wall: actorstest.Epoch.Add(-time.Hour)}, RunningSince: plugin.Moment{Wall: actorstest.Epoch.Add(-time.Hour)}, Processes: []plugin.Process{{PID: 50 + i, StartTicks: 7, BootID: "b"}}}
		}
	}
	t.Run("EV-07 EV-09 adopted, ended while away, and neither", func(t *testing.T) {
		w := watchedWorld("alive", "ended", "new")
		up(w, "alive", "ended")
		w.Running["alive"] = true
		w.Watched.Processes["alive"] = []plugin.Process{{PID: 50, StartTicks: 7, BootID: "b"}}
		cfg := testConfig()
		cfg.FirstRun.Scan = time.Hour
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(time.Second)
			if v := view(t, s, "alive"); v.State != plugin.StateRunning || v.Why != "adopted after supervisor restart" || !slices.Equal(v.PIDs, []int{50}) {
				t.Errorf("%+v; want state running, why \"adopted after supervisor restart\", pids %v", v, []int{50})
			}
			if v := view(t, s, "ended"); v.State != plugin.StateRunning || v.Why != "restarted after: ended while the supervisor was away" {
				t.Errorf("%+v; want state running, why \"restarted after: ended while the supervisor was away\"", v)
			}
			wantState(t, s, "new", plugin.StateInstalled)
			if at := w.CallTimes("--start", ""); len(at) != 1 || at[0] > time.Second {
				t.Errorf("started at %v; want 1 entry, at[0] at most %v", at, time.Second)
			}
			if got := w.Watched.Targets; len(got) != 3 || got[0].Processes[0].PID != 50 {
				t.Errorf("looked for %+v; want 3 entries, pid 50", got)
			}
			if got := journalCauses(w, plugin.EntrySupervisor, ""); len(got) != 1 || !strings.Contains(got[0], "1 plugins adopted, 1 had ended") {
				t.Errorf("journal %q; want 1 entry, got[0] with \"1 plugins adopted, 1 had ended\"", got)
			}
			w.ExitPlugins(known(9), "alive")
			wantState(t, s, "alive", plugin.StateRunning)
			if n := w.CountCalls("--start", "alive"); n != 1 {
				t.Errorf("%d starts of the adopted, want 1", n)
			}
		})
	})
	t.Run("EV-07 nothing is to be seen, but --status says running: asked for 2 s, then believed", func(t *testing.T) {
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
	t.Run("EV-07 the first scan waits until it is known what runs", func(t *testing.T) {
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
	t.Run("EV-14 an operator's stop holds over it", func(t *testing.T) {
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

func TestPulse(t *testing.T) {
	begin := func(w *actorstest.World) plugin.Plugin {
		p := w.Plugins[0]
		w.Running[p.Name] = true
		return p
	}
	t.Run("EV-06 a missed beat is noticed at its deadline, and a hang at its own", func(t *testing.T) {
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
				t.Errorf("reports %q, want got[len(got)-1] = \"a=failed\"", got)
			}
			actorstest.Advance(2 * minute)
			if n := w.CountCalls("--restart", "a"); n != 1 {
				t.Errorf("%d restarts of what hangs, want 1", n)
			}
		})
	})
	t.Run("EV-06 a plugin that beats again is well", func(t *testing.T) {
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
				t.Errorf("reports %q, want got[len(got)-1] = \"a=running\"", got)
			}
		})
	})
	t.Run("EV-06 a clock step makes no false alarm", func(t *testing.T) {
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
	t.Run("whose heartbeats are followed is what is installed", func(t *testing.T) {
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
						t.Errorf("entry %d has number %d, want seq %v", i, e.Seq, uint64(42+i))
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
					t.Fatalf("no %q in the rest of the chain:\n%s, want at least 0", want, all)
				}
				at += i + len(want)
			}
			// The first may have been written before it was followed.
			if n := len(followed); n < len(lines)-1 || followed[n-1] != 41+uint64(len(lines)) || followed[n-1]-followed[0] != uint64(n-1) {
				t.Errorf("followed %v of %d; want at least %v, followed[n-1] = %v, %v", followed, len(lines), len(lines)-1, 41+uint64(len(lines)), uint64(n-1))
			}
		})
	})
	t.Run("EV-11 a disk that refuses loses no entry and doubles none", func(t *testing.T) {
		w := watchedWorld("a")
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2 * minute)
			w.Set(func() { w.SaveErr = fmt.Errorf("disk full") })
			w.ExitPlugins(known(1), "a")
			w.Set(func() { w.SaveErr = nil })
			actorstest.Advance(time.Minute)
			if got := journalCauses(w, plugin.EntryHost, ""); len(got) != 1 || got[0] != "state file works again" {
				t.Errorf("journal %q; want 1 entry, got[0] \"state file works again\"", got) // the entry before it is the store's to keep
			}
		})
	})
}
