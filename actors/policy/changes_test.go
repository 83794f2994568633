package policy

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pluginsupervisor/plugin"
)

func changeNames(changes []plugin.Change) (all []string) {
	for _, c := range changes {
		all = append(all, c.Name)
	}
	return all
}

// queueOf returns a queue with a change of each of the plugins.
func queueOf(origin plugin.Origin, names ...string) *Changes {
	c := &Changes{}
	for _, name := range names {
		c.Add(plugin.Change{Name: name, Origin: origin}, epoch)
	}
	return c
}

// wantStarted starts the fetches that may start now, and returns their changes.
func wantStarted(t *testing.T, c *Changes, want ...string) []plugin.Change {
	t.Helper()
	started := c.StartFetches(epoch)
	if !slices.Equal(changeNames(started), want) {
		t.Errorf("started %v, want %v", changeNames(started), want)
	}
	return started
}

func TestChanges(t *testing.T) {
	t.Run("UP-11 at most four at once, in the order of arrival", func(t *testing.T) {
		c := queueOf(plugin.FromControlPlane, "a", "b", "c", "d", "e", "f")
		started := wantStarted(t, c, "a", "b", "c", "d")
		wantStarted(t, c)
		c.MarkReady(started[0].ID, epoch) // ready, and still one of the four
		wantStarted(t, c)
		c.MarkApplying(started[0].ID, epoch)
		wantStarted(t, c)
		c.Finish(started[0].ID, true)
		wantStarted(t, c, "e")
	})
	t.Run("UP-11 unfinished ones of an earlier process go first, then an operator's", func(t *testing.T) {
		c := queueOf(plugin.FromControlPlane, "a", "b")
		c.Add(plugin.Change{Name: "c", Origin: plugin.FromOperator}, epoch)
		c.Add(plugin.Change{Name: "d", Origin: plugin.FromRecovery}, epoch)
		wantStarted(t, c, "d", "c", "a", "b")
	})
	t.Run("UP-11 those of one plugin go one after the other", func(t *testing.T) {
		c := queueOf(plugin.FromControlPlane, "a", "a", "b")
		started := wantStarted(t, c, "a", "b")
		if started[0].ID != 1 {
			t.Errorf("number %d goes first, want 1", started[0].ID)
		}
		c.Finish(started[0].ID, false)
		if next := wantStarted(t, c, "a"); next[0].ID != 2 {
			t.Errorf("then number %d, want 2", next[0].ID)
		}
	})
}

func TestChangesCancelled(t *testing.T) {
	t.Run("UP-12 cancelled in each phase", func(t *testing.T) {
		why := errors.New("stopped by an operator")
		for name, test := range map[string]struct {
			to   ChangePhase
			want []Cancelled
			left int
		}{
			"queued":   {ChangeQueued, []Cancelled{{}}, 0},
			"fetching": {ChangeFetching, []Cancelled{{Fetching: true}}, 1},
			"ready":    {ChangeReady, []Cancelled{{Fetched: true}}, 0},
			"applying": {ChangeApplying, nil, 1},
		} {
			t.Run(name, func(t *testing.T) {
				c := queueOf(plugin.FromControlPlane, "a")
				if test.to >= ChangeFetching {
					c.StartFetches(epoch)
				}
				if test.to >= ChangeReady {
					c.MarkReady(1, epoch)
				}
				if test.to >= ChangeApplying {
					c.MarkApplying(1, epoch)
				}
				got := c.CancelPending("a", why)
				for i := range got {
					if got[i].Change.ID != 1 {
						t.Errorf("cancelled %+v", got[i])
					}
					got[i].Change = plugin.Change{}
				}
				if !slices.Equal(got, test.want) || len(c.list) != test.left {
					t.Errorf("%+v, %d left", got, len(c.list))
				}
				if test.to != ChangeFetching {
					return
				}
				if _, wanted := c.MarkReady(1, epoch); wanted || c.CancelCause(1) != why || !slices.Equal(changeNames(c.ListFetching()), []string{"a"}) {
					t.Errorf("a cancelled fetch is wanted: %v, cause %v", wanted, c.CancelCause(1))
				}
				if again := c.CancelPending("a", why); len(again) != 0 {
					t.Errorf("cancelled twice: %+v", again)
				}
			})
		}
	})
	t.Run("UP-12 changes of other plugins are not cancelled", func(t *testing.T) {
		c := queueOf(plugin.FromControlPlane, "a", "b")
		if got := c.CancelPending("b", errors.New("x")); len(got) != 1 || got[0].Change.Name != "b" || len(c.list) != 1 {
			t.Errorf("%+v", got)
		}
	})
}

func TestChangesOfUpdateCheck(t *testing.T) {
	t.Run("UP-09 an update check is done when all that it assigned is", func(t *testing.T) {
		c := &Changes{}
		taken := plugin.Change{Name: "taken"}
		c.AddCheck(plugin.Updates{NextInterval: time.Hour, Changes: []plugin.Change{{Name: "a"}, taken, {Name: "b"}}}, []plugin.Change{taken}, epoch)
		c.Add(plugin.Change{Name: "c", Origin: plugin.FromOperator}, epoch) // not of the check
		c.StartFetches(epoch)
		for id, succeeded := range map[uint64]bool{1: true, 2: false} {
			if _, _, _, done := c.FinishCheck(); done || !c.IsChecking() {
				t.Errorf("done before number %d", id)
			}
			c.Finish(id, succeeded)
		}
		offered, succeeded, next, done := c.FinishCheck()
		if !done || offered != 3 || succeeded != 1 || next != time.Hour {
			t.Errorf("%d offered, %d succeeded, next %v, done %v", offered, succeeded, next, done)
		}
		if _, _, _, done := c.FinishCheck(); done || c.IsChecking() {
			t.Error("done twice")
		}
	})
	t.Run("UP-09 with nothing assigned it is done at once", func(t *testing.T) {
		c := &Changes{}
		c.AddCheck(plugin.Updates{}, nil, epoch)
		if offered, _, _, done := c.FinishCheck(); !done || offered != 0 {
			t.Errorf("%d offered, done %v", offered, done)
		}
	})
	t.Run("UP-09 a change that was made before the answer came is not made again", func(t *testing.T) {
		c := queueOf(plugin.FromControlPlane, "a", "b")
		c.StartFetches(epoch)
		c.BeginCheck()
		c.Finish(1, true)
		c.Finish(2, false)
		c.AddCheck(plugin.Updates{Changes: []plugin.Change{{Name: "a"}, {Name: "b"}}}, nil, epoch)
		if started := c.StartFetches(epoch); len(started) != 1 || started[0].Name != "b" {
			t.Errorf("started %+v", started)
		}
		c.Finish(3, true) // no check is asked for
		c.AddCheck(plugin.Updates{Changes: []plugin.Change{{Name: "b"}}}, nil, epoch)
		if started := c.StartFetches(epoch); len(started) != 1 {
			t.Errorf("started %+v", started)
		}
	})
}

func TestChangesShown(t *testing.T) {
	t.Run("status shows the change of a plugin with the most progress", func(t *testing.T) {
		c := queueOf(plugin.FromControlPlane, "a", "a")
		if change, phase, _, ok := c.FindByPlugin("a"); !ok || change.ID != 1 || phase != ChangeQueued {
			t.Errorf("%+v %s", change, phase)
		}
		c.StartFetches(at(minute))
		if change, phase, since, _ := c.FindByPlugin("a"); change.ID != 1 || phase != ChangeFetching || !since.Equal(at(minute)) {
			t.Errorf("%+v %s since %v", change, phase, since)
		}
		if _, _, _, ok := c.FindByPlugin("b"); ok {
			t.Error("a change of an unknown plugin")
		}
	})
	t.Run("an unknown number is no change", func(t *testing.T) {
		c := &Changes{}
		_, known := c.Finish(7, true)
		_, wanted := c.MarkReady(7, epoch)
		if _, _, found := c.Find(7); known || wanted || found {
			t.Errorf("known %v, wanted %v, found %v", known, wanted, found)
		}
	})
}
