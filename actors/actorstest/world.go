package actorstest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"pluginsupervisor/plugin"
)

// World is a host with plugins, a control plane and a state file, in memory and
// in virtual time. It is the fake of every port of the actors:
//
//	actors.Ports{Manager: w, Heartbeats: w, ControlPlane: w, Memory: w, Clock: w, …}
//
// Watcher and Pulses are faked by Exits and Pulses after WatchEvents, Others by
// what WithOthers returns. A test sets the fields of a new World before the
// actors start, and by Set while they run.
type World struct {
	mu sync.Mutex
	Installed
	Verbs
	Changes
	Server
	State

	Watched       *Watched       // nil: nothing is reported by event, see WatchEvents
	OtherPrograms *OtherPrograms // nil: no other program works on the host, see WithOthers
}

// Installed is what is installed on the host of a World, and what runs.
type Installed struct {
	Plugins  []plugin.Plugin
	Damaged  []plugin.Damage
	Running  map[string]bool
	Beats    map[string]time.Time // last heartbeat; absent: no file
	BadBeats map[string]bool      // heartbeat files that cannot be read

	Lists    int           // calls of List
	ListErr  error         // of each List
	ListTime time.Duration // how long a List takes
}

// Verbs is how the verbs of the plugins of a World behave, and how they were run.
type Verbs struct {
	ProbeTime  map[string]time.Duration // how long `--status` takes
	ProbeErr   error                    // of each Probe as a whole
	Statuses   map[string]plugin.Status // what `--status` answers, whatever runs
	VerbTime   map[string]time.Duration // how long the other verbs take
	KillTime   time.Duration            // how long the processes of a cancelled verb take to exit
	StartWorks func(name string) bool   // reports whether `--start` works; nil: always
	HostFails  map[string]bool          // verbs that the host cannot run
	RecordGone map[string]bool          // plugins whose record a verb does not find

	Calls       []Call
	Forced      int            // starts that were forced
	MaxParallel int            // verbs at once, at most
	Busy        map[string]int // verbs under way, by plugin
	Violations  []string       // two verbs of one plugin at once, or a start of one that runs
	parallel    int            // verbs under way
}

// Changes is how packages are fetched and changes are made in a World.
type Changes struct {
	FetchTime    map[string]time.Duration
	FetchErr     error
	FetchResult  func(c plugin.Change) error          // of each Fetch; nil: FetchErr
	ProveTime    time.Duration                        // how long a change can still be interrupted
	ChangeResult func(c plugin.Change) plugin.Changed // of each Change; nil: the version is switched

	Interrupts []bool          // LeaveStopped of each interruption
	Permits    []plugin.Status // the status before each change
}

// Server is the control plane of a World.
type Server struct {
	Answer   func(n int) (plugin.Answer, error)  // to the n-th report, from 1; nil: an empty answer
	Updates  func(n int) (plugin.Updates, error) // at the n-th update check, from 1; nil: none
	EventErr func(n int) error                   // of the n-th event, from 1; nil: none
	Latency  time.Duration                       // of a report

	Reports     []SentReport
	ReportCount int // reports ever
	Checks      []time.Time
	Events      []SentEvent
}

// State is what the actors of a World have saved, and its wall clock.
type State struct {
	Saved      plugin.Memory // a later system can begin with it
	Saves      int
	Journal    []plugin.Entry
	SaveErr    error         // of each Save
	WallOffset time.Duration // wall clock − virtual clock
}

// Call is one call of a verb or of another method of the manager.
type Call struct {
	At   time.Duration // since the test began
	Verb string
	Name string
}

// SentReport is a report that the control plane received.
type SentReport struct {
	At      time.Duration // since the test began
	Entries []plugin.ReportEntry
}

// SentEvent is an event that the control plane received.
type SentEvent struct {
	At    time.Duration // since the test began
	Event plugin.Event
}

// Persist returns a plugin that has to run and to write heartbeats.
func Persist(id uint64, name string) plugin.Plugin {
	return plugin.Plugin{
		ID: id, Name: name, Version: "1.0", Type: plugin.Persist, OS: "LINUX", Arch: "All",
		Timeout: time.Minute, HeartbeatInterval: time.Minute,
	}
}

// Once returns a plugin that runs once.
func Once(id uint64, name string) plugin.Plugin {
	p := Persist(id, name)
	p.Type = plugin.Once
	return p
}

// NewWorld returns a World in which the plugins are installed and run.
func NewWorld(ps ...plugin.Plugin) *World {
	w := &World{}
	w.Plugins = ps
	w.Running, w.Beats, w.BadBeats = map[string]bool{}, map[string]time.Time{}, map[string]bool{}
	w.ProbeTime, w.VerbTime, w.Busy = map[string]time.Duration{}, map[string]time.Duration{}, map[string]int{}
	w.FetchTime = map[string]time.Duration{}
	w.Saved = plugin.Memory{
		Acked: map[string]plugin.Acked{}, Owed: map[string]plugin.Owed{}, Events: map[uint64]plugin.Event{}, Restarts: map[string]plugin.Restarts{},
		Blocked: map[string]plugin.Blocked{},
	}
	for _, p := range ps {
		w.Running[p.Name] = true
	}
	return w
}

// Lock locks the World: no port is called meanwhile.
func (w *World) Lock() { w.mu.Lock() }

// Unlock ends Lock.
func (w *World) Unlock() { w.mu.Unlock() }

// Set changes the World while the actors run.
func (w *World) Set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *World) record(verb, name string) {
	w.Calls = append(w.Calls, Call{Elapsed(), verb, name})
}

// List returns what is installed.
func (w *World) List(ctx context.Context) (plugin.List, error) {
	w.mu.Lock()
	took, read := w.ListTime, slices.Clone(w.Plugins)
	w.Lists++
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
	w.record("--status", p.Name)
	w.mu.Unlock()
	cause := "exit 1"
	if took > p.Timeout {
		took, cause = p.Timeout, "no answer in "+p.Timeout.String()
	}
	if !Elapse(ctx, took) {
		w.Set(func() { w.record("cancelled --status", p.Name) })
		return plugin.Probe{Plugin: p, Status: plugin.StatusFailed, Cause: ctx.Err().Error()}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.HostFails["--status"] {
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

// Elapse lets the work of a port take its time, and reports whether it passed
// before ctx ended.
func Elapse(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
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
		w.Forced++
		w.VerbTime[p.Name] = 0
	})
	return w.Start(ctx, p)
}

// Stop runs `--stop`.
func (w *World) Stop(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return w.runVerb(ctx, p, plugin.VerbStop, func() bool {
		w.Running[p.Name] = false
		if w.Watched != nil {
			delete(w.Watched.Left, p.Name)
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
	w.record(string(v), p.Name)
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
		w.record("cancelled "+string(v), p.Name)
		return plugin.Outcome{Verb: v, ExitCode: -1, Err: ctx.Err()}
	}
	if w.RecordGone[p.Name] {
		return plugin.Outcome{Verb: v, ExitCode: -1, Err: plugin.ErrNotInstalled}
	}
	if w.HostFails[string(v)] {
		return plugin.Outcome{Verb: v, ExitCode: -1, Err: errors.New("cannot start: too many open files"), HostFault: true}
	}
	if !effect() {
		return plugin.Outcome{Verb: v, ExitCode: 3, Err: errors.New("exit 3")}
	}
	return w.addProcesses(plugin.Outcome{Verb: v}, p.Name)
}

// noteVerb records that a verb works on a plugin, and what it must not do.
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
	w.Set(func() { w.record("confirm start", p.Name) })
	return w.Check(ctx, p)
}

// Fetch gets the package of a change.
func (w *World) Fetch(ctx context.Context, o plugin.Change) error {
	w.mu.Lock()
	w.record("fetch "+o.Version, o.Name)
	took, err := w.FetchTime[o.Name], w.FetchErr
	if w.FetchResult != nil {
		err = w.FetchResult(o)
	}
	w.mu.Unlock()
	if !Elapse(ctx, took) {
		return ctx.Err()
	}
	return err
}

// Discard drops a package.
func (w *World) Discard(o plugin.Change) { w.Set(func() { w.record("discard "+o.Version, o.Name) }) }

// undo returns the result of an interrupted change: the old version is back.
func (w *World) undo(o plugin.Change, i plugin.Interruption) plugin.Changed {
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
		done.Outcome = w.addProcesses(done.Outcome, o.Name)
	}
	return done
}

func (w *World) busyAgain(name string) { w.Set(func() { w.Busy[name]++ }) }

// Change makes a change, or undoes it when it is interrupted.
func (w *World) Change(ctx context.Context, o plugin.Change, permit plugin.Permit) plugin.Changed {
	w.mu.Lock()
	w.record("upgrade "+o.Version, o.Name)
	took, upgrade := w.VerbTime[o.Name], w.ChangeResult
	w.Permits = append(w.Permits, permit.Before)
	w.noteVerb("--upgrade", o.Name)
	proving := w.ProveTime
	w.mu.Unlock()
	ok := Elapse(ctx, took)
	if o.Kind == plugin.ChangeUpgrade || o.Kind == plugin.ChangeResume {
		proved := make(chan struct{}) // no time.After: in a bubble, of 0 it crashes the race detector of Go 1.26 at times
		defer time.AfterFunc(proving, func() { close(proved) }).Stop()
		select {
		case i := <-permit.Interrupt:
			return w.undo(o, i)
		case <-proved:
		case <-ctx.Done():
			ok = false
		}
	}
	w.Set(func() { w.Busy[o.Name]-- })
	select {
	case i := <-permit.Interrupt:
		w.busyAgain(o.Name)
		return w.undo(o, i)
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
			return plugin.Changed{Outcome: plugin.Outcome{Verb: plugin.VerbUpgrade, Output: "done"}, Plugin: *p, Previous: previous, Status: plugin.StatusRunning}
		}
	}
	return plugin.FailedChange(errors.New("version folder missing"))
}

// Read returns the heartbeats of plugins.
func (w *World) Read(_ context.Context, ps []plugin.Plugin, _ time.Time) []plugin.Beat {
	w.mu.Lock()
	defer w.mu.Unlock()
	beats := make([]plugin.Beat, len(ps))
	for i, p := range ps {
		beats[i].Plugin = p
		beats[i].Last, beats[i].Found = w.Beats[p.Name]
		if w.BadBeats[p.Name] {
			beats[i].Found, beats[i].Err = true, errors.New("not a number")
		}
	}
	return beats
}

// Report receives a report.
func (w *World) Report(ctx context.Context, r plugin.Report) (plugin.Answer, error) {
	w.mu.Lock()
	w.Reports = append(w.Reports, SentReport{Elapsed(), slices.Clone(r.Entries)})
	w.ReportCount++
	n, answer, latency := w.ReportCount, w.Answer, w.Latency
	w.mu.Unlock()
	if !Elapse(ctx, latency) {
		return plugin.Answer{}, ctx.Err()
	}
	if answer == nil {
		return plugin.Answer{}, nil
	}
	return answer(n)
}

// CheckUpdates returns the updates that the control plane assigns.
func (w *World) CheckUpdates(context.Context, []plugin.Plugin) (plugin.Updates, error) {
	w.mu.Lock()
	w.Checks = append(w.Checks, time.Now())
	n, updates := len(w.Checks), w.Updates
	w.mu.Unlock()
	if updates == nil {
		return plugin.Updates{}, nil
	}
	return updates(n)
}

// Send receives an event.
func (w *World) Send(_ context.Context, e plugin.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Events = append(w.Events, SentEvent{Elapsed(), e})
	if w.EventErr != nil {
		return w.EventErr(len(w.Events))
	}
	return nil
}

// Save applies the changes as the real state does, so that a later system can
// begin with them.
func (w *World) Save(c plugin.Changes) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.SaveErr != nil {
		return w.SaveErr
	}
	w.Saves++
	if c.Settings != nil {
		w.Saved.Settings = *c.Settings
	}
	apply(w.Saved.Acked, c.Acked)
	apply(w.Saved.Owed, c.Owed)
	apply(w.Saved.Events, c.Events)
	apply(w.Saved.Restarts, c.Restarts)
	apply(w.Saved.Blocked, c.Blocked)
	for _, e := range c.Entries {
		w.Journal = append(w.Journal, e)
		w.Saved.Entries = e.Seq
		if len(w.Journal) > journalLimit {
			w.Journal = append(w.Journal[:0], w.Journal[journalLimit/2:]...)
		}
	}
	return nil
}

// journalLimit is how many entries of the journal a World keeps.
const journalLimit = 10_000

func apply[K comparable, V any](to map[K]V, changes map[K]*V) {
	for k, v := range changes {
		if v == nil {
			delete(to, k)
		} else {
			to[k] = *v
		}
	}
}

// Now returns the wall time.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.WallOffset).Round(0)
}

// Moment returns the time on both clocks.
func (w *World) Moment() plugin.Moment {
	return plugin.Moment{Wall: w.Now(), Boot: "b", Uptime: Elapsed()}
}
