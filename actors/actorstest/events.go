package actorstest

import (
	"context"
	"testing/synctest"
	"time"

	"pluginsupervisor/plugin"
)

// Watched is the part of a World that reports by event: exits and heartbeats.
type Watched struct {
	Runs    map[string]uint64           // the number of each plugin's present run
	Left    map[string][]plugin.Process // processes that run
	Outside map[string][]plugin.Process // processes that another program started
	Targets []plugin.Target             // of the first Adopt
	Beating []plugin.Plugin             // whose heartbeats are watched
	Reach   int                         // how many plugins one Adopt reaches; 0: all
	Exited  func(plugin.Exit)           // reports an exit; nil: exits are not followed
	Heard   func(plugin.Pulse)          // reports a heartbeat; nil: heartbeats are not followed
}

// WatchEvents makes the World report exits and heartbeats by event: the ports
// Watcher and Pulses are Exits{w} and Pulses{w}.
func (w *World) WatchEvents() *World {
	w.Watched = &Watched{Runs: map[string]uint64{}, Left: map[string][]plugin.Process{}}
	return w
}

// Exits is the port Watcher of a World, Pulses its port Pulses.
type (
	Exits  struct{ *World }
	Pulses struct{ *World }
)

// Adopt returns what runs of each plugin.
func (w Exits) Adopt(_ context.Context, ts []plugin.Target) (all []plugin.Sighting) {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := w.Watched.Targets == nil
	if first {
		w.Watched.Targets = ts
	}
	if w.Watched.Reach > 0 {
		ts = ts[:min(len(ts), w.Watched.Reach)]
	}
	for _, t := range ts {
		if first { // later ones are reported only
			w.Watched.Runs[t.Plugin.Name]++
		}
		if ps := w.Watched.Outside[t.Plugin.Name]; t.Outside && ps != nil {
			w.Watched.Runs[t.Plugin.Name]++
			w.Watched.Left[t.Plugin.Name] = ps
		}
		all = append(all, plugin.Sighting{
			Name: t.Plugin.Name, Watch: plugin.WatchCgroup, Life: w.Watched.Runs[t.Plugin.Name], Processes: w.Watched.Left[t.Plugin.Name],
		})
	}
	return all
}

// Follow reports the exits that Exit and ExitPartly bring about.
func (w Exits) Follow(ctx context.Context, exited func(plugin.Exit)) error {
	w.Set(func() { w.Watched.Exited = exited })
	<-ctx.Done()
	return nil
}

// FollowLeaves waits until ctx ends.
func (w Exits) FollowLeaves(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Watch sets which plugins' heartbeats are watched.
func (w Pulses) Watch(ps []plugin.Plugin) { w.Set(func() { w.Watched.Beating = ps }) }

// Follow reports the heartbeats that Pulse brings about.
func (w Pulses) Follow(ctx context.Context, heard func(plugin.Pulse)) error {
	w.Set(func() { w.Watched.Heard = heard })
	<-ctx.Done()
	return nil
}

// addProcesses returns a verb's outcome with the processes that it left.
func (w *World) addProcesses(o plugin.Outcome, name string) plugin.Outcome {
	if w.Watched != nil && w.Running[name] {
		w.Watched.Runs[name]++
		o.Life = w.Watched.Runs[name]
		o.Processes = []plugin.Process{{PID: 1000 + int(o.Life), Born: 1, Boot: "b"}}
		w.Watched.Left[name] = o.Processes
	}
	return o
}

// Exit makes plugins exit and reports it as the kernel does.
func (w *World) Exit(e plugin.Exit, names ...string) {
	for _, name := range names {
		w.mu.Lock()
		w.Running[name] = false
		delete(w.Watched.Left, name)
		e.Name, e.Life, e.At = name, w.Watched.Runs[name], time.Now()
		report := w.Watched.Exited
		w.mu.Unlock()
		report(e)
	}
	synctest.Wait()
}

// ExitPartly makes one process of a plugin exit; its others keep running.
func (w *World) ExitPartly(e plugin.Exit, name string) {
	w.mu.Lock()
	e.Name, e.Life, e.At, e.Partial = name, w.Watched.Runs[name], time.Now(), true
	report := w.Watched.Exited
	w.mu.Unlock()
	report(e)
	synctest.Wait()
}

// Pulse reports a heartbeat.
func (w *World) Pulse(p plugin.Pulse) {
	p.At = time.Now()
	p.Age = max(p.At.Sub(p.Beat.Last), 0)
	w.mu.Lock()
	report := w.Watched.Heard
	w.mu.Unlock()
	report(p)
	synctest.Wait()
}
