package actors

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/plugin"
)

// mirror is where the packages of a world come from. Each is known by its ID.
type mirror struct {
	w       *world
	id      string
	fails   bool
	fetched []time.Duration // when one was really fetched
}

func newMirror(w *world) *mirror {
	m := &mirror{w: w, id: "one", fails: true}
	w.packages = func(o plugin.Change) error {
		if o.Avoid == m.id {
			return &plugin.PackageError{Package: m.id, Err: plugin.ErrAvoided}
		}
		m.fetched = append(m.fetched, since())
		if m.fails {
			return &plugin.PackageError{Package: m.id, Err: errors.New("package has MD5 1, expected 2")}
		}
		return nil
	}
	return m
}

// take returns how often packages were fetched since the last call.
func (m *mirror) take() (n int) {
	m.w.set(func() { n, m.fetched = len(m.fetched), nil })
	return n
}

// assigning assigns a@2.0 at each check of a world.
func assigning(w *world) *mirror {
	w.updates = func(int) (plugin.Updates, error) {
		return plugin.Updates{Changes: []plugin.Change{offer("a", "2.0")}}, nil
	}
	return newMirror(w)
}

func TestBlocked(t *testing.T) {
	t.Run("UP-14 what cannot be taken is fetched ever more seldom, and shown, over a restart too", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		m := assigning(w)
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			pass(24 * time.Hour)
			if n := m.take(); n != 6 { // at checks 0, 1, 3, 7, 15 and 31
				t.Errorf("fetched %d times on the first day", n)
			}
			if n := len(w.ended("a")); n != 6 {
				t.Errorf("%d entries in the journal", n)
			}
			if n := len(w.takeEvents()); n < 47 { // UP-07
				t.Errorf("%d events for %d checks", n, len(w.checked()))
			}
			v := view(t, s, "a")
			if v.State != plugin.StateRunning || v.Since.After(epoch.Add(2*time.Minute)) {
				t.Errorf("%s since %v", v.State, v.Since)
			}
		})
		w.offset = 24 * time.Hour // each bubble begins at the epoch
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			blocked := status(t, s).Blocked
			if len(blocked) != 1 || blocked[0].Tries != 6 || !strings.Contains(blocked[0].Cause, "MD5") {
				t.Fatalf("after a restart: %+v", blocked)
			}
			pass(time.Hour)
			if n := m.take(); n != 0 {
				t.Errorf("fetched %d times in the next hour", n)
			}
		})
	})
	t.Run("UP-14 another package of the version is tried at once, and what can be taken is forgotten", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		m := assigning(w)
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			pass(8 * time.Hour)
			m.take()
			w.set(func() { m.id, m.fails = "two", false })
			pass(30 * time.Minute)
			if n := m.take(); n != 1 || view(t, s, "a").Version != "2.0" {
				t.Errorf("fetched %d times, runs %s", n, view(t, s, "a").Version)
			}
			if blocked := status(t, s).Blocked; len(blocked) != 0 || len(w.saved.Blocked) != 0 {
				t.Errorf("still blocked: %+v, saved %+v", blocked, w.saved.Blocked)
			}
		})
	})
	t.Run("UP-14 an operator's command is carried out at once", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		m := assigning(w)
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			pass(8*time.Hour + time.Minute)
			m.take()
			before := status(t, s).Blocked
			if err := s.ChangePlugin(t.Context(), plugin.Change{Name: "a", Version: "2.0"}); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
			if after := status(t, s).Blocked; m.take() != 1 || after[0] != before[0] {
				t.Errorf("an operator's failure counts: %+v", after)
			}
			w.set(func() { m.fails = false })
			if err := s.ChangePlugin(t.Context(), plugin.Change{Name: "a", Version: "2.0"}); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
			if view(t, s, "a").Version != "2.0" || len(status(t, s).Blocked) != 0 {
				t.Errorf("runs %s, blocked %+v", view(t, s, "a").Version, status(t, s).Blocked)
			}
		})
	})
	t.Run("UP-14 what is fetched and cannot be put in place is not fetched at each check either", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		m := assigning(w)
		m.fails = false
		w.upgrade = func(plugin.Change) plugin.ChangeResult {
			failed := plugin.FailedChange(errors.New("read-only file system"))
			failed.Plugin, failed.Package = persist(1, "a"), m.id
			return failed
		}
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			pass(8 * time.Hour)
			if n := m.take(); n != 5 {
				t.Errorf("fetched %d times", n)
			}
		})
	})
	t.Run("UP-14 what is not assigned any more is forgotten", func(t *testing.T) {
		w := newWorld(persist(1, "a"))
		w.updates = offering(0, offer("a", "2.0"))
		newMirror(w)
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			pass(3 * time.Minute)
			if len(status(t, s).Blocked) != 1 {
				t.Error("nothing is blocked")
			}
			pass(time.Hour)
			if blocked := status(t, s).Blocked; len(blocked) != 0 {
				t.Errorf("blocked: %+v", blocked)
			}
		})
	})
}

func TestSlowDownload(t *testing.T) {
	t.Run("UP-14 a download of hours does not hold up the next checks, nor is it begun twice", func(t *testing.T) {
		w := newWorld(persist(1, "a"), persist(2, "b"))
		w.fetchTime = map[string]time.Duration{"a": 5*time.Hour + minute} // between two checks
		w.updates = func(n int) (plugin.Updates, error) {
			all := []plugin.Change{offer("a", "2.0")}
			if n > 1 {
				all = append(all, offer("b", fmt.Sprintf("2.%d", n)))
			}
			return plugin.Updates{Changes: all}, nil
		}
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			pass(4 * time.Hour)
			if n := len(w.checked()); n != 8 {
				t.Errorf("%d checks", n)
			}
			if got := view(t, s, "b").Version; got != "2.8" {
				t.Errorf("b is %s", got)
			}
			pass(90 * time.Minute)
			if n := w.count("fetch 2.0", "a"); n != 1 || view(t, s, "a").Version != "2.0" {
				t.Errorf("a was fetched %d times and is %s", n, view(t, s, "a").Version)
			}
		})
	})
	t.Run("UP-11 an operator's change does not wait for slow downloads, which go on afterwards", func(t *testing.T) {
		var ps []plugin.Plugin
		var offers []plugin.Change
		w := newWorld()
		for n := range 5 {
			name := fmt.Sprint("p", n)
			ps, offers = append(ps, persist(uint64(n+1), name)), append(offers, offer(name, "2.0"))
			w.fetchTime[name], w.running[name] = 2*time.Hour, true
		}
		w.plugins = append(ps, persist(9, "mine"))
		w.running["mine"] = true
		w.updates = offering(0, offers...)
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			pass(10 * time.Minute)
			if n := w.count("fetch 2.0", ""); n != 4 {
				t.Fatalf("%d downloads", n)
			}
			if err := s.ChangePlugin(t.Context(), plugin.Change{Name: "mine", Version: "3.0"}); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
			if got := view(t, s, "mine").Version; got != "3.0" {
				t.Errorf("mine is %s", got)
			}
			pass(5 * time.Hour)
			for _, p := range ps {
				if got := view(t, s, p.Name).Version; got != "2.0" {
					t.Errorf("%s is %s", p.Name, got)
				}
			}
			if n := w.count("fetch 2.0", ""); n != 6 {
				t.Errorf("%d downloads, one of them twice", n)
			}
			for _, e := range w.sent() {
				if e.event.ID == plugin.EventUpdate && e.event.Keywords["status"] != "0" {
					t.Errorf("reported %v", e.event.Keywords)
				}
			}
		})
	})
	t.Run("UP-12 a download that makes way can be cancelled", func(t *testing.T) {
		w := newWorld()
		var offers []plugin.Change
		for n := range 4 {
			name := fmt.Sprint("p", n)
			w.plugins, offers = append(w.plugins, persist(uint64(n+1), name)), append(offers, offer(name, "2.0"))
			w.fetchTime[name], w.running[name] = 2*time.Hour, true
		}
		w.plugins = append(w.plugins, persist(9, "mine"))
		w.fetchTime["mine"], w.running["mine"] = 2*time.Hour, true
		w.updates = offering(0, offers...)
		inBubble(t, w, updateConfig(), func(t *testing.T, s *System) {
			pass(10 * time.Minute)
			for _, do := range []func() error{
				func() error { return s.ChangePlugin(t.Context(), plugin.Change{Name: "mine", Version: "3.0"}) },
				func() error { return s.CancelChange(t.Context(), "p3") },
			} {
				if err := do(); err != nil {
					t.Fatal(err)
				}
			}
			pass(5 * time.Hour)
			if got := view(t, s, "p3").Version; got != "1.0" {
				t.Errorf("p3 is %s", got)
			}
		})
	})
}
