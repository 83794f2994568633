package actors

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"pluginsupervisor/plugin"
)

// world is a host with plugins and a control plane, in memory and in virtual time.
type world struct {
	mu       sync.Mutex
	plugins  []plugin.Plugin
	damaged  []plugin.Damage
	listErr  error
	listTime time.Duration // how long a list takes

	running   map[string]bool
	probeTime map[string]time.Duration // how long --status takes
	probeErr  error
	says      map[string]plugin.Status // what --status is made to say
	hostFails map[string]bool          // verbs that the host cannot run
	startTime map[string]time.Duration
	fetchTime map[string]time.Duration
	fetchErr  error
	packages  func(o plugin.Change) error // whether the package of an offer can be taken; nil: it can

	switchTime time.Duration          // how long an upgrade can be interrupted
	interrupts []bool                 // LeaveStopped of each interruption
	permits    []plugin.Status        // the status before, of each change
	starts     func(name string) bool // whether --start works; nil: always
	did        []action
	lingers    time.Duration // how long a cancelled verb's processes take to die
	startsNow  int
	startsMax  int
	busy       map[string]int // verbs under way, by plugin
	twice      []string       // violations: a plugin that was touched twice at once, or started while it ran

	beats map[string]time.Time // last heartbeat; absent: no file
	bad   map[string]bool      // unreadable heartbeat

	reports  []sentReport
	asked    int                                // reports ever
	answer   func(n int) (plugin.Answer, error) // of the n-th report, from 1
	checks   []time.Time
	updates  func(n int) (plugin.Updates, error)
	assignAt time.Duration // when updates are assigned
	events   []sentEvent
	eventErr func(n int) error
	latency  time.Duration

	upgrade func(o plugin.Change) plugin.ChangeResult
	watched *watched // nil: nothing is told by event
	others  *otherPrograms
	forced  int             // starts that were forced
	removed map[string]bool // whose record a verb finds gone
	lists   int
	saved   plugin.Memory
	saves   int
	journal []plugin.Entry
	saveErr error
	offset  time.Duration // wall clock − virtual clock
}

type action struct {
	at   time.Duration
	verb string
	name string
}

type sentReport struct {
	at      time.Duration
	entries []plugin.ReportEntry
}

type sentEvent struct {
	at    time.Duration
	event plugin.Event
}

// epoch is when every bubble begins.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func since() time.Duration { return time.Since(epoch) }

func persist(id uint64, name string) plugin.Plugin {
	return plugin.Plugin{
		ID: id, Name: name, Version: "1.0", Type: plugin.Persist, OS: "LINUX", Arch: "All",
		Timeout: time.Minute, HeartbeatInterval: time.Minute,
	}
}

func once(id uint64, name string) plugin.Plugin {
	p := persist(id, name)
	p.Type = plugin.Once
	return p
}

func newWorld(ps ...plugin.Plugin) *world {
	w := &world{
		plugins: ps, running: map[string]bool{}, probeTime: map[string]time.Duration{}, startTime: map[string]time.Duration{},
		fetchTime: map[string]time.Duration{},
		beats:     map[string]time.Time{}, bad: map[string]bool{}, busy: map[string]int{},
		saved: plugin.Memory{
			Acked: map[string]plugin.Acked{}, Pending: map[string]plugin.PendingReport{}, Events: map[uint64]plugin.Event{}, Restarts: map[string]plugin.RestartRecord{},
			Blocked: map[string]plugin.Blocked{},
		},
	}
	for _, p := range ps {
		w.running[p.Name] = true
	}
	return w
}

func (w *world) do(verb, name string) {
	w.did = append(w.did, action{since(), verb, name})
}

// set changes the world from the test's side.
func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *world) List(ctx context.Context) (plugin.List, error) {
	w.mu.Lock()
	took, read := w.listTime, slices.Clone(w.plugins)
	w.lists++
	w.mu.Unlock()
	if took > 0 {
		if !elapse(ctx, took) {
			return plugin.List{}, ctx.Err()
		}
		return plugin.List{Plugins: read}, nil // as it was read
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listErr != nil {
		return plugin.List{}, w.listErr
	}
	return plugin.List{Plugins: slices.Clone(w.plugins), Damaged: slices.Clone(w.damaged)}, nil
}

func (w *world) Probe(ctx context.Context, ps []plugin.Plugin, each func(plugin.Probe)) error {
	var wg sync.WaitGroup
	var one sync.Mutex
	for _, p := range ps {
		if w.quick(p) {
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
	return w.probeErr
}

// quick tells whether a probe takes no time.
func (w *world) quick(p plugin.Plugin) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.probeTime[p.Name] == 0
}

func (w *world) Check(ctx context.Context, p plugin.Plugin) plugin.Probe {
	w.mu.Lock()
	took := w.probeTime[p.Name]
	w.do("--status", p.Name)
	w.mu.Unlock()
	cause := "exit 1"
	if took > p.Timeout {
		took, cause = p.Timeout, "no answer in "+p.Timeout.String()
	}
	if !elapse(ctx, took) {
		w.set(func() { w.do("cancelled --status", p.Name) })
		return plugin.Probe{Plugin: p, Status: plugin.StatusFailed, Cause: ctx.Err().Error()}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hostFails["--status"] {
		return plugin.Probe{Plugin: p, Cause: "cannot start: too many open files", HostFault: true}
	}
	if says, ok := w.says[p.Name]; ok {
		return plugin.Probe{Plugin: p, Status: says, At: time.Now()}
	}
	if w.running[p.Name] && cause == "exit 1" {
		return plugin.Probe{Plugin: p, Status: plugin.StatusRunning, At: time.Now()}
	}
	return plugin.Probe{Plugin: p, Status: plugin.StatusFailed, At: time.Now(), Cause: cause, NoAnswer: cause != "exit 1"}
}

// elapse lets a port's work take its time; it returns false when ctx ended first.
func elapse(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return ctx.Err() == nil
	}
	return waitFor(ctx, d)
}

func (w *world) Start(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return w.verb(ctx, p, plugin.VerbStart, func() bool {
		ok := w.starts == nil || w.starts(p.Name)
		w.running[p.Name] = ok
		return ok
	})
}

func (w *world) ForceStart(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	w.set(func() {
		w.forced++
		w.startTime[p.Name] = 0
	})
	return w.Start(ctx, p)
}

func (w *world) Stop(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return w.verb(ctx, p, plugin.VerbStop, func() bool {
		w.running[p.Name] = false
		if w.watched != nil {
			delete(w.watched.left, p.Name)
		}
		return true
	})
}

func (w *world) Restart(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return w.verb(ctx, p, plugin.VerbRestart, func() bool { w.running[p.Name] = true; return true })
}

func (w *world) verb(ctx context.Context, p plugin.Plugin, v plugin.Verb, effect func() bool) plugin.Outcome {
	w.mu.Lock()
	w.do(string(v), p.Name)
	took := w.startTime[p.Name]
	w.startsNow++
	w.startsMax = max(w.startsMax, w.startsNow)
	w.touch(string(v), p.Name)
	w.mu.Unlock()
	ok := elapse(ctx, took)
	if !ok {
		time.Sleep(w.lingers)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.startsNow--
	w.busy[p.Name]--
	if !ok {
		w.do("cancelled "+string(v), p.Name)
		return plugin.Outcome{Verb: v, ExitCode: -1, Err: ctx.Err()}
	}
	if w.removed[p.Name] {
		return plugin.Outcome{Verb: v, ExitCode: -1, Err: plugin.ErrNotInstalled}
	}
	if w.hostFails[string(v)] {
		return plugin.Outcome{Verb: v, ExitCode: -1, Err: errors.New("cannot start: too many open files"), HostFault: true}
	}
	if !effect() {
		return plugin.Outcome{Verb: v, ExitCode: 3, Err: errors.New("exit 3")}
	}
	return w.left(plugin.Outcome{Verb: v}, p.Name)
}

// touch notes that a verb works on a plugin.
func (w *world) touch(verb, name string) {
	if w.busy[name]++; w.busy[name] > 1 {
		w.twice = append(w.twice, since().String()+" "+verb+" "+name+" beside another verb")
	}
	if verb == string(plugin.VerbStart) && w.running[name] {
		w.twice = append(w.twice, since().String()+" started while it runs: "+name)
	}
}

func (w *world) ConfirmStart(ctx context.Context, p plugin.Plugin) plugin.Probe {
	w.set(func() { w.do("confirm start", p.Name) })
	return w.Check(ctx, p)
}

func (w *world) Fetch(ctx context.Context, o plugin.Change) error {
	w.mu.Lock()
	w.do("fetch "+o.Version, o.Name)
	took, err := w.fetchTime[o.Name], w.fetchErr
	if w.packages != nil {
		err = w.packages(o)
	}
	w.mu.Unlock()
	if !elapse(ctx, took) {
		return ctx.Err()
	}
	return err
}

func (w *world) Discard(o plugin.Change) { w.set(func() { w.do("discard "+o.Version, o.Name) }) }

// undo is what an interrupted change leaves: the old version.
func (w *world) undo(o plugin.Change, i plugin.Interruption) plugin.ChangeResult {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy[o.Name]--
	w.interrupts = append(w.interrupts, i.LeaveStopped)
	w.running[o.Name] = !i.LeaveStopped
	done := plugin.FailedChange(plugin.ErrInterrupted)
	for _, p := range w.plugins {
		if p.Name == o.Name {
			done.Plugin, done.Previous, done.Status = p, p.Version, plugin.StatusFailed
		}
	}
	if !i.LeaveStopped {
		done.Status = plugin.StatusRunning
		done.Outcome = w.left(done.Outcome, o.Name)
	}
	return done
}

func (w *world) busyAgain(name string) { w.set(func() { w.busy[name]++ }) }

func (w *world) Change(ctx context.Context, o plugin.Change, permit plugin.ChangePermit) plugin.ChangeResult {
	w.mu.Lock()
	w.do("upgrade "+o.Version, o.Name)
	took, upgrade := w.startTime[o.Name], w.upgrade
	w.permits = append(w.permits, permit.StatusBefore)
	w.touch("--upgrade", o.Name)
	proving := w.switchTime
	w.mu.Unlock()
	ok := elapse(ctx, took)
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
	w.set(func() { w.busy[o.Name]-- })
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
	for i := range w.plugins {
		if p := &w.plugins[i]; p.Name == o.Name {
			previous := p.Version
			p.Version = o.Version
			w.running[o.Name] = true
			return plugin.ChangeResult{Outcome: plugin.Outcome{Verb: plugin.VerbUpgrade, Output: "done"}, Plugin: *p, Previous: previous, Status: plugin.StatusRunning}
		}
	}
	return plugin.FailedChange(errors.New("version folder missing"))
}

func (w *world) Read(_ context.Context, ps []plugin.Plugin, _ time.Time) []plugin.Heartbeat {
	w.mu.Lock()
	defer w.mu.Unlock()
	beats := make([]plugin.Heartbeat, len(ps))
	for i, p := range ps {
		beats[i].Plugin = p
		beats[i].Last, beats[i].Found = w.beats[p.Name]
		if w.bad[p.Name] {
			beats[i].Found, beats[i].Err = true, errors.New("not a number")
		}
	}
	return beats
}

func (w *world) Report(ctx context.Context, r plugin.Report) (plugin.Answer, error) {
	w.mu.Lock()
	w.reports = append(w.reports, sentReport{since(), slices.Clone(r.Entries)})
	w.asked++
	n, answer, latency := w.asked, w.answer, w.latency
	w.mu.Unlock()
	if !elapse(ctx, latency) {
		return plugin.Answer{}, ctx.Err()
	}
	if answer == nil {
		return plugin.Answer{}, nil
	}
	return answer(n)
}

func (w *world) CheckUpdates(context.Context, []plugin.Plugin) (plugin.Updates, error) {
	w.mu.Lock()
	w.checks = append(w.checks, time.Now())
	n, updates := len(w.checks), w.updates
	w.mu.Unlock()
	if updates == nil {
		return plugin.Updates{}, nil
	}
	return updates(n)
}

func (w *world) Send(_ context.Context, e plugin.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, sentEvent{since(), e})
	if w.eventErr != nil {
		return w.eventErr(len(w.events))
	}
	return nil
}

// Save applies the changes as the real state does, so that a later system can begin with them.
func (w *world) Save(c plugin.Changes) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.saveErr != nil {
		return w.saveErr
	}
	w.saves++
	if c.Settings != nil {
		w.saved.Settings = *c.Settings
	}
	apply(w.saved.Acked, c.Acked)
	apply(w.saved.Pending, c.Pending)
	apply(w.saved.Events, c.Events)
	apply(w.saved.Restarts, c.Restarts)
	apply(w.saved.Blocked, c.Blocked)
	for _, e := range c.Entries {
		w.journal = append(w.journal, e)
		w.saved.Entries = e.Seq
		if len(w.journal) > journalLimit {
			w.journal = append(w.journal[:0], w.journal[journalLimit/2:]...)
		}
	}
	return nil
}

// journalLimit bounds what the world remembers of the journal.
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

func (w *world) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.offset).Round(0)
}

func (w *world) Moment() plugin.Moment {
	return plugin.Moment{Wall: w.Now(), BootID: "b", Uptime: since()}
}
