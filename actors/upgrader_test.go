package actors

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// testUpgrader returns an Upgrader with a manager, and a world as its control plane.
func testUpgrader(m Manager, w *actorstest.World, clock Clock, h plugin.UpdateHandler) *actor.Props {
	return newUpgrader(m, w, h, clock, rand.New(rand.NewPCG(1, 1)))
}

// changeTo returns a change of a plugin to 2.0.
func changeTo(id uint64, name string) plugin.Change {
	return plugin.Change{ID: id, Name: name, Version: "2.0"}
}

func TestUpdateCheck(t *testing.T) {
	t.Run("UP-01 UP-02 only upgradable plugins are in the request; no request without any, or after an error", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Once(1, "o"))
		withWorker(t, testUpgrader(w, w, w, nil), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(messages.CheckUpdates{Gen: 1})
			w.Set(func() { w.ListErr = errors.New("locked") })
			order(messages.CheckUpdates{Gen: 2})
			got := actorstest.Messages[messages.UpdatesOffered](parent.Take())
			if len(got) != 2 || got[0].Asked != 0 || got[0].Err != nil || got[1].Gen != 2 || got[1].Err == nil {
				t.Errorf("offered %+v; want 2 entries, asked 0, no error, gen 2, an error", got)
			}
			w.Set(func() { w.ListErr = nil; w.Plugins = append(w.Plugins, actorstest.Persist(2, "a")) })
			order(messages.CheckUpdates{Gen: 3})
			if got := actorstest.Messages[messages.UpdatesOffered](parent.Take()); len(got) != 1 || got[0].Asked != 1 || len(w.UpdateCheckTimes()) != 1 {
				t.Errorf("offered %+v; want 1 entry, asked 1, 1 update check", got)
			}
		})
	})
	t.Run("UP-03 two more tries about 3 s apart", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.OnUpdateCheck = func(int) (plugin.Updates, error) { return plugin.Updates{}, errAway }
		withWorker(t, testUpgrader(w, w, w, nil), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(messages.CheckUpdates{Gen: 1})
			actorstest.Advance(time.Minute)
			at := w.UpdateCheckTimes()
			if len(at) != 3 || at[2].Sub(at[0]) < 4*time.Second || at[2].Sub(at[0]) > 8*time.Second {
				t.Errorf("checks at %v; want 3, the last from %v to %v after the first", at, 4*time.Second, 8*time.Second)
			}
			if got := actorstest.Messages[messages.UpdatesOffered](parent.Take()); len(got) != 1 || !errors.Is(got[0].Err, errAway) {
				t.Errorf("offered %+v; want 1 entry, error %v", got, errAway)
			}
		})
	})
	t.Run("UP-05 the update handler is called for one change after the other", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.OnUpdateCheck = func(int) (plugin.Updates, error) {
			return plugin.Updates{Changes: []plugin.Change{changeTo(0, "a"), changeTo(0, "b"), changeTo(0, "c")}}, nil
		}
		var asked []string
		handler := func(_ context.Context, u plugin.AssignedUpdate) bool {
			time.Sleep(time.Second)
			asked = append(asked, actorstest.Elapsed().String()+" "+u.Name+" "+u.Installed+"→"+u.Version)
			if u.Name == "b" {
				panic("bug")
			}
			return u.Name == "c"
		}
		withWorker(t, testUpgrader(w, w, w, handler), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(messages.CheckUpdates{Gen: 1})
			actorstest.Advance(time.Minute)
			if want := []string{"1s a 1.0→2.0", "2s b →2.0", "3s c →2.0"}; !slices.Equal(asked, want) {
				t.Errorf("handler called for %v, want %v", asked, want)
			}
			got := actorstest.Messages[messages.UpdatesOffered](parent.Take())
			if len(got) != 1 || got[0].Err != nil || len(got[0].Updates.Changes) != 3 || !slices.Equal(got[0].Handled, []plugin.Change{changeTo(0, "c")}) {
				t.Errorf("offered %+v; want 1 entry, no error, 3 changes, handled %v", got, []plugin.Change{changeTo(0, "c")})
			}
		})
	})
}

func TestFetches(t *testing.T) {
	t.Run("UP-11 several fetches run in parallel", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Persist(2, "b"))
		w.FetchTime = map[string]time.Duration{"a": 10 * time.Second, "b": 10 * time.Second}
		withWorker(t, testUpgrader(w, w, w, nil), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(messages.Fetch{Change: changeTo(1, "a")})
			order(messages.Fetch{Change: changeTo(2, "b")})
			order(messages.Fetch{Change: changeTo(2, "b")}) // already under way
			actorstest.Advance(10 * time.Second)
			got := actorstest.Messages[messages.Fetched](parent.Take())
			slices.SortFunc(got, func(a, b messages.Fetched) int { return int(a.Change.ID) - int(b.Change.ID) })
			if len(got) != 2 || got[0].Change != changeTo(1, "a") || got[1].Change != changeTo(2, "b") || got[0].Err != nil {
				t.Errorf("fetched %+v; want 2 entries, change %v, change %v, no error", got, changeTo(1, "a"), changeTo(2, "b"))
			}
		})
	})
	t.Run("an error and a panic are results", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.FetchErr = errors.New("digest mismatch")
		withWorker(t, testUpgrader(panicsFor{w, "p"}, w, w, nil), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(messages.Fetch{Change: changeTo(1, "p")})
			order(messages.Fetch{Change: changeTo(2, "a")})
			order(messages.ApplyChange{Change: changeTo(3, "p")})
			order(messages.CancelFetch{Change: changeTo(4, "p")}) // Discard panics: nothing else is lost
			got := parent.Take()
			if f := actorstest.Messages[messages.Fetched](got); len(f) != 2 || f[0].Err == nil || f[0].Change.ID != 1 || !errors.Is(f[1].Err, w.FetchErr) {
				t.Errorf("fetched %+v; want 2 entries, an error, id 1, error %v", f, w.FetchErr)
			}
			if ch := actorstest.Messages[messages.ChangeCompleted](got); len(ch) != 1 || ch[0].Result.Err == nil || ch[0].Change.ID != 3 {
				t.Errorf("changes %+v; want 1 entry, an error, id 3", ch)
			}
		})
	})
	t.Run("UP-12 a fetch under way is cancelled, and answered", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Persist(2, "b"))
		w.FetchTime = map[string]time.Duration{"a": time.Hour, "b": 10 * time.Second}
		withWorker(t, testUpgrader(w, w, w, nil), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(messages.Fetch{Change: changeTo(1, "a")})
			order(messages.Fetch{Change: changeTo(2, "b")})
			actorstest.Advance(time.Second)
			order(messages.CancelFetch{Change: changeTo(1, "a")})
			if got := actorstest.Messages[messages.Fetched](parent.Take()); len(got) != 1 || got[0].Change.ID != 1 || got[0].Err == nil {
				t.Errorf("fetched %+v; want 1 entry, id 1, an error", got)
			}
			actorstest.Advance(time.Minute)
			if got := actorstest.Messages[messages.Fetched](parent.Take()); len(got) != 1 || got[0].Change.ID != 2 || got[0].Err != nil {
				t.Errorf("the other fetch: %+v; want 1 entry, id 2, no error", got)
			}
			if got := w.CalledPlugins("discard 2.0"); len(got) != 0 {
				t.Errorf("discarded %v, want none", got)
			}
		})
	})
	t.Run("a fetched package is discarded, also when the cancellation comes too late", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		withWorker(t, testUpgrader(stubborn{w}, w, w, nil), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(messages.Fetch{Change: changeTo(1, "a")})
			actorstest.Advance(time.Minute)
			order(messages.CancelFetch{Change: changeTo(1, "a")})
			order(messages.Fetch{Change: changeTo(2, "b")})
			order(messages.CancelFetch{Change: changeTo(2, "b")})
			actorstest.Advance(time.Minute)
			got := actorstest.Messages[messages.Fetched](parent.Take())
			if len(got) != 2 || got[0].Err != nil || !errors.Is(got[1].Err, context.Canceled) {
				t.Errorf("fetched %+v; want 2 entries, no error, error %v", got, context.Canceled)
			}
			if got := w.CalledPlugins("discard 2.0"); !slices.Equal(got, []string{"a", "b"}) {
				t.Errorf("discarded %v, want %q", got, []string{"a", "b"})
			}
		})
	})
	t.Run("a crash loses all orders: fetched packages are discarded", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		clock := &crashing{World: w}
		withWorker(t, testUpgrader(stubborn{w}, w, clock, nil), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(messages.Fetch{Change: changeTo(1, "a")})
			actorstest.Advance(time.Second / 2)
			order(messages.Fetch{Change: changeTo(2, "b")})
			clock.crash() // at the end of the first
			actorstest.Advance(time.Minute)
			if got := actorstest.Messages[messages.Fetched](parent.Take()); len(got) != 0 {
				t.Errorf("fetched %+v, want none", got)
			}
			if got := w.CalledPlugins("discard 2.0"); !slices.Equal(got, []string{"b"}) {
				t.Errorf("discarded %v, want %q", got, []string{"b"})
			}
			order(messages.Fetch{Change: changeTo(3, "c")})
			actorstest.Advance(time.Minute)
			if got := actorstest.Messages[messages.Fetched](parent.Take()); len(got) != 1 || got[0].Err != nil {
				t.Errorf("the next fetch: %+v; want 1 entry, no error", got)
			}
		})
	})
}

func TestChanges(t *testing.T) {
	t.Run("several changes run in parallel, each with the status of its permit", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Persist(2, "b"))
		w.VerbTime = map[string]time.Duration{"a": 10 * time.Second, "b": 10 * time.Second}
		m := &permits{World: w, got: map[string]plugin.ChangePermit{}}
		withWorker(t, testUpgrader(m, w, w, nil), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(messages.ApplyChange{Change: changeTo(1, "a"), StatusBefore: plugin.StatusRunning})
			order(messages.ApplyChange{Change: changeTo(2, "b"), StatusBefore: plugin.StatusFailed})
			order(messages.ApplyChange{Change: changeTo(2, "b")}) // already under way
			order(messages.CancelFetch{Change: changeTo(2, "b")}) // too late
			actorstest.Advance(10 * time.Second)
			got := actorstest.Messages[messages.ChangeCompleted](parent.Take())
			if len(got) != 2 || got[0].Result.Err != nil || got[1].Result.Err != nil || got[0].Result.Plugin.Version != "2.0" {
				t.Errorf("completed %+v; want 2 entries, no errors, version \"2.0\"", got)
			}
			if m.got["a"].StatusBefore != plugin.StatusRunning || m.got["b"].StatusBefore != plugin.StatusFailed {
				t.Errorf("permits %+v; want a before running, b before failed", m.got)
			}
			if len(w.Violations) != 0 || len(w.CalledPlugins("discard 2.0")) != 0 {
				t.Errorf("calls %v, violations %v; want no discard, none", w.Calls, w.Violations)
			}
		})
	})
	t.Run("UP-12 a change gets the newest interruption for it, once", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Persist(2, "b"))
		w.VerbTime = map[string]time.Duration{"a": 10 * time.Second, "b": 10 * time.Second}
		m := &permits{World: w, got: map[string]plugin.ChangePermit{}}
		withWorker(t, testUpgrader(m, w, w, nil), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(messages.InterruptChange{Change: changeTo(1, "a")}) // before it begins
			order(messages.ApplyChange{Change: changeTo(1, "a")})
			order(messages.ApplyChange{Change: changeTo(2, "b")})
			order(messages.InterruptChange{Change: changeTo(1, "a"), LeaveStopped: true})
			if i := <-m.got["a"].Interrupt; !i.LeaveStopped {
				t.Error("the older interruption was received, want the newest")
			}
			order(messages.InterruptChange{Change: changeTo(1, "a")})
			select {
			case <-m.got["a"].Interrupt:
				t.Error("a second interruption was received, want one")
			case <-m.got["b"].Interrupt:
				t.Error("the other change was interrupted, want only b")
			default:
			}
			order(messages.InterruptChange{Change: changeTo(2, "b"), LeaveStopped: true})
			actorstest.Advance(time.Minute)
			for _, ch := range actorstest.Messages[messages.ChangeCompleted](parent.Take()) {
				if errors.Is(ch.Result.Err, plugin.ErrInterrupted) != (ch.Change.Name == "b") {
					t.Errorf("completed %+v; want that only b is interrupted", ch)
				}
			}
			if w.Running["b"] {
				t.Error("b runs, want it left stopped")
			}
		})
	})
	t.Run("an interruption during the fetch does not interrupt the change", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		withWorker(t, testUpgrader(w, w, w, nil), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(messages.InterruptChange{Change: changeTo(1, "a")})
			order(messages.CancelFetch{Change: changeTo(1, "a")})
			order(messages.ApplyChange{Change: changeTo(1, "a")})
			if got := actorstest.Messages[messages.ChangeCompleted](parent.Take()); len(got) != 1 || got[0].Result.Err != nil {
				t.Errorf("completed %+v; want 1 entry, no error", got)
			}
		})
	})
	t.Run("a stopped Upgrader cancels all work", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Persist(2, "b"))
		w.VerbTime["a"], w.FetchTime["b"] = time.Hour, time.Hour
		w.OnUpdateCheck = func(int) (plugin.Updates, error) {
			return plugin.Updates{}, &plugin.HTTPError{Code: 503, RetryAfter: time.Hour}
		}
		ended := map[string]time.Duration{}
		withWorker(t, testUpgrader(endings{w, ended}, w, w, nil), func(t *testing.T, _ *actorstest.Probe, order func(any)) {
			order(messages.CheckUpdates{Gen: 1})
			order(messages.ApplyChange{Change: changeTo(1, "a")})
			order(messages.Fetch{Change: changeTo(2, "b")})
			actorstest.Advance(time.Second)
		})
		if ended["change"] != time.Second || ended["fetch"] != time.Second {
			t.Errorf("ended at %v, want both at 1s", ended)
		}
		if n := len(w.UpdateChecks); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}

// panicsFor is a manager that panics when it changes one plugin.
type panicsFor struct {
	*actorstest.World
	name string
}

func (m panicsFor) Fetch(ctx context.Context, ch plugin.Change) error {
	if ch.Name == m.name {
		panic("bug")
	}
	return m.World.Fetch(ctx, ch)
}

func (panicsFor) Discard(plugin.Change) { panic("bug") }

func (panicsFor) Change(context.Context, plugin.Change, plugin.ChangePermit) plugin.ChangeResult {
	panic("bug")
}

// stubborn is a manager whose fetches take a second and succeed, cancelled or not.
type stubborn struct{ *actorstest.World }

func (stubborn) Fetch(context.Context, plugin.Change) error {
	time.Sleep(time.Second)
	return nil
}

// permits is a manager that keeps the permits it was given.
type permits struct {
	*actorstest.World
	got map[string]plugin.ChangePermit
}

func (m *permits) Change(ctx context.Context, ch plugin.Change, p plugin.ChangePermit) plugin.ChangeResult {
	m.Set(func() { m.got[ch.Name] = p })
	return m.World.Change(ctx, ch, p)
}

// endings is a manager that records when its work ended.
type endings struct {
	*actorstest.World
	at map[string]time.Duration
}

func (m endings) Fetch(ctx context.Context, ch plugin.Change) error {
	err := m.World.Fetch(ctx, ch)
	m.Set(func() { m.at["fetch"] = actorstest.Elapsed() })
	return err
}

func (m endings) Change(ctx context.Context, ch plugin.Change, p plugin.ChangePermit) plugin.ChangeResult {
	changed := m.World.Change(ctx, ch, p)
	m.Set(func() { m.at["change"] = actorstest.Elapsed() })
	return changed
}
