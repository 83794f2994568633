package actors

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

// errnos are the errors of the kernel when the host lacks something, or when a file
// cannot be used for now (EV-24).
var errnos = [...]string{
	"resource temporarily unavailable", // EAGAIN
	"cannot allocate memory",           // ENOMEM
	"too many open files",              // EMFILE
	"no space left on device",          // ENOSPC
	"input/output error",               // EIO
	"read-only file system",            // EROFS
	"text file busy",                   // ETXTBSY
}

// injected is a fault of one method of the ports.
type injected struct {
	method string
	errno  string
	once   bool // only the first call fails; else each does, until end is called
	some   bool // only plugins of the left side fail

	mu    sync.Mutex
	on    bool
	hits  int
	began chan struct{} // closed by begin
}

func (f *injected) begin() {
	f.mu.Lock()
	f.on = true
	f.mu.Unlock()
	close(f.began)
}

func (f *injected) end() (hits int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on = false
	return f.hits
}

// call begins a call of a method, and returns a function that returns its error for a
// plugin; "" is for a method about no plugin.
func (f *injected) call(method string) func(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.method != method || !f.on || f.once && f.hits > 0 {
		return func(string) error { return nil }
	}
	return func(name string) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.some && !strings.HasPrefix(name, left) {
			return nil
		}
		f.hits++
		return errors.New(f.errno)
	}
}

func (f *injected) outcome(method string, p plugin.Plugin, do func() plugin.Outcome) plugin.Outcome {
	if err := f.call(method)(p.Name); err != nil {
		return plugin.Outcome{ExitCode: -1, Err: err, HostFault: true}
	}
	return do()
}

func (f *injected) probe(method string, p plugin.Plugin, do func() plugin.Probe) plugin.Probe {
	if err := f.call(method)(p.Name); err != nil {
		return plugin.Probe{Plugin: p, At: time.Now(), Cause: err.Error(), HostFault: true}
	}
	return do()
}

// follow runs a source of events until the fault makes it fail.
func (f *injected) follow(ctx context.Context, method string, do func(context.Context) error) error {
	fails := f.call(method)
	if err := fails(""); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- do(ctx) }()
	if f.method != method {
		return <-ended
	}
	select {
	case err := <-ended:
		return err
	case <-f.began:
	}
	if err := f.call(method)(""); err != nil {
		cancel()
		<-ended
		return err
	}
	return <-ended
}

// The ports of a world, with the fault. The real parts wrap the errors in the same way:
// internal/process marks commands that the host could not run, internal/heartbeat
// files that it could not read.
type (
	faultyManager struct {
		*actorstest.World
		f *injected
	}
	faultyWatcher struct {
		actorstest.Watcher
		f *injected
	}
	faultyHeartbeatEvents struct {
		actorstest.HeartbeatEvents
		f *injected
	}
	faultyOtherPrograms struct {
		*actorstest.OtherPrograms
		f *injected
	}
	faultyHeartbeats struct {
		*actorstest.World
		f *injected
	}
	faultyControlPlane struct {
		*actorstest.World
		f *injected
	}
	faultyMemory struct {
		*actorstest.World
		f *injected
	}
)

func faultyPorts(w *actorstest.World, f *injected) Ports {
	p := worldPorts(w)
	p.Manager, p.Heartbeats, p.ControlPlane, p.Memory = faultyManager{w, f}, faultyHeartbeats{w, f}, faultyControlPlane{w, f}, faultyMemory{w, f}
	p.Watcher, p.HeartbeatEvents, p.OtherPrograms = faultyWatcher{w.Watcher(), f}, faultyHeartbeatEvents{w.HeartbeatEvents(), f}, faultyOtherPrograms{w.WithOtherPrograms(), f}
	return p
}

func (m faultyManager) List(ctx context.Context) (plugin.List, error) {
	if err := m.f.call("Manager.List")(""); err != nil {
		return plugin.List{}, fmt.Errorf("read plugin database: %w", err)
	}
	return m.World.List(ctx)
}

func (m faultyManager) Probe(ctx context.Context, ps []plugin.Plugin, each func(plugin.Probe)) error {
	fails := m.f.call("Manager.Probe")
	var healthy []plugin.Plugin
	for _, p := range ps {
		if err := fails(p.Name); err != nil {
			each(plugin.Probe{Plugin: p, At: time.Now(), Cause: err.Error(), HostFault: true})
		} else {
			healthy = append(healthy, p)
		}
	}
	return m.World.Probe(ctx, healthy, each)
}

func (m faultyManager) Check(ctx context.Context, p plugin.Plugin) plugin.Probe {
	return m.f.probe("Manager.Check", p, func() plugin.Probe { return m.World.Check(ctx, p) })
}

func (m faultyManager) ConfirmStart(ctx context.Context, p plugin.Plugin) plugin.Probe {
	return m.f.probe("Manager.ConfirmStart", p, func() plugin.Probe { return m.World.ConfirmStart(ctx, p) })
}

func (m faultyManager) Start(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return m.f.outcome("Manager.Start", p, func() plugin.Outcome { return m.World.Start(ctx, p) })
}

func (m faultyManager) Stop(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return m.f.outcome("Manager.Stop", p, func() plugin.Outcome { return m.World.Stop(ctx, p) })
}

func (m faultyManager) Restart(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	return m.f.outcome("Manager.Restart", p, func() plugin.Outcome { return m.World.Restart(ctx, p) })
}

func (m faultyManager) Fetch(ctx context.Context, c plugin.Change) error {
	if err := m.f.call("Manager.Fetch")(c.Name); err != nil {
		return fmt.Errorf("fetch package: %w", err)
	}
	return m.World.Fetch(ctx, c)
}

func (m faultyManager) Change(ctx context.Context, c plugin.Change, permit plugin.ChangePermit) plugin.ChangeResult {
	if err := m.f.call("Manager.Change")(c.Name); err != nil {
		failed := plugin.FailedChange(err)
		failed.HostFault = true
		return failed
	}
	return m.World.Change(ctx, c, permit)
}

func (w faultyWatcher) Adopt(ctx context.Context, ts []plugin.WatchTarget) []plugin.Observed {
	fails := w.f.call("Watcher.Adopt")
	var healthy []plugin.WatchTarget
	for _, t := range ts {
		if fails(t.Plugin.Name) != nil {
			break // plugins that were not reached are missing at the end
		}
		healthy = append(healthy, t)
	}
	return w.Watcher.Adopt(ctx, healthy)
}

func (w faultyWatcher) Follow(ctx context.Context, exited func(plugin.Exit)) error {
	return w.f.follow(ctx, "Watcher.Follow", func(ctx context.Context) error {
		defer w.Set(func() { w.Watched.ExitFollower = nil })
		return w.Watcher.Follow(ctx, exited)
	})
}

func (w faultyWatcher) FollowLeaves(ctx context.Context) error {
	return w.f.follow(ctx, "Watcher.FollowLeaves", w.Watcher.FollowLeaves)
}

func (p faultyHeartbeatEvents) Follow(ctx context.Context, heard func(plugin.HeartbeatEvent)) error {
	return p.f.follow(ctx, "HeartbeatEvents.Follow", func(ctx context.Context) error {
		defer p.Set(func() { p.Watched.HeartbeatFollower = nil })
		return p.HeartbeatEvents.Follow(ctx, heard)
	})
}

func (o faultyOtherPrograms) FollowLocks(ctx context.Context, freed func(string)) error {
	return o.f.follow(ctx, "OtherPrograms.FollowLocks", func(ctx context.Context) error { return o.OtherPrograms.FollowLocks(ctx, freed) })
}

func (o faultyOtherPrograms) FollowRecords(ctx context.Context, changed func()) error {
	return o.f.follow(ctx, "OtherPrograms.FollowRecords", func(ctx context.Context) error { return o.OtherPrograms.FollowRecords(ctx, changed) })
}

func (h faultyHeartbeats) Read(ctx context.Context, ps []plugin.Plugin, now time.Time) []plugin.Heartbeat {
	fails := h.f.call("Heartbeats.Read")
	beats := h.World.Read(ctx, ps, now)
	for i, p := range ps {
		if err := fails(p.Name); err != nil {
			beats[i] = plugin.Heartbeat{Plugin: p, Found: true, Err: err, HostFault: true}
		}
	}
	return beats
}

func (c faultyControlPlane) Report(ctx context.Context, r plugin.Report) (plugin.Answer, error) {
	if err := c.f.call("ControlPlane.Report")(""); err != nil {
		return plugin.Answer{}, fmt.Errorf("send report: socket: %w", err)
	}
	return c.World.Report(ctx, r)
}

func (c faultyControlPlane) CheckUpdates(ctx context.Context, ps []plugin.Plugin) (plugin.Updates, error) {
	if err := c.f.call("ControlPlane.CheckUpdates")(""); err != nil {
		return plugin.Updates{}, fmt.Errorf("check for updates: socket: %w", err)
	}
	return c.World.CheckUpdates(ctx, ps)
}

func (c faultyControlPlane) Send(ctx context.Context, e plugin.Event) error {
	if err := c.f.call("ControlPlane.Send")(""); err != nil {
		return fmt.Errorf("send event: socket: %w", err)
	}
	return c.World.Send(ctx, e)
}

func (m faultyMemory) Save(c plugin.Changes) error {
	if err := m.f.call("Memory.Save")(""); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return m.World.Save(c)
}

// injector holds the permitted effects of a fault of a method.
type injector struct {
	// late are the goals that may be reached late, for plugins that the fault
	// names, or for all if it names none.
	late        []string
	lateAtStart []string // the same for a fault that exists from the start
	// passing is the reason why status need not show the fault as long as it lasts;
	// it must show it once.
	passing string
	// silent is the reason why status need not show the fault.
	silent string
}

// injectors holds each method of the ports that can fail.
var injectors = map[string]injector{
	"Manager.List":                {late: []string{"quiet", "hang", "update"}, lateAtStart: []string{"exit", "stop", "op"}}, // about plugins that are not listed yet
	"Manager.Probe":               {late: []string{"quiet", "hang"}},
	"Manager.Check":               {late: []string{"exit", "quiet", "hang", "stop"}, passing: "a scan ran --status instead"},
	"Manager.Start":               {late: []string{"exit", "quiet"}},
	"Manager.Stop":                {late: []string{"stop"}},
	"Manager.Restart":             {late: []string{"hang", "op"}},
	"Manager.ConfirmStart":        {passing: "the next attempt finds the plugin running"},
	"Manager.Fetch":               {late: []string{"update", "request"}},
	"Manager.Change":              {late: []string{"update", "request"}},
	"Watcher.Adopt":               {silent: "plugins that were not reached are searched for at the next scan", lateAtStart: []string{"exit"}},
	"Watcher.Follow":              {late: []string{"exit"}}, // found by scans meanwhile
	"Watcher.FollowLeaves":        {},
	"HeartbeatEvents.Follow":      {late: []string{"hang"}},          // found by pulls meanwhile
	"OtherPrograms.FollowLocks":   {},                                // the locks are checked anyway
	"OtherPrograms.FollowRecords": {},                                // changes are found by scans meanwhile
	"Heartbeats.Read":             {late: []string{"quiet", "hang"}}, // a pull may find them before a scan
	"ControlPlane.Report":         {},
	"ControlPlane.CheckUpdates":   {late: []string{"update"}},
	"ControlPlane.Send":           {},
	"Memory.Save":                 {},
}

// cannotFail holds the methods that return no error, each with the reason.
var cannotFail = map[string]string{
	"Manager.ForceStart":    "fails as Start does, in the same attempt",
	"OtherPrograms.WorkOn":  "a lock that cannot be checked counts as free",
	"Manager.Discard":       "deletes files, and leftovers are deleted later",
	"HeartbeatEvents.Watch": "sets the plugins for Follow",
	"Meter.Observe":         "counts in memory",
	"Clock.Now":             "reads a clock",
	"Clock.Moment":          "reads clocks",
}

// portMethods returns the methods of all ports, and for each whether its arguments
// name plugins.
func portMethods() map[string]bool {
	about := map[reflect.Type]bool{
		reflect.TypeFor[plugin.Plugin](): true, reflect.TypeFor[plugin.Change](): true, reflect.TypeFor[plugin.WatchTarget](): true,
	}
	methods := map[string]bool{}
	for port := range reflect.TypeFor[Ports]().Fields() {
		if port.Type.Kind() != reflect.Interface {
			continue
		}
		for m := range port.Type.Methods() {
			names := false
			for in := range m.Type.Ins() {
				if in.Kind() == reflect.Slice {
					in = in.Elem()
				}
				names = names || about[in]
			}
			methods[port.Name+"."+m.Name] = names
		}
	}
	methods["ControlPlane.CheckUpdates"], methods["Watcher.Adopt"] = false, false // one for all
	return methods
}

// EV-24: each method of the ports has its fault, or the reason why it has none.
func TestEachPortHasItsFault(t *testing.T) {
	methods := portMethods()
	for m := range methods {
		_, fails := injectors[m]
		reason := cannotFail[m]
		if fails == (reason != "") {
			t.Errorf("%s has an injector: %v, a reason why it cannot fail: %v; want exactly one", m, fails, reason != "")
		}
	}
	for m := range injectors {
		if _, known := methods[m]; !known {
			t.Errorf("%s has an injector, want it to be a method of a port", m)
		}
	}
}
