// Package health runs the health checks of plugins whose program is described by a
// service.yaml, while they run (AP-05). It reports that a plugin has become unhealthy or
// healthy, and decides nothing.
package health

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/bounded"
	"pluginsupervisor/internal/hostfault"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/verb"
	"pluginsupervisor/plugin"
)

// Options are the parts and settings of a Checker. Root and Runner are needed.
type Options struct {
	Root     string        // BASE, absolute
	Runner   Runner        // of the commands of checks
	Parallel int           // checks at once; not positive: as many as probes (SC-08)
	Grace    time.Duration // the Runner's, from SIGTERM to SIGKILL
	Log      logrus.FieldLogger
}

// Runner runs the commands of checks.
type Runner interface {
	Run(ctx context.Context, c process.Command) process.Result
}

// Checker checks the health of plugins, each by a timer of its own. It may be used by
// several goroutines at once.
type Checker struct {
	load  func(plugin.Plugin) (loaded, error)
	slots verb.Slots
	grace time.Duration // see Options.Grace
	log   logrus.FieldLogger
	hung  bounded.Set

	mu      sync.Mutex
	watched map[string]*watch // by plugin.Key
	follow  *follow           // nil: no check runs
}

// loaded is the health check of a plugin.
type loaded struct {
	interval time.Duration // 0: there is no check
	timeout  time.Duration // of one check
	failures int           // in a row that make the plugin unhealthy
	run      func(context.Context) error
}

// follow is one call of Follow.
type follow struct {
	ctx     context.Context
	changed func(plugin.HealthEvent)
}

// watch is one plugin that is checked.
type watch struct {
	plugin plugin.Plugin
	gen    uint64
	timer  *time.Timer

	check    *loaded // nil: not read yet
	failures int     // checks in a row that have failed
	passed   bool    // that the check passes was reported, and no failure since
	warned   bool    // that the service.yaml cannot be read
}

// New returns a Checker that checks nothing yet.
func New(o Options) *Checker {
	files := programs{root: o.Root, runner: o.Runner}
	return &Checker{
		load: files.load, slots: verb.NewSlots(o.Parallel, verb.Patience), grace: o.Grace,
		log: logger.OrSilent(o.Log), watched: map[string]*watch{},
	}
}

// Watch checks the health of a plugin from now on, if its service.yaml has a check. If it
// is checked with that gen already, its next check that passes is reported.
func (c *Checker) Watch(p plugin.Plugin, gen uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.watched[p.Key()]; w != nil && w.gen == gen {
		w.passed = false
		return
	}
	c.unwatch(p)
	if p.HasService() {
		c.begin(p, gen)
	}
}

// Unwatch ends the checks of a plugin.
func (c *Checker) Unwatch(p plugin.Plugin) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unwatch(p)
}

func (c *Checker) unwatch(p plugin.Plugin) {
	if w := c.watched[p.Key()]; w != nil {
		w.stop()
		delete(c.watched, p.Key())
	}
}

func (w *watch) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// loadWithin is the time over which the files of many plugins are read.
const loadWithin = time.Second

// begin begins to check a plugin: its service.yaml is read soon.
func (c *Checker) begin(p plugin.Plugin, gen uint64) {
	w := &watch{plugin: p, gen: gen}
	c.watched[p.Key()] = w
	c.schedule(w, randomWithin(loadWithin))
}

// randomWithin returns a random part of d, at least a millisecond.
func randomWithin(d time.Duration) time.Duration { return max(rand.N(d), time.Millisecond) }

// schedule runs the next check after d.
func (c *Checker) schedule(w *watch, d time.Duration) {
	if f := c.follow; f != nil {
		w.timer = time.AfterFunc(d, func() { c.runCheck(f, w) })
	}
}

// Follow runs the checks until ctx ends, and calls changed when the health of a plugin
// changes: for its first check that passes, and the first that passes after a failure
// was reported; and when as many checks in a row have failed as its service.yaml allows,
// each time. changed must not block.
func (c *Checker) Follow(ctx context.Context, changed func(plugin.HealthEvent)) error {
	f := &follow{ctx, changed}
	c.restart(f)
	<-ctx.Done()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.follow == f { // else another Follow has begun
		c.follow = nil
		for _, w := range c.watched {
			w.stop()
		}
	}
	return nil
}

// restart begins the checks of all plugins anew.
func (c *Checker) restart(f *follow) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.follow = f
	for _, w := range c.watched {
		w.stop()
		c.begin(w.plugin, w.gen)
	}
}

// retryLoad is the time until a service.yaml is read again that could not be read.
const retryLoad = 10 * time.Second

// unkillableGrace is how long a check is waited for after its timeout and the time to
// kill its command. A command in an uninterruptible sleep cannot be killed.
const unkillableGrace = 5 * time.Second

// runCheck runs one check of a plugin, or reads its service.yaml, and schedules the
// next.
func (c *Checker) runCheck(f *follow, w *watch) {
	release, err := c.slots.Take(f.ctx)
	if err != nil {
		return
	}
	defer release()
	if w.check == nil {
		c.readCheck(f, w)
		return
	}
	began := time.Now()
	failed, late := bounded.Run(&c.hung, w.plugin.Key(), w.check.timeout+c.grace+unkillableGrace, func() error { return w.check.run(f.ctx) }, nil)
	if late != nil {
		failed = hostfault.New("the health check does not return", late)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isCurrent(f, w) {
		return
	}
	c.handleResult(f, w, failed)
	jitter := w.check.interval / 10
	c.schedule(w, max(w.check.interval-jitter/2+rand.N(jitter)-time.Since(began), time.Millisecond))
}

// isCurrent reports whether a plugin is still checked by this follow and watch.
func (c *Checker) isCurrent(f *follow, w *watch) bool {
	return c.follow == f && f.ctx.Err() == nil && c.watched[w.plugin.Key()] == w
}

// handleResult counts the result of a check, and reports a change. A check that the host
// could not run says nothing about the plugin (EV-24).
func (c *Checker) handleResult(f *follow, w *watch, failed error) {
	e := plugin.HealthEvent{Plugin: w.plugin, Gen: w.gen}
	switch {
	case failed == nil:
		w.failures = 0
		if w.passed {
			return
		}
		w.passed = true
	case hostfault.Is(failed), errors.Is(failed, process.ErrDraining):
		c.log.WithError(failed).WithField("plugin", w.plugin.Name).Debug("Health check could not be run")
		return
	default:
		w.failures++
		if w.failures%w.check.failures != 0 {
			return
		}
		w.passed, e.Failed, e.Cause = false, true, failed.Error()
	}
	f.changed(e)
}

// readCheck reads the service.yaml of a plugin.
func (c *Checker) readCheck(f *follow, w *watch) {
	type result struct {
		check loaded
		err   error
	}
	read, err := bounded.Run(&c.hung, w.plugin.Key(), verb.Patience, func() result {
		check, err := c.load(w.plugin)
		return result{check, err}
	}, nil)
	if err == nil {
		err = read.err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isCurrent(f, w) {
		return
	}
	if err != nil {
		if !w.warned {
			w.warned = true
			c.log.WithError(err).WithField("plugin", w.plugin.Name).Warn("Cannot read how the health of a plugin is checked, retrying")
		}
		c.schedule(w, retryLoad)
		return
	}
	w.check = &read.check
	if w.check.interval > 0 {
		c.schedule(w, randomWithin(w.check.interval))
	}
}
