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

	"pluginsupervisor/plugin"
)

// Each plugin of the table is there twice, on the left and on the right. A
// fault of some plugins is one of those on the left.
const (
	left  = "x-"
	right = "y-"
)

// goals has what happens to the plugins of the table, and the one verb that has
// to follow. Beside them there is one to which nothing happens.
var goals = map[string]string{
	"exit":   "--start",     // it exits, and the kernel says so
	"quiet":  "--start",     // it exits, and only a scan can find that
	"hang":   "--restart",   // it runs and stops beating
	"stop":   "--stop",      // an operator stops it
	"op":     "--restart",   // an operator restarts it
	"update": "upgrade 2.0", // the control plane assigns another version
	"order":  "upgrade 2.0", // an operator orders one
}

const (
	faultFrom  = 20 * time.Minute // when the fault begins that is not there from the start
	faultLasts = 10 * time.Minute
	faultOver  = 20 * time.Minute // after the fault all is as it was
)

// faulted is what came of a run of the table.
type faulted struct {
	reached map[string]time.Duration // when the verb of a plugin's goal was first run, since the fault began
	verbs   map[string]int           // how often each verb was run of a plugin
	hits    int
	faults  []string // what must not be
}

func (r *faulted) errorf(format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

// tableWorld has the plugins of the table, all of which run.
func tableWorld() *world {
	w := newWorld(once(100, "once")).watch()
	for _, side := range []string{left, right} {
		for _, name := range append(slices.Sorted(maps.Keys(goals)), "well") {
			p := persist(uint64(len(w.plugins)+1), side+name)
			w.plugins = append(w.plugins, p)
			w.running[p.Name] = true
			w.watched.left[p.Name] = []plugin.Process{{PID: 100 + int(p.ID), StartTicks: 1, BootID: "b"}}
		}
	}
	w.updates = func(int) (plugin.Updates, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		var all plugin.Updates
		if since() < w.assignAt {
			return all, nil
		}
		for _, p := range w.plugins {
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

// keepBeating has each plugin that runs beat, but those that hang until they
// were restarted.
func (w *world) keepBeating(ctx context.Context, hangFrom time.Duration) {
	for waitFor(ctx, 20*time.Second) {
		w.mu.Lock()
		restarted := map[string]bool{}
		for _, a := range w.did {
			restarted[a.name] = restarted[a.name] || a.verb == "--restart"
		}
		for name, runs := range w.running {
			if hangs := strings.HasSuffix(name, "-hang") && since() >= hangFrom && !restarted[name]; runs && !hangs {
				w.beats[name] = time.Now()
			}
		}
		w.mu.Unlock()
	}
}

// runTable runs the plugins of the table through a fault.
func runTable(t *testing.T, f *injected, atStart bool) (r faulted) {
	w := tableWorld()
	from := faultFrom
	if atStart {
		from = 0
	}
	w.assignAt = from + time.Minute
	synctest.Test(t, func(t *testing.T) {
		f.began = make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go w.keepBeating(ctx, from+time.Minute)
		if atStart {
			f.begin()
		}
		s, err := Start(tableConfig(), w.saved, w.faultyPorts(f))
		if err != nil {
			t.Fatal(err)
		}
		if !atStart {
			pass(from)
			f.begin()
		}
		r.lastFault(t, s, w, f)
		pass(faultOver)
		r.judgeEnd(t, s, w)
		drainAll(t, s)

		verbs := w.verbs()
		if s, err = Start(tableConfig(), w.saved, w.ports()); err != nil { // the next process knows it all
			t.Fatal(err)
		}
		pass(15 * time.Minute)
		if again := w.verbs(); !maps.Equal(verbs, again) {
			r.errorf("the next process ran verbs: %v, before %v", again, verbs)
		}
		r.judgeEnd(t, s, w)
		drainAll(t, s)
		r.verbs = verbs
	})
	r.reached = w.reached(from)
	r.faults = append(r.faults, w.twice...)
	return r
}

// lastFault has everything happen while the fault lasts.
func (r *faulted) lastFault(t *testing.T, s *System, w *world, f *injected) {
	const step = 30 * time.Second
	orders := map[string]func(string) error{}
	for at := time.Duration(0); at < faultLasts; at += step {
		for _, side := range []string{left, right} {
			switch at {
			case time.Minute:
				w.dieQuietly(side+"exit", true)
			case time.Minute + step:
				w.dieQuietly(side+"quiet", false)
			case 2 * time.Minute:
				orders[side+"stop"] = func(name string) error { return s.StopPlugin(t.Context(), name) }
				orders[side+"op"] = func(name string) error { return s.RestartPlugin(t.Context(), name) }
				orders[side+"order"] = func(name string) error {
					return s.ChangePlugin(t.Context(), plugin.Change{Kind: plugin.ChangeUpgrade, Name: name, Version: "2.0"})
				}
			case 2*time.Minute + step:
				w.loseBeat(side + "hang")
			}
		}
		for _, name := range slices.Sorted(maps.Keys(orders)) {
			switch err := orders[name](name); {
			case err == nil:
				delete(orders, name)
			case errors.Is(err, plugin.ErrNoPlugin):
				r.errorf("order for %s: %v", name, err)
			}
		}
		pass(step)
		if may := injectors[f.method]; f.once || f.method == "" || at < 6*time.Minute || may.silent+may.passing != "" {
			continue
		}
		if got := status(t, s); !tells(got, f.errno) {
			r.errorf("at %v it is not in status: %+v, %+v", since(), got.Problems, got.Reports)
		}
	}
	noted := w.told(plugin.EntryHost, "")
	may := injectors[f.method]
	if may.passing != "" && !slices.ContainsFunc(noted, func(e string) bool { return strings.Contains(e, f.errno) }) {
		r.errorf("it was never in status: %s", noted)
	}
	if !f.once && may.passing == "" {
		for _, e := range noted {
			if strings.Contains(e, "recovered") {
				r.errorf("said to work while it did not: %s", e)
			}
		}
	}
	r.hits = f.end()
	pass(step)
	for _, name := range slices.Sorted(maps.Keys(orders)) { // what could not be accepted before
		if err := orders[name](name); err != nil {
			r.errorf("order for %s is not accepted: %v", name, err)
		}
	}
}

// tells reports whether status says that something fails for that reason.
func tells(s plugin.Snapshot, errno string) bool {
	return strings.Contains(s.Reports.LastError, errno) ||
		slices.ContainsFunc(s.Problems, func(p plugin.Problem) bool { return strings.Contains(p.Why, errno) }) ||
		slices.ContainsFunc(s.Blocked, func(b plugin.Blocked) bool { return strings.Contains(b.Cause, errno) })
}

// dieQuietly ends a plugin; the kernel says so if it is asked to and can.
func (w *world) dieQuietly(name string, byEvent bool) {
	w.mu.Lock()
	w.running[name] = false
	delete(w.watched.left, name)
	e := plugin.Exit{Name: name, RunID: w.watched.lives[name], At: time.Now(), CauseKnown: true, Code: 1}
	tell := w.watched.exited
	w.mu.Unlock()
	if byEvent && tell != nil {
		tell(e)
	}
}

// loseBeat tells that a beat is overdue, where that is followed.
func (w *world) loseBeat(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.plugins, func(p plugin.Plugin) bool { return p.Name == name })
	if tell := w.watched.heard; tell != nil {
		last := w.beats[name]
		go tell(plugin.HeartbeatEvent{Heartbeat: plugin.Heartbeat{Plugin: w.plugins[i], Found: true, Last: last}, At: time.Now(), Age: time.Since(last), Lost: true})
	}
}

// verbs returns how often each verb that changes something was run of a plugin.
func (w *world) verbs() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := map[string]int{}
	for _, a := range w.did {
		switch a.verb {
		case "--start", "--stop", "--restart", "upgrade 2.0":
			n[a.verb+" "+a.name]++
		}
	}
	return n
}

// reached returns when each goal was reached, since from.
func (w *world) reached(from time.Duration) map[string]time.Duration {
	all := map[string]time.Duration{}
	for _, a := range w.did {
		_, goal, _ := strings.Cut(a.name, "-")
		if _, known := all[a.name]; !known && a.at >= from && a.verb == goals[goal] {
			all[a.name] = a.at - from
		}
	}
	return all
}

// judgeEnd checks that all is as it should be: with each plugin, in status, in
// the memory, and for the control plane.
func (r *faulted) judgeEnd(t *testing.T, s *System, w *world) {
	got := status(t, s)
	if len(got.Problems) > 0 || len(got.Blocked) > 0 {
		r.errorf("still in status: %+v %+v", got.Problems, got.Blocked)
	}
	if d := got.Reports; d.Pending != 0 || d.Events != 0 || d.LastError != "" || len(w.saved.Pending) != 0 || len(w.saved.Events) != 0 {
		r.errorf("still pending: %+v, saved %v %v", d, w.saved.Pending, w.saved.Events)
	}
	if got.Counters.Defects > 0 {
		r.errorf("%d defects", got.Counters.Defects)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	told := map[string]string{}
	for _, report := range w.reports {
		for _, e := range report.entries {
			told[e.Name] = e.Version + " " + e.Status.String()
		}
	}
	updated := map[string]string{}
	for _, e := range w.events {
		if e.event.ID == plugin.EventUpdate {
			updated[e.event.Keywords["name"]] = e.event.Keywords["status"]
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
		case goal == "update", goal == "order" && updated[v.Name] == "0":
			version = "2.0"
		}
		if v.State != state || v.Version != version || v.Failures != 0 {
			r.errorf("%s %s is %s with %d failures (%s), want %s %s", v.Name, v.Version, v.State, v.Failures, v.Why, version, state)
		}
		if want := version + " " + says.String(); told[v.Name] != want {
			r.errorf("%s was reported as %s, want %s", v.Name, told[v.Name], want)
		}
		if (goal == "update" || goal == "order") && updated[v.Name] == "" {
			r.errorf("how the change of %s ended was not told", v.Name)
		}
	}
	if len(got.Plugins) != len(w.plugins) {
		r.errorf("%d plugins in status, want %d", len(got.Plugins), len(w.plugins))
	}
}

// EV-24: whatever call of the ports fails for want of something, nothing
// healthy is touched, nothing is lost, no other plugin waits, and all recovers
// by itself.
func TestFaultOfEachPort(t *testing.T) {
	rows, runs := 0, 0
	for _, atStart := range []bool{false, true} {
		usual := runTable(t, &injected{}, atStart)
		usual.judge(t, usual, &injected{}, atStart)
		names := portMethods()
		for _, method := range slices.Sorted(maps.Keys(injectors)) {
			for i, errno := range errnos {
				if underRace && (runs+i)%len(errnos) != 0 { // it is slow: one of them, which is another each time
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
							got.judge(t, usual, f, atStart)
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

// judge compares a run with the one without a fault.
func (r *faulted) judge(t *testing.T, usual faulted, f *injected, atStart bool) {
	for _, fault := range r.faults {
		t.Error(fault)
	}
	if f.method != "" && r.hits == 0 {
		t.Error("nothing failed")
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
			failedOrder := goal == "order" && f.method != "" && slices.Contains(may, goal) // the operator got the error
			if reached && at > bound || !reached && !failedOrder {
				t.Errorf("%s of %s after %v, usually after %v", verb, name, at, usual.reached[name])
			}
			want := usual.verbs[verb+" "+name]
			if n := r.verbs[verb+" "+name]; want != 1 || n != want && !(n == 0 && failedOrder) {
				t.Errorf("%s of %s %d times, usually %d times", verb, name, n, want)
			}
		}
	}
	for what, n := range r.verbs {
		if usual.verbs[what] == 0 {
			t.Errorf("%s %d times, usually never", what, n)
		}
	}
}
