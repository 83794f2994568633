package actors

import (
	"context"
	"testing/synctest"
	"time"

	"pluginsupervisor/plugin"
)

// watched is the part of the world that tells by event.
type watched struct {
	exited  func(plugin.Exit)
	heard   func(plugin.HeartbeatEvent)
	lives   map[string]uint64
	left    map[string][]plugin.Process // running when the supervisor came
	outside map[string][]plugin.Process // started by another program
	targets []plugin.WatchTarget
	beating []plugin.Plugin
	reach   int // how many plugins one Adopt reaches in its time; 0: all
}

func (w *world) watch() *world {
	w.watched = &watched{lives: map[string]uint64{}, left: map[string][]plugin.Process{}}
	return w
}

// exits and pulses are the world's ports.
type (
	exits  struct{ *world }
	pulses struct{ *world }
)

func (w exits) Adopt(_ context.Context, ts []plugin.WatchTarget) (all []plugin.Observed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := w.watched.targets == nil
	if first {
		w.watched.targets = ts
	}
	if w.watched.reach > 0 {
		ts = ts[:min(len(ts), w.watched.reach)]
	}
	for _, t := range ts {
		if first { // later it is only told of
			w.watched.lives[t.Plugin.Name]++
		}
		if ps := w.watched.outside[t.Plugin.Name]; t.IncludeExternal && ps != nil {
			w.watched.lives[t.Plugin.Name]++
			w.watched.left[t.Plugin.Name] = ps
		}
		all = append(all, plugin.Observed{
			Name: t.Plugin.Name, Watch: plugin.WatchCgroup, RunID: w.watched.lives[t.Plugin.Name], Processes: w.watched.left[t.Plugin.Name],
		})
	}
	return all
}

func (w exits) Follow(ctx context.Context, exited func(plugin.Exit)) error {
	w.set(func() { w.watched.exited = exited })
	<-ctx.Done()
	return nil
}

func (w exits) FollowLeaves(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (w pulses) Watch(ps []plugin.Plugin) { w.set(func() { w.watched.beating = ps }) }

func (w pulses) Follow(ctx context.Context, heard func(plugin.HeartbeatEvent)) error {
	w.set(func() { w.watched.heard = heard })
	<-ctx.Done()
	return nil
}

// left is a verb's outcome with what it left running, as the tracker tells it.
func (w *world) left(o plugin.Outcome, name string) plugin.Outcome {
	if w.watched != nil && w.running[name] {
		w.watched.lives[name]++
		o.RunID = w.watched.lives[name]
		o.Processes = []plugin.Process{{PID: 1000 + int(o.RunID), StartTicks: 1, BootID: "b"}}
		w.watched.left[name] = o.Processes
	}
	return o
}

// die ends plugins as the kernel would tell it.
func (w *world) die(e plugin.Exit, names ...string) {
	for _, name := range names {
		w.mu.Lock()
		w.running[name] = false
		delete(w.watched.left, name)
		e.Name, e.RunID, e.At = name, w.watched.lives[name], time.Now()
		tell := w.watched.exited
		w.mu.Unlock()
		tell(e)
	}
	synctest.Wait()
}

// losePart ends one process of a plugin; the others live on.
func (w *world) losePart(e plugin.Exit, name string) {
	w.mu.Lock()
	e.Name, e.RunID, e.At, e.Partial = name, w.watched.lives[name], time.Now(), true
	tell := w.watched.exited
	w.mu.Unlock()
	tell(e)
	synctest.Wait()
}

// pulse tells of a heartbeat.
func (w *world) pulse(p plugin.HeartbeatEvent) {
	p.At = time.Now()
	p.Age = max(p.At.Sub(p.Heartbeat.Last), 0)
	w.mu.Lock()
	tell := w.watched.heard
	w.mu.Unlock()
	tell(p)
	synctest.Wait()
}
