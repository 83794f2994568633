package actors

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// scanResults holds the answers of the Scanner to one order.
type scanResults struct {
	names     []string        // of the plugins that answered, sorted
	slowAt    []time.Duration // of each ScanProgressed that was slow
	progress  []time.Duration // of each ScanProgressed
	completed *messages.ScanCompleted
	endedAt   time.Duration
}

// resultsOf returns the results of each order, by its Gen.
func resultsOf(all []actorstest.Received) map[uint64]scanResults {
	by := map[uint64]scanResults{}
	for _, s := range all {
		at := s.At
		switch m := s.Msg.(type) {
		case messages.ScanProgressed:
			r := by[m.Gen]
			r.progress = append(r.progress, at)
			if m.Slow {
				r.slowAt = append(r.slowAt, at)
			}
			by[m.Gen] = r.add(m.Probes)
		case messages.ScanCompleted:
			r := by[m.Gen]
			r.completed, r.endedAt = &m, at
			by[m.Gen] = r.add(m.Probes)
		}
	}
	return by
}

func (r scanResults) add(probes []plugin.Probe) scanResults {
	for _, p := range probes {
		r.names = append(r.names, p.Plugin.Name)
	}
	slices.Sort(r.names)
	return r
}

// hungWorld returns a world with a plugin whose `--status` takes its whole timeout of an
// hour.
func hungWorld(names ...string) *actorstest.World {
	w := actorstest.NewWorld()
	for i, name := range append(names, "hung") {
		w.Plugins = append(w.Plugins, actorstest.Persist(uint64(i+1), name))
		w.Running[name] = true
	}
	w.Plugins[len(names)].Timeout = time.Hour
	w.ProbeTime["hung"] = 2 * time.Hour
	return w
}

func TestScanner(t *testing.T) {
	t.Run("SC-09 a hung --status of one order does not delay another order", func(t *testing.T) {
		w := hungWorld("a", "b")
		withWorker(t, newScanner(w, nil, w), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(messages.Scan{Gen: 1})
			actorstest.Advance(5 * time.Second)
			order(messages.Scan{Gen: 2, Only: []string{"b"}})
			got := resultsOf(parent.Take())
			if r := got[2]; r.completed == nil || r.endedAt != 5*time.Second || !slices.Equal(r.names, []string{"b"}) {
				t.Errorf("the second order: %+v; want completed, ended at %v, names %q", r, 5*time.Second, []string{"b"})
			}
			if r := got[1]; r.completed != nil || !slices.Equal(r.names, []string{"a", "b"}) || !slices.Equal(r.slowAt, []time.Duration{scanTimeout}) {
				t.Errorf("the first order: %+v; want not completed, names %q, slow at %v", r, []string{"a", "b"}, []time.Duration{scanTimeout})
			}
			actorstest.Advance(time.Hour)
			if r := resultsOf(parent.Take())[1]; r.completed == nil || !slices.Equal(r.names, []string{"hung"}) {
				t.Errorf("the end of the first order: %+v; want completed, names %q", r, []string{"hung"})
			}
		})
	})
	t.Run("a plugin is probed by one order at a time", func(t *testing.T) {
		w := hungWorld("a")
		withWorker(t, newScanner(w, nil, w), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(messages.Scan{Gen: 1})
			actorstest.Advance(time.Second)
			order(messages.Scan{Gen: 2})
			order(messages.Scan{Gen: 3, Only: []string{"hung"}})
			got := resultsOf(parent.Take())
			if r := got[2]; r.completed == nil || !slices.Equal(r.names, []string{"a"}) || len(r.completed.List.Plugins) != 2 {
				t.Errorf("the second scan: %+v; want completed, names %q, 2 plugins", r, []string{"a"})
			}
			if r := got[3]; r.completed == nil || len(r.names) != 0 {
				t.Errorf("the order of the hung plugin alone: %+v; want completed, no names", r)
			}
			if n := w.CountCalls("--status", "hung"); n != 1 {
				t.Errorf("%d probes of the hung plugin, want 1", n)
			}
			actorstest.Advance(2 * time.Hour)
			w.Set(func() { delete(w.ProbeTime, "hung") })
			parent.Take()
			order(messages.Scan{Gen: 4})
			if r := resultsOf(parent.Take())[4]; !slices.Equal(r.names, []string{"a", "hung"}) {
				t.Errorf("after it answered: %+v, want names %q", r, []string{"a", "hung"})
			}
		})
	})
}

func TestScannerSlow(t *testing.T) {
	t.Run("TM-01 a scan whose results keep coming is not slow", func(t *testing.T) {
		w := hungWorld("a", "b", "c", "d")
		for i, name := range []string{"a", "b", "c", "d"} {
			w.ProbeTime[name] = time.Duration(i+1) * 1500 * time.Millisecond
		}
		withWorker(t, newScanner(w, nil, w), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(messages.Scan{Gen: 1})
			actorstest.Advance(time.Minute)
			r := resultsOf(parent.Take())[1]
			if want := []time.Duration{8 * time.Second}; !slices.Equal(r.slowAt, want) { // 2 s after the last answer
				t.Errorf("slow at %v, want %v", r.slowAt, want)
			}
			if len(r.progress) < 3 || r.progress[0] != scanTimeout || !slices.Equal(r.names, []string{"a", "b", "c", "d"}) {
				t.Errorf("progress %+v; want at least 3 times, the first %v, names %q", r, scanTimeout, []string{"a", "b", "c", "d"})
			}
		})
	})
	t.Run("TM-01 a scan that was slow stays slow", func(t *testing.T) {
		w := hungWorld("a")
		w.ProbeTime["a"] = 19 * time.Second
		withWorker(t, newScanner(w, nil, w), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(messages.Scan{Gen: 1})
			actorstest.Advance(time.Minute)
			r := resultsOf(parent.Take())[1]
			if want := []time.Duration{2 * time.Second, 20 * time.Second}; !slices.Equal(r.slowAt, want) {
				t.Errorf("slow at %v, want %v", r.slowAt, want)
			}
		})
	})
}

func TestScannerResults(t *testing.T) {
	t.Run("results of single probes are sent at once", func(t *testing.T) {
		w := hungWorld("a", "b", "c")
		w.ProbeTime["b"] = 700 * time.Millisecond
		withWorker(t, newScanner(w, nil, w), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(messages.Scan{Gen: 1, Only: []string{"a", "b", "hung", "nosuch"}})
			actorstest.Advance(time.Minute)
			r := resultsOf(parent.Take())[1]
			want := []time.Duration{0, 700 * time.Millisecond, 2700 * time.Millisecond}
			if !slices.Equal(r.progress, want) || !slices.Equal(r.slowAt, want[2:]) {
				t.Errorf("progress %v, slow %v, want %v", r.progress, r.slowAt, want)
			}
			if !slices.Equal(r.names, []string{"a", "b"}) || w.CountCalls("--status", "c") != 0 {
				t.Errorf("results of %v; want names %q, no calls of --status of c", r.names, []string{"a", "b"})
			}
		})
	})
	t.Run("SC-02 SC-07 nothing is probed without a list", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Once(1, "o"))
		w.ListErr = errors.New("locked")
		withWorker(t, newScanner(w, nil, w), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(messages.Scan{Gen: 1})
			if r := resultsOf(parent.Take())[1]; r.completed == nil || r.completed.Listed || r.completed.Err == nil {
				t.Errorf("%+v; want completed, not listed, an error", r.completed)
			}
			w.Set(func() { w.ListErr = nil })
			order(messages.Scan{Gen: 2})
			if r := resultsOf(parent.Take())[2]; r.completed == nil || !r.completed.Listed || r.completed.Err != nil || len(r.completed.List.Plugins) != 1 {
				t.Errorf("%+v; want completed, listed, no error, 1 plugin", r.completed)
			}
			if n := w.CountCalls("--status", ""); n != 0 {
				t.Errorf("%d probes, want 0", n)
			}
		})
	})
}

func TestScannerFails(t *testing.T) {
	t.Run("a panic in the manager ends that order only", func(t *testing.T) {
		w := hungWorld("a", "b")
		withWorker(t, newScanner(panicsOn{w, "b"}, nil, w), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(messages.Scan{Gen: 1, Only: []string{"a", "hung"}})
			order(messages.Scan{Gen: 2, Only: []string{"b"}})
			got := resultsOf(parent.Take())
			if r := got[2]; r.completed == nil || r.completed.Err == nil || !r.completed.Listed {
				t.Errorf("the order that panicked: %+v; want completed, an error, listed", r)
			}
			if r := got[1]; r.completed != nil || !slices.Equal(r.names, []string{"a"}) {
				t.Errorf("the other order: %+v; want not completed, names %q", r, []string{"a"})
			}
			actorstest.Advance(time.Hour)
			if r := resultsOf(parent.Take())[1]; r.completed == nil || r.completed.Err != nil || !slices.Equal(r.names, []string{"hung"}) {
				t.Errorf("the end of the other order: %+v; want completed, no error, names %q", r, []string{"hung"})
			}
			order(messages.Scan{Gen: 3, Only: []string{"b"}}) // b does not count as still being probed
			if r := resultsOf(parent.Take())[3]; r.completed == nil || r.completed.Err == nil {
				t.Errorf("the next order: %+v; want completed, an error", r)
			}
		})
	})
	t.Run("a stopped Scanner cancels the probes of all orders", func(t *testing.T) {
		w := hungWorld("a", "slow")
		w.ProbeTime["slow"] = 50 * time.Second
		withWorker(t, newScanner(w, nil, w), func(t *testing.T, _ *actorstest.Probe, order func(any)) {
			order(messages.Scan{Gen: 1, Only: []string{"hung"}})
			order(messages.Scan{Gen: 2, Only: []string{"slow"}})
		})
		if got := w.CalledPlugins("cancelled --status"); !slices.Equal(got, []string{"hung", "slow"}) {
			t.Errorf("cancelled %v, want %q", got, []string{"hung", "slow"})
		}
	})
	t.Run("a crash loses all orders, and the next ones are executed", func(t *testing.T) {
		w := hungWorld("a")
		clock := &crashing{World: w}
		withWorker(t, newScanner(w, nil, clock), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(messages.Scan{Gen: 1})
			actorstest.Advance(5 * time.Second)
			parent.Take()
			clock.crash()
			order(messages.Scan{Gen: 2, Only: []string{"a"}})
			order(messages.Scan{Gen: 3, Only: []string{"a"}})
			actorstest.Advance(2 * time.Hour)
			got := resultsOf(parent.Take())
			if len(got) != 1 {
				t.Errorf("answers to %+v, want to the last order only", got)
			}
			if r := got[3]; r.completed == nil || !slices.Equal(r.names, []string{"a"}) {
				t.Errorf("the next order: %+v; want completed, names %q", r, []string{"a"})
			}
			if n := w.CountCalls("cancelled --status", "hung"); n != 1 {
				t.Errorf("%d probes cancelled, want 1", n)
			}
		})
	})
}

// panicsOn is a manager that panics when it probes one plugin.
type panicsOn struct {
	*actorstest.World
	name string
}

func (m panicsOn) Probe(ctx context.Context, ps []plugin.Plugin, each func(plugin.Probe)) error {
	for _, p := range ps {
		if p.Name == m.name {
			panic("bug")
		}
	}
	return m.World.Probe(ctx, ps, each)
}
