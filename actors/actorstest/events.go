package actorstest

import (
	"context"
	"testing/synctest"
	"time"

	"pluginsupervisor/plugin"
)

// Watched is the part of a World that reports exits and heartbeats by event.
type Watched struct {
	RunIDs       map[string]uint64           // the number of each plugin's present run
	Processes    map[string][]plugin.Process // processes that run
	External     map[string][]plugin.Process // processes that another program started
	AdoptLimit   int                         // how many plugins one Adopt reaches; 0: all
	Targets      []plugin.WatchTarget        // of the first Adopt
	HeartbeatsOf []plugin.Plugin             // whose heartbeats are watched

	ExitFollower      func(plugin.Exit)           // nil: the actors do not follow exits
	HeartbeatFollower func(plugin.HeartbeatEvent) // nil: the actors do not follow heartbeats
}

// WithEvents makes the World report exits and heartbeats by event, and returns it.
func (w *World) WithEvents() *World {
	w.Watched = &Watched{RunIDs: map[string]uint64{}, Processes: map[string][]plugin.Process{}, External: map[string][]plugin.Process{}}
	return w
}

// Watcher is the port Watcher of a World, and HeartbeatEvents its port of that name.
type (
	Watcher         struct{ *World }
	HeartbeatEvents struct{ *World }
)

// Watcher returns the port that reports exits.
func (w *World) Watcher() Watcher { return Watcher{w} }

// HeartbeatEvents returns the port that reports heartbeats.
func (w *World) HeartbeatEvents() HeartbeatEvents { return HeartbeatEvents{w} }

// Adopt returns what runs of each plugin.
func (w Watcher) Adopt(_ context.Context, ts []plugin.WatchTarget) (all []plugin.Observed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := w.Watched.Targets == nil
	if first {
		w.Watched.Targets = ts
	}
	if w.Watched.AdoptLimit > 0 {
		ts = ts[:min(len(ts), w.Watched.AdoptLimit)]
	}
	for _, t := range ts {
		if first { // a later Adopt only reports what runs
			w.Watched.RunIDs[t.Plugin.Name]++
		}
		if ps := w.Watched.External[t.Plugin.Name]; t.IncludeExternal && ps != nil {
			w.Watched.RunIDs[t.Plugin.Name]++
			w.Watched.Processes[t.Plugin.Name] = ps
		}
		all = append(all, plugin.Observed{
			Name: t.Plugin.Name, Watch: plugin.WatchCgroup, RunID: w.Watched.RunIDs[t.Plugin.Name], Processes: w.Watched.Processes[t.Plugin.Name],
		})
	}
	return all
}

// Follow reports the exits that ExitPlugins and ExitProcess make.
func (w Watcher) Follow(ctx context.Context, exited func(plugin.Exit)) error {
	w.Set(func() { w.Watched.ExitFollower = exited })
	<-ctx.Done()
	return nil
}

// FollowLeaves waits until ctx ends.
func (w Watcher) FollowLeaves(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Watch sets which plugins' heartbeats are watched.
func (w HeartbeatEvents) Watch(ps []plugin.Plugin) {
	w.Set(func() { w.Watched.HeartbeatsOf = ps })
}

// Follow reports the heartbeats that ReportHeartbeat makes.
func (w HeartbeatEvents) Follow(ctx context.Context, heard func(plugin.HeartbeatEvent)) error {
	w.Set(func() { w.Watched.HeartbeatFollower = heard })
	<-ctx.Done()
	return nil
}

// AddProcesses returns the outcome of a verb with the processes that it left
// running. An OnChange uses it. The World is locked.
func (w *World) AddProcesses(o plugin.Outcome, name string) plugin.Outcome {
	if w.Watched != nil && w.Running[name] {
		w.Watched.RunIDs[name]++
		o.RunID = w.Watched.RunIDs[name]
		o.Processes = []plugin.Process{{PID: 1000 + int(o.RunID), StartTicks: 1, BootID: "b"}}
		w.Watched.Processes[name] = o.Processes
	}
	return o
}

// ExitPlugins makes plugins exit, reports each exit, and waits until all actors
// are idle. The actors must follow exits by then.
func (w *World) ExitPlugins(e plugin.Exit, names ...string) {
	for _, name := range names {
		w.mu.Lock()
		w.Running[name] = false
		delete(w.Watched.Processes, name)
		e.Name, e.RunID, e.At = name, w.Watched.RunIDs[name], time.Now()
		report := w.Watched.ExitFollower
		w.mu.Unlock()
		report(e)
	}
	synctest.Wait()
}

// ExitProcess makes one process of a plugin exit while others of it keep running.
func (w *World) ExitProcess(e plugin.Exit, name string) {
	w.mu.Lock()
	e.Name, e.RunID, e.At, e.Partial = name, w.Watched.RunIDs[name], time.Now(), true
	report := w.Watched.ExitFollower
	w.mu.Unlock()
	report(e)
	synctest.Wait()
}

// ReportHeartbeat reports a heartbeat, and waits until all actors are idle.
func (w *World) ReportHeartbeat(e plugin.HeartbeatEvent) {
	e.At = time.Now()
	e.Age = max(e.At.Sub(e.Heartbeat.Last), 0)
	w.mu.Lock()
	report := w.Watched.HeartbeatFollower
	w.mu.Unlock()
	report(e)
	synctest.Wait()
}
