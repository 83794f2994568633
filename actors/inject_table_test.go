package actors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

// Each plugin of the table exists twice, on the left and on the right. A fault of
// some plugins is a fault of those on the left.
const (
	left  = "x-"
	right = "y-"
)

// goals are what happens to the plugins of the table, each with the verb that has to
// follow. Nothing happens to one more plugin.
var goals = map[string]string{
	"exit":    "--start",     // it exits, and the kernel reports it
	"quiet":   "--start",     // it exits, and only a scan can find that
	"hang":    "--restart",   // it runs without heartbeats
	"stop":    "--stop",      // an operator stops it
	"op":      "--restart",   // an operator restarts it
	"update":  "upgrade 2.0", // the control plane assigns another version
	"request": "upgrade 2.0", // an operator requests one
}

const (
	faultFrom  = 20 * time.Minute // when a fault begins that does not exist from the start
	faultLasts = 10 * time.Minute
	faultOver  = 20 * time.Minute // the time for recovery after the fault
)

// faulted is the result of a run of the table.
type faulted struct {
	reached map[string]time.Duration // when the verb of a plugin's goal was first run, since the fault began
	verbs   map[string]int           // how often each verb was run of a plugin
	hits    int
	faults  []string // what was wrong
}

func (r *faulted) errorf(format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

// tableWorld returns a world with the plugins of the table, all of which run.
// Updates are assigned from assignAt on.
func tableWorld(assignAt time.Duration) *actorstest.World {
	w := actorstest.NewWorld(actorstest.Once(100, "once")).WithEvents()
	for _, side := range []string{left, right} {
		for _, name := range append(slices.Sorted(maps.Keys(goals)), "healthy") {
			p := actorstest.Persist(uint64(len(w.Plugins)+1), side+name)
			w.Plugins = append(w.Plugins, p)
			w.Running[p.Name] = true
			w.Watched.Processes[p.Name] = []plugin.Process{{PID: 100 + int(p.ID), StartTicks: 1, BootID: "b"}}
		}
	}
	w.OnUpdateCheck = func(int) (plugin.Updates, error) {
		w.Lock()
		defer w.Unlock()
		var all plugin.Updates
		if actorstest.Elapsed() < assignAt {
			return all, nil
		}
		for _, p := range w.Plugins {
			if strings.HasSuffix(p.Name, "-update") && p.Version != "2.0" {
				all.Changes = append(all.Changes, offer(p.Name, "2.0"))
			}
		}
		return all, nil
	}
	return w
}

func tableConfig() Config {
	cfg := testConfig()
	cfg.FirstRun = FirstRun{Scan: 10 * time.Second, Pull: 2 * time.Minute, Update: 30 * time.Second, Inventory: time.Minute}
	cfg.Intervals = plugin.Intervals{Scan: 4 * time.Minute, Pull: 2 * time.Minute, Update: 5 * time.Minute, Inventory: 9 * time.Minute}
	cfg.AvoidWindow = 0
	return cfg
}

// keepHeartbeats writes the heartbeat of each plugin that runs, except those that
// hang until they were restarted.
func keepHeartbeats(ctx context.Context, w *actorstest.World, hangFrom time.Duration) {
	for waitFor(ctx, 20*time.Second) {
		w.Lock()
		restarted := map[string]bool{}
		for _, a := range w.Calls {
			restarted[a.Name] = restarted[a.Name] || a.Verb == "--restart"
		}
		for name, runs := range w.Running {
			if hangs := strings.HasSuffix(name, "-hang") && actorstest.Elapsed() >= hangFrom && !restarted[name]; runs && !hangs {
				w.LastHeartbeat[name] = time.Now()
			}
		}
		w.Unlock()
	}
}

// runTable runs the plugins of the table while a fault lasts.
func runTable(t *testing.T, f *injected, atStart bool) (r faulted) {
	from := faultFrom
	if atStart {
		from = 0
	}
	w := tableWorld(from + time.Minute)
	synctest.Test(t, func(t *testing.T) {
		f.began = make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go keepHeartbeats(ctx, w, from+time.Minute)
		if atStart {
			f.begin()
		}
		s, err := Start(tableConfig(), w.Saved, faultyPorts(w, f))
		if err != nil {
			t.Fatal(err)
		}
		if !atStart {
			actorstest.Advance(from)
			f.begin()
		}
		r.lastFault(t, s, w, f)
		actorstest.Advance(faultOver)
		r.checkEnd(t, s, w)
		drainAll(t, s)

		verbs := countVerbs(w)
		if s, err = Start(tableConfig(), w.Saved, worldPorts(w)); err != nil { // the next process continues with the saved state
			t.Fatal(err)
		}
		actorstest.Advance(15 * time.Minute)
		if again := countVerbs(w); !maps.Equal(verbs, again) {
			r.errorf("the next process ran verbs: %v, want none after %v", again, verbs)
		}
		r.checkEnd(t, s, w)
		drainAll(t, s)
		r.verbs = verbs
	})
	r.reached = goalTimes(w, from)
	r.faults = append(r.faults, w.Violations...)
	return r
}

// lastFault makes everything of the table happen while the fault lasts.
func (r *faulted) lastFault(t *testing.T, s *System, w *actorstest.World, f *injected) {
	const step = 30 * time.Second
	requests := map[string]func(string) error{}
	for at := time.Duration(0); at < faultLasts; at += step {
		for _, side := range []string{left, right} {
			switch at {
			case time.Minute:
				exitQuietly(w, side+"exit", true)
			case time.Minute + step:
				exitQuietly(w, side+"quiet", false)
			case 2 * time.Minute:
				requests[side+"stop"] = func(name string) error { return s.StopPlugin(t.Context(), name) }
				requests[side+"op"] = func(name string) error { return s.RestartPlugin(t.Context(), name) }
				requests[side+"request"] = func(name string) error {
					return s.ChangePlugin(t.Context(), plugin.Change{Kind: plugin.ChangeUpgrade, Name: name, Version: "2.0"})
				}
			case 2*time.Minute + step:
				loseHeartbeat(w, side+"hang")
			}
		}
		for _, name := range slices.Sorted(maps.Keys(requests)) {
			switch err := requests[name](name); {
			case err == nil:
				delete(requests, name)
			case errors.Is(err, plugin.ErrNoPlugin):
				r.errorf("request for %s: %v, want it accepted", name, err)
			}
		}
		actorstest.Advance(step)
		if may := injectors[f.method]; f.once || f.method == "" || at < 6*time.Minute || may.silent+may.passing != "" {
			continue
		}
		if got := status(t, s); !showsFault(got, f.errno) {
			r.errorf("at %v the fault is not in status: problems %+v, reports %+v", actorstest.Elapsed(), got.Problems, got.Reports)
		}
	}
	noted := journalCauses(w, plugin.EntryHost, "")
	may := injectors[f.method]
	if may.passing != "" && !slices.ContainsFunc(noted, func(e string) bool { return strings.Contains(e, f.errno) }) {
		r.errorf("the fault was never in status: %s", noted)
	}
	if !f.once && may.passing == "" {
		for _, e := range noted {
			if strings.Contains(e, "recovered") {
				r.errorf("reported as recovered while the fault lasted: %s", e)
			}
		}
	}
	r.hits = f.end()
	actorstest.Advance(step)
	for _, name := range slices.Sorted(maps.Keys(requests)) { // requests that were rejected before
		if err := requests[name](name); err != nil {
			r.errorf("request for %s after the fault: %v, want it accepted", name, err)
		}
	}
}

// showsFault reports whether status shows a failure with that reason.
func showsFault(s plugin.Snapshot, errno string) bool {
	return strings.Contains(s.Reports.LastError, errno) ||
		slices.ContainsFunc(s.Problems, func(p plugin.Problem) bool { return strings.Contains(p.Why, errno) }) ||
		slices.ContainsFunc(s.Blocked, func(b plugin.Blocked) bool { return strings.Contains(b.Cause, errno) })
}

// exitQuietly makes a plugin exit; the exit is reported if byEvent and if exits are followed.
func exitQuietly(w *actorstest.World, name string, byEvent bool) {
	w.Lock()
	w.Running[name] = false
	delete(w.Watched.Processes, name)
	e := plugin.Exit{Name: name, RunID: w.Watched.RunIDs[name], At: time.Now(), CauseKnown: true, Code: 1}
	report := w.Watched.ExitFollower
	w.Unlock()
	if byEvent && report != nil {
		report(e)
	}
}

// loseHeartbeat reports that a heartbeat is overdue, if heartbeats are followed.
func loseHeartbeat(w *actorstest.World, name string) {
	w.Lock()
	defer w.Unlock()
	i := slices.IndexFunc(w.Plugins, func(p plugin.Plugin) bool { return p.Name == name })
	if report := w.Watched.HeartbeatFollower; report != nil {
		last := w.LastHeartbeat[name]
		go report(plugin.HeartbeatEvent{Heartbeat: plugin.Heartbeat{Plugin: w.Plugins[i], Found: true, Last: last}, At: time.Now(), Age: time.Since(last), Lost: true})
	}
}

// countVerbs returns how often each verb that changes something was run of a plugin.
func countVerbs(w *actorstest.World) map[string]int {
	w.Lock()
	defer w.Unlock()
	n := map[string]int{}
	for _, a := range w.Calls {
		switch a.Verb {
		case "--start", "--stop", "--restart", "upgrade 2.0":
			n[a.Verb+" "+a.Name]++
		}
	}
	return n
}

// goalTimes returns how long after from each goal was reached.
func goalTimes(w *actorstest.World, from time.Duration) map[string]time.Duration {
	all := map[string]time.Duration{}
	for _, a := range w.Calls {
		_, goal, _ := strings.Cut(a.Name, "-")
		if _, known := all[a.Name]; !known && a.At >= from && a.Verb == goals[goal] {
			all[a.Name] = a.At - from
		}
	}
	return all
}

// checkEnd checks the end of a run: each plugin, status, the saved state, and what
// was reported to the control plane.
func (r *faulted) checkEnd(t *testing.T, s *System, w *actorstest.World) {
	got := status(t, s)
	if len(got.Problems) > 0 || len(got.Blocked) > 0 {
		r.errorf("after the fault: problems %+v, blocked %+v; want none", got.Problems, got.Blocked)
	}
	if d := got.Reports; d.Pending != 0 || d.Events != 0 || d.LastError != "" || len(w.Saved.Pending) != 0 || len(w.Saved.Events) != 0 {
		r.errorf("after the fault: pending %+v, saved %v %v; want none", d, w.Saved.Pending, w.Saved.Events)
	}
	if got.Counters.Defects > 0 {
		r.errorf("%d defects, want 0", got.Counters.Defects)
	}
	w.Lock()
	defer w.Unlock()
	reported := map[string]string{}
	for _, report := range w.Reports {
		for _, e := range report.Entries {
			reported[e.Name] = e.Version + " " + e.Status.String()
		}
	}
	updated := map[string]string{}
	for _, e := range w.Events {
		if e.Event.ID == plugin.EventUpdate {
			updated[e.Event.Keywords["name"]] = e.Event.Keywords["status"]
		}
	}
	for _, v := range got.Plugins {
		_, goal, _ := strings.Cut(v.Name, "-")
		state, version, says := plugin.StateRunning, "1.0", plugin.StatusRunning
		switch {
		case v.Name == "once":
			state, says = plugin.StateInstalled, plugin.StatusInstalled
		case goal == "stop":
			state, says = plugin.StateStopped, plugin.StatusFailed
		case goal == "update", goal == "request" && updated[v.Name] == "0":
			version = "2.0"
		}
		if v.State != state || v.Version != version || v.Failures != 0 {
			r.errorf("%s %s is %s with %d failures (%s), want %s %s", v.Name, v.Version, v.State, v.Failures, v.Why, version, state)
		}
		if want := version + " " + says.String(); reported[v.Name] != want {
			r.errorf("%s was reported as %s, want %s", v.Name, reported[v.Name], want)
		}
		if (goal == "update" || goal == "request") && updated[v.Name] == "" {
			r.errorf("the result of the change of %s was not reported", v.Name)
		}
	}
	if len(got.Plugins) != len(w.Plugins) {
		r.errorf("%d plugins in status, want %d", len(got.Plugins), len(w.Plugins))
	}
}

// EV-24: when any call of a port fails because the host lacks something, no healthy
// plugin is touched, no report is lost, no other plugin waits, and the supervisor
// recovers without help.
func TestFaultOfEachPort(t *testing.T) {
	rows, runs := 0, 0
	for _, atStart := range []bool{false, true} {
		usual := runTable(t, &injected{}, atStart)
		usual.compare(t, usual, &injected{}, atStart)
		names := portMethods()
		for _, method := range slices.Sorted(maps.Keys(injectors)) {
			for i, errno := range errnos {
				if underRace && (runs+i)%len(errnos) != 0 { // slow: one of them, another each time
					continue
				}
				rows++
				for _, once := range []bool{true, false} {
					for _, some := range []bool{true, false} {
						if some && !names[method] {
							continue
						}
						f := &injected{method: method, errno: errno, once: once, some: some}
						runs++
						t.Run(fmt.Sprintf("%s, at start %v", f, atStart), func(t *testing.T) {
							got := runTable(t, f, atStart)
							got.compare(t, usual, f, atStart)
						})
					}
				}
			}
		}
	}
	t.Logf("%d rows in %d runs", rows, runs)
}

func (f *injected) String() string {
	many, whom := "for 10 minutes", "all plugins"
	if f.once {
		many = "once"
	}
	if f.some {
		whom = "plugins on the left"
	}
	return fmt.Sprintf("%s of %s, %s, %s", f.errno, f.method, many, whom)
}

// compare checks a run against the run without a fault.
func (r *faulted) compare(t *testing.T, usual faulted, f *injected, atStart bool) {
	for _, fault := range r.faults {
		t.Error(fault)
	}
	if f.method != "" && r.hits == 0 {
		t.Error("no call failed, want at least one")
	}
	may := injectors[f.method].late
	if atStart {
		may = append(slices.Clone(may), injectors[f.method].lateAtStart...)
	}
	for _, side := range []string{left, right} {
		for goal, verb := range goals {
			name := side + goal
			at, reached := r.reached[name]
			bound := usual.reached[name] + 2*time.Second
			if slices.Contains(may, goal) && (side == left || !f.some) {
				bound = faultLasts + 10*time.Minute
			}
			failedRequest := goal == "request" && f.method != "" && slices.Contains(may, goal) // the operator got the error
			if reached && at > bound || !reached && !failedRequest {
				t.Errorf("%s of %s after %v, want about %v as without a fault", verb, name, at, usual.reached[name])
			}
			want := usual.verbs[verb+" "+name]
			if n := r.verbs[verb+" "+name]; want != 1 || n != want && !(n == 0 && failedRequest) {
				t.Errorf("%s of %s %d times, want %d as without a fault", verb, name, n, want)
			}
		}
	}
	for what, n := range r.verbs {
		if usual.verbs[what] == 0 {
			t.Errorf("%s %d times, want 0 as without a fault", what, n)
		}
	}
}
