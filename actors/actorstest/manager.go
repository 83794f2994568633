package actorstest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"pluginsupervisor/plugin"
)

// List returns what is installed.
func (w *World) List(ctx context.Context) (plugin.List, error) {
	w.mu.Lock()
	took, read := w.ListTime, slices.Clone(w.Plugins)
	w.ListCount++
	w.mu.Unlock()
	if took > 0 {
		if !Elapse(ctx, took) {
			return plugin.List{}, ctx.Err()
		}
		return plugin.List{Plugins: read}, nil // as it was read
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ListErr != nil {
		return plugin.List{}, w.ListErr
	}
	return plugin.List{Plugins: slices.Clone(w.Plugins), Damaged: slices.Clone(w.Damaged)}, nil
}

// Probe runs `--status` of each plugin.
func (w *World) Probe(ctx context.Context, ps []plugin.Plugin, each func(plugin.Probe)) error {
	var wg sync.WaitGroup
	var one sync.Mutex
	for _, p := range ps {
		if w.isQuick(p) {
			probe := w.Check(ctx, p)
			one.Lock()
			each(probe)
			one.Unlock()
			continue
		}
		wg.Go(func() {
			probe := w.Check(ctx, p)
			one.Lock()
			defer one.Unlock()
			each(probe)
		})
	}
	wg.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ProbeErr
}

// isQuick reports whether a probe takes no time.
func (w *World) isQuick(p plugin.Plugin) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ProbeTime[p.Name] == 0
}

// Check runs `--status` of one plugin.
func (w *World) Check(ctx context.Context, p plugin.Plugin) plugin.Probe {
	w.mu.Lock()
	took := w.ProbeTime[p.Name]
	w.recordCall("--status", p.Name)
	w.mu.Unlock()
	cause := "exit 1"
	if took > p.Timeout {
		took, cause = p.Timeout, "no answer in "+p.Timeout.String()
	}
	if !Elapse(ctx, took) {
		w.Set(func() { w.recordCall("cancelled --status", p.Name) })
		return plugin.Probe{Plugin: p, Status: plugin.StatusFailed, Cause: ctx.Err().Error()}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.HostFaults["--status"] {
		return plugin.Probe{Plugin: p, Cause: "cannot start: too many open files", HostFault: true}
	}
	if says, ok := w.Statuses[p.Name]; ok {
		return plugin.Probe{Plugin: p, Status: says, At: time.Now()}
	}
	if w.Running[p.Name] && cause == "exit 1" {
		return plugin.Probe{Plugin: p, Status: plugin.StatusRunning, At: time.Now()}
	}
	return plugin.Probe{Plugin: p, Status: plugin.StatusFailed, At: time.Now(), Cause: cause, NoAnswer: cause != "exit 1"}
}

// Start runs `--start`.
func (w *World) Start(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return w.runVerb(ctx, p, plugin.VerbStart, func() bool {
		ok := w.StartWorks == nil || w.StartWorks(p.Name)
		w.Running[p.Name] = ok
		return ok
	})
}

// ForceStart runs `--start` at once.
func (w *World) ForceStart(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	w.Set(func() {
		w.ForcedStarts++
		w.VerbTime[p.Name] = 0
	})
	return w.Start(ctx, p)
}

// Stop runs `--stop`.
func (w *World) Stop(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return w.runVerb(ctx, p, plugin.VerbStop, func() bool {
		w.Running[p.Name] = false
		if w.Watched != nil {
			delete(w.Watched.Processes, p.Name)
		}
		return true
	})
}

// Restart runs `--restart`.
func (w *World) Restart(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return w.runVerb(ctx, p, plugin.VerbRestart, func() bool { w.Running[p.Name] = true; return true })
}

// runVerb runs a verb that changes something.
func (w *World) runVerb(ctx context.Context, p plugin.Plugin, v plugin.Verb, effect func() bool) plugin.Outcome {
	w.mu.Lock()
	w.recordCall(string(v), p.Name)
	took := w.VerbTime[p.Name]
	w.parallel++
	w.MaxParallel = max(w.MaxParallel, w.parallel)
	w.noteVerb(string(v), p.Name)
	w.mu.Unlock()
	ok := Elapse(ctx, took)
	if !ok {
		time.Sleep(w.KillTime)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parallel--
	w.Busy[p.Name]--
	if !ok {
		w.recordCall("cancelled "+string(v), p.Name)
		return plugin.Outcome{Verb: v, ExitCode: -1, Err: ctx.Err()}
	}
	if w.NotInstalled[p.Name] {
		return plugin.Outcome{Verb: v, ExitCode: -1, Err: plugin.ErrNotInstalled}
	}
	if w.HostFaults[string(v)] {
		return plugin.Outcome{Verb: v, ExitCode: -1, Err: errors.New("cannot start: too many open files"), HostFault: true}
	}
	if !effect() {
		return plugin.Outcome{Verb: v, ExitCode: 3, Err: errors.New("exit 3")}
	}
	return w.AddProcesses(plugin.Outcome{Verb: v}, p.Name)
}

// noteVerb records that a verb works on a plugin, and what must not happen then.
func (w *World) noteVerb(verb, name string) {
	if w.Busy[name]++; w.Busy[name] > 1 {
		w.Violations = append(w.Violations, Elapsed().String()+" "+verb+" "+name+" beside another verb")
	}
	if verb == string(plugin.VerbStart) && w.Running[name] {
		w.Violations = append(w.Violations, Elapsed().String()+" started while it runs: "+name)
	}
}

// ConfirmStart runs `--status` after a start.
func (w *World) ConfirmStart(ctx context.Context, p plugin.Plugin) plugin.Probe {
	w.Set(func() { w.recordCall("confirm start", p.Name) })
	return w.Check(ctx, p)
}

// Fetch gets the package of a change.
func (w *World) Fetch(ctx context.Context, o plugin.Change) error {
	w.mu.Lock()
	w.recordCall("fetch "+o.Version, o.Name)
	took, err := w.FetchTime[o.Name], w.FetchErr
	if w.OnFetch != nil {
		err = w.OnFetch(o)
	}
	w.mu.Unlock()
	if !Elapse(ctx, took) {
		return ctx.Err()
	}
	return err
}

// Discard records that a package is dropped.
func (w *World) Discard(o plugin.Change) {
	w.Set(func() { w.recordCall("discard "+o.Version, o.Name) })
}

// undoChange returns the result of an interrupted change: the old version is back.
func (w *World) undoChange(o plugin.Change, i plugin.Interruption) plugin.ChangeResult {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Busy[o.Name]--
	w.Interrupts = append(w.Interrupts, i.LeaveStopped)
	w.Running[o.Name] = !i.LeaveStopped
	done := plugin.FailedChange(plugin.ErrInterrupted)
	for _, p := range w.Plugins {
		if p.Name == o.Name {
			done.Plugin, done.Previous, done.Status = p, p.Version, plugin.StatusFailed
		}
	}
	if !i.LeaveStopped {
		done.Status = plugin.StatusRunning
		done.Outcome = w.AddProcesses(done.Outcome, o.Name)
	}
	return done
}

// markBusy records that a change works on a plugin again.
func (w *World) markBusy(name string) { w.Set(func() { w.Busy[name]++ }) }

// Change makes a change, or undoes it when it is interrupted.
func (w *World) Change(ctx context.Context, o plugin.Change, permit plugin.ChangePermit) plugin.ChangeResult {
	w.mu.Lock()
	w.recordCall("upgrade "+o.Version, o.Name)
	took, upgrade := w.VerbTime[o.Name], w.OnChange
	w.StatusesBefore = append(w.StatusesBefore, permit.StatusBefore)
	w.noteVerb("--upgrade", o.Name)
	proving := w.ProveTime
	w.mu.Unlock()
	ok := Elapse(ctx, took)
	if o.Kind == plugin.ChangeUpgrade || o.Kind == plugin.ChangeResume {
		proved := make(chan struct{})
		if proving > 0 {
			defer time.AfterFunc(proving, func() { close(proved) }).Stop()
		} else { // in a bubble, a timer of 0 crashes the race detector of Go 1.26 at times
			close(proved)
		}
		select {
		case i := <-permit.Interrupt:
			return w.undoChange(o, i)
		case <-proved:
		case <-ctx.Done():
			ok = false
		}
	}
	w.Set(func() { w.Busy[o.Name]-- })
	select {
	case i := <-permit.Interrupt:
		w.markBusy(o.Name)
		return w.undoChange(o, i)
	default:
	}
	if !ok {
		return plugin.FailedChange(ctx.Err())
	}
	if upgrade != nil {
		return upgrade(o)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.Plugins {
		if p := &w.Plugins[i]; p.Name == o.Name {
			previous := p.Version
			p.Version = o.Version
			w.Running[o.Name] = true
			return plugin.ChangeResult{Outcome: plugin.Outcome{Verb: plugin.VerbUpgrade, Output: "done"}, Plugin: *p, Previous: previous, Status: plugin.StatusRunning}
		}
	}
	return plugin.FailedChange(errors.New("version folder missing"))
}
