package actors

import (
	"errors"
	"testing"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

// upgradeCauses returns the causes in the journal of the upgrades of a plugin.
func upgradeCauses(w *actorstest.World, name string) (causes []string) {
	w.Lock()
	defer w.Unlock()
	for _, e := range w.Journal {
		if e.Kind != plugin.EntryUpgrade || e.Plugin != name {
			continue
		}
		cause := e.Cause
		if e.Failed {
			cause = "failed: " + cause
		}
		causes = append(causes, cause)
	}
	return causes
}

// wantUpgrades checks the causes in the journal of the upgrades of a plugin.
func wantUpgrades(t *testing.T, w *actorstest.World, name string, want ...string) {
	t.Helper()
	got := upgradeCauses(w, name)
	if len(got) != len(want) {
		t.Fatalf("upgrades of %s: %q, want %q", name, got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("upgrade %d of %s: %q, want %q", i+1, name, got[i], want[i])
		}
	}
}

func TestChange(t *testing.T) {
	t.Run("CL-09 unverified packages are counted and shown, unknown ones are not", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Persist(2, "b"), actorstest.Persist(3, "c"), actorstest.Persist(4, "d"))
		w.Plugins[3].Verified = plugin.ByNothing // installed by an earlier process
		by := map[string]plugin.Verified{"a": plugin.ByMD5, "b": plugin.BySHA256, "c": plugin.ByMD5}
		w.OnUpdateCheck = offering(0, offer("a", "2.0"), offer("b", "2.0"), offer("c", "2.0"))
		w.OnChange = func(o plugin.Change) plugin.ChangeResult {
			u := plugin.ChangeResult{Previous: "1.0", Status: plugin.StatusRunning, Verified: by[o.Name]}
			w.Set(func() {
				for i := range w.Plugins {
					p := &w.Plugins[i]
					if p.Name != o.Name {
						continue
					}
					if o.Name == "c" {
						u.Err, u.RolledBack = errors.New("rolled back to 1.0: exit 3"), true
					} else {
						p.Version, p.Verified = o.Version, by[o.Name]
					}
					u.Plugin = *p
				}
			})
			return u
		}
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(3 * time.Minute)
			snapshot := status(t, s)
			got := map[string]plugin.Verified{}
			for _, v := range snapshot.Plugins {
				got[v.Name] = v.Verified
			}
			if got["a"] != plugin.ByMD5 || got["b"] != plugin.BySHA256 || got["c"] != plugin.VerifiedUnknown || got["d"] != plugin.ByNothing {
				t.Errorf("verified by %v; want of a md5, of b sha256, of c %v, of d nothing", got, plugin.VerifiedUnknown)
			}
			if n := snapshot.Counters.UnverifiedInstalls; n != 1 {
				t.Errorf("%d unverified installs counted, want 1", n)
			}
			wantUpgrades(t, w, "a", "upgraded from 1.0 to 2.0, verified by MD5 only")
			wantUpgrades(t, w, "b", "upgraded from 1.0 to 2.0")
			wantUpgrades(t, w, "c", "failed: upgrade to 2.0 rolled back to 1.0: exit 3")
		})
	})
	t.Run("UP-08 the installation of a new plugin is in the journal, also when it fails", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.OnChange = func(o plugin.Change) plugin.ChangeResult {
			if o.Name == "bad" {
				return plugin.FailedChange(errors.New("no such package"))
			}
			p := actorstest.Persist(2, o.Name)
			w.Set(func() { w.Plugins = append(w.Plugins, p); w.Running[o.Name] = true })
			return plugin.ChangeResult{Plugin: p, Status: plugin.StatusRunning}
		}
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(time.Second)
			for _, name := range []string{"bad", "good"} {
				if err := s.ChangePlugin(t.Context(), plugin.Change{Name: name, Version: "1.0"}); err != nil {
					t.Fatal(err)
				}
			}
			actorstest.Advance(time.Second)
			wantUpgrades(t, w, "bad", "failed: installation of 1.0 failed: no such package")
			wantUpgrades(t, w, "good", "installed 1.0")
			wantState(t, s, "good", plugin.StateRunning)
		})
	})
	t.Run("EV-01 the first plugin of a host is watched by event, and status shows it", func(t *testing.T) {
		w := actorstest.NewWorld().WithEvents()
		w.OnChange = func(o plugin.Change) plugin.ChangeResult {
			p := actorstest.Persist(1, o.Name)
			w.Set(func() { w.Plugins = append(w.Plugins, p); w.Running[o.Name] = true })
			return plugin.ChangeResult{Outcome: plugin.Outcome{RunID: 1, Processes: []plugin.Process{{PID: 7}}}, Plugin: p, Status: plugin.StatusRunning}
		}
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(time.Minute)
			if err := s.ChangePlugin(t.Context(), plugin.Change{Name: "a", Version: "1.0"}); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(time.Second)
			if v := view(t, s, "a"); v.State != plugin.StateRunning || v.Watch != plugin.WatchCgroup {
				t.Errorf("%s, exits are noticed by %s; want state running, watch %v", v.State, v.Watch, plugin.WatchCgroup)
			}
		})
	})
	t.Run("EV-14 an upgrade that a stop cancels is in the journal", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Persist(2, "b"))
		w.VerbTime["a"] = 10 * time.Minute
		w.FetchTime = map[string]time.Duration{"b": time.Minute}
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(time.Second)
			for _, name := range []string{"a", "b"} {
				if err := s.ChangePlugin(t.Context(), plugin.Change{Name: name, Version: "2.0"}); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.StopPlugin(t.Context(), "b"); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(20 * time.Minute)
			wantUpgrades(t, w, "a", "upgraded from 1.0 to 2.0")
			wantUpgrades(t, w, "b", "failed: upgrade to 2.0 failed: cancelled: stopped by an operator")
			wantState(t, s, "b", plugin.StateStopped)
		})
	})
}
