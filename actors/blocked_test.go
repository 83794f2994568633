package actors

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

// mirror is the source of the packages of a world. Each package has an ID.
type mirror struct {
	w       *actorstest.World
	id      string
	fails   bool
	fetched []time.Duration // when packages were fetched
}

func newMirror(w *actorstest.World) *mirror {
	m := &mirror{w: w, id: "one", fails: true}
	w.OnFetch = func(o plugin.Change) error {
		if o.Avoid == m.id {
			return &plugin.PackageError{Package: m.id, Err: plugin.ErrAvoided}
		}
		m.fetched = append(m.fetched, actorstest.Elapsed())
		if m.fails {
			return &plugin.PackageError{Package: m.id, Err: errors.New("package has MD5 1, expected 2")}
		}
		return nil
	}
	return m
}

// take returns how often packages were fetched since the last call.
func (m *mirror) take() (n int) {
	m.w.Set(func() { n, m.fetched = len(m.fetched), nil })
	return n
}

// assigning makes the control plane assign a@2.0 at each check.
func assigning(w *actorstest.World) *mirror {
	w.OnUpdateCheck = func(int) (plugin.Updates, error) {
		return plugin.Updates{Changes: []plugin.Change{offer("a", "2.0")}}, nil
	}
	return newMirror(w)
}

func TestBlocked(t *testing.T) {
	t.Run("UP-14 a package that cannot be installed is fetched less and less often and shown, also after a restart", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		m := assigning(w)
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(24 * time.Hour)
			if n := m.take(); n != 6 { // at checks 0, 1, 3, 7, 15 and 31
				t.Errorf("fetched %d times on the first day, want 6", n)
			}
			if n := len(upgradeCauses(w, "a")); n != 6 {
				t.Errorf("%d entries in the journal, want 6", n)
			}
			if n := len(takeEvents(w)); n < 47 { // UP-07
				t.Errorf("%d events for %d checks, want at least 47", n, len(w.UpdateCheckTimes()))
			}
			v := view(t, s, "a")
			if v.State != plugin.StateRunning || v.Since.After(actorstest.Epoch.Add(2*time.Minute)) {
				t.Errorf("%s since %v; want running, since 2m after the start or before", v.State, v.Since)
			}
		})
		w.WallOffset = 24 * time.Hour // each bubble begins at Epoch
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			blocked := status(t, s).Blocked
			if len(blocked) != 1 || blocked[0].Tries != 6 || !strings.Contains(blocked[0].Cause, "MD5") {
				t.Fatalf("after a restart: %+v; want 1 blocked, tries 6, cause with \"MD5\"", blocked)
			}
			actorstest.Advance(time.Hour)
			if n := m.take(); n != 0 {
				t.Errorf("fetched %d times in the next hour, want 0", n)
			}
		})
	})
	t.Run("UP-14 another package of the version is tried at once, and an installed one is not blocked any more", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		m := assigning(w)
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(8 * time.Hour)
			m.take()
			w.Set(func() { m.id, m.fails = "two", false })
			actorstest.Advance(30 * time.Minute)
			if n := m.take(); n != 1 || view(t, s, "a").Version != "2.0" {
				t.Errorf("fetched %d times, runs %s; want 1, version \"2.0\"", n, view(t, s, "a").Version)
			}
			if blocked := status(t, s).Blocked; len(blocked) != 0 || len(w.Saved.Blocked) != 0 {
				t.Errorf("still blocked: %+v, saved %+v; want none, none", blocked, w.Saved.Blocked)
			}
		})
	})
	t.Run("UP-14 an operator's command is carried out at once", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		m := assigning(w)
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(8*time.Hour + time.Minute)
			m.take()
			before := status(t, s).Blocked
			if err := s.ChangePlugin(t.Context(), plugin.Change{Name: "a", Version: "2.0"}); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(time.Second)
			if after := status(t, s).Blocked; m.take() != 1 || after[0] != before[0] {
				t.Errorf("blocked after an operator's failure: %+v; want one fetch, unchanged %+v", after, before[0])
			}
			w.Set(func() { m.fails = false })
			if err := s.ChangePlugin(t.Context(), plugin.Change{Name: "a", Version: "2.0"}); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(time.Second)
			if view(t, s, "a").Version != "2.0" || len(status(t, s).Blocked) != 0 {
				t.Errorf("runs %s, blocked %+v; want version \"2.0\", no blocked", view(t, s, "a").Version, status(t, s).Blocked)
			}
		})
	})
	t.Run("UP-14 a package that is fetched and cannot be installed is not fetched at each check", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		m := assigning(w)
		m.fails = false
		w.OnChange = func(plugin.Change) plugin.ChangeResult {
			failed := plugin.FailedChange(errors.New("read-only file system"))
			failed.Plugin, failed.Package = actorstest.Persist(1, "a"), m.id
			return failed
		}
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(8 * time.Hour)
			if n := m.take(); n != 5 {
				t.Errorf("fetched %d times, want 5", n)
			}
		})
	})
	t.Run("UP-14 a version that is not assigned any more is not blocked any more", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.OnUpdateCheck = offering(0, offer("a", "2.0"))
		newMirror(w)
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(3 * time.Minute)
			if len(status(t, s).Blocked) != 1 {
				t.Error("nothing is blocked, want one version")
			}
			actorstest.Advance(time.Hour)
			if blocked := status(t, s).Blocked; len(blocked) != 0 {
				t.Errorf("blocked: %+v, want none", blocked)
			}
		})
	})
}

func TestSlowDownload(t *testing.T) {
	t.Run("UP-14 a download of hours does not delay the next checks, and does not begin twice", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Persist(2, "b"))
		w.FetchTime = map[string]time.Duration{"a": 5*time.Hour + minute} // between two checks
		w.OnUpdateCheck = func(n int) (plugin.Updates, error) {
			all := []plugin.Change{offer("a", "2.0")}
			if n > 1 {
				all = append(all, offer("b", fmt.Sprintf("2.%d", n)))
			}
			return plugin.Updates{Changes: all}, nil
		}
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(4 * time.Hour)
			if n := len(w.UpdateCheckTimes()); n != 8 {
				t.Errorf("%d checks, want 8", n)
			}
			if got := view(t, s, "b").Version; got != "2.8" {
				t.Errorf("b is %s, want \"2.8\"", got)
			}
			actorstest.Advance(90 * time.Minute)
			if n := w.CountCalls("fetch 2.0", "a"); n != 1 || view(t, s, "a").Version != "2.0" {
				t.Errorf("a was fetched %d times and is %s; want 1, version \"2.0\"", n, view(t, s, "a").Version)
			}
		})
	})
	t.Run("UP-11 an operator's change does not wait for slow downloads, which are continued afterwards", func(t *testing.T) {
		var ps []plugin.Plugin
		var offers []plugin.Change
		w := actorstest.NewWorld()
		for n := range 5 {
			name := fmt.Sprint("p", n)
			ps, offers = append(ps, actorstest.Persist(uint64(n+1), name)), append(offers, offer(name, "2.0"))
			w.FetchTime[name], w.Running[name] = 2*time.Hour, true
		}
		w.Plugins = append(ps, actorstest.Persist(9, "mine"))
		w.Running["mine"] = true
		w.OnUpdateCheck = offering(0, offers...)
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(10 * time.Minute)
			if n := w.CountCalls("fetch 2.0", ""); n != 4 {
				t.Fatalf("%d downloads, want 4", n)
			}
			if err := s.ChangePlugin(t.Context(), plugin.Change{Name: "mine", Version: "3.0"}); err != nil {
				t.Fatal(err)
			}
			actorstest.Advance(time.Second)
			if got := view(t, s, "mine").Version; got != "3.0" {
				t.Errorf("mine is %s, want \"3.0\"", got)
			}
			actorstest.Advance(5 * time.Hour)
			for _, p := range ps {
				if got := view(t, s, p.Name).Version; got != "2.0" {
					t.Errorf("%s is %s, want \"2.0\"", p.Name, got)
				}
			}
			if n := w.CountCalls("fetch 2.0", ""); n != 6 {
				t.Errorf("%d downloads, want 6, one of them twice", n)
			}
			for _, e := range w.SentEvents() {
				if e.Event.ID == plugin.EventUpdate && e.Event.Keywords["status"] != "0" {
					t.Errorf("reported %v, want status 0", e.Event.Keywords)
				}
			}
		})
	})
	t.Run("UP-12 a download that was put back for an operator's change can be cancelled", func(t *testing.T) {
		w := actorstest.NewWorld()
		var offers []plugin.Change
		for n := range 4 {
			name := fmt.Sprint("p", n)
			w.Plugins, offers = append(w.Plugins, actorstest.Persist(uint64(n+1), name)), append(offers, offer(name, "2.0"))
			w.FetchTime[name], w.Running[name] = 2*time.Hour, true
		}
		w.Plugins = append(w.Plugins, actorstest.Persist(9, "mine"))
		w.FetchTime["mine"], w.Running["mine"] = 2*time.Hour, true
		w.OnUpdateCheck = offering(0, offers...)
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(10 * time.Minute)
			for _, do := range []func() error{
				func() error { return s.ChangePlugin(t.Context(), plugin.Change{Name: "mine", Version: "3.0"}) },
				func() error { return s.CancelChange(t.Context(), "p3") },
			} {
				if err := do(); err != nil {
					t.Fatal(err)
				}
			}
			actorstest.Advance(5 * time.Hour)
			if got := view(t, s, "p3").Version; got != "1.0" {
				t.Errorf("p3 is %s, want \"1.0\"", got)
			}
		})
	})
}
