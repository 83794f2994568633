package actors

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/actors/policy"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// scanTimeout is the time that a scan waits for slow probes before it sends the
// results so far: a hung plugin must not delay the reports of the others (SC-09).
const scanTimeout = 2 * time.Second

// scanner carries out Scan orders. Orders may overlap, so that a hung `--status` of
// one does not delay another. A plugin is probed by one order at a time.
type scanner struct {
	manager Manager
	others  OtherPrograms // may be nil
	clock   Clock

	orders  map[*scanOrder]bool
	probing map[string]bool // plugins whose `--status` has not answered, by plugin.Key
}

// scanOrder is one Scan in progress.
type scanOrder struct {
	messages.Scan
	sender *actor.PID
	work   work

	list       plugin.List
	listed     bool
	waiting    map[string]bool // plugins probed for this order that have not answered
	ready      []plugin.Probe  // results that were not sent
	progressed bool            // a ScanProgressed was sent
	answered   time.Time       // time of the last result, or of the start of the probes
	slow       bool            // see messages.ScanProgressed
	timer      *time.Timer
}

// newScanner returns the Props of a Scanner.
func newScanner(m Manager, others OtherPrograms, clock Clock) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor {
		return &scanner{manager: m, others: others, clock: clock, orders: map[*scanOrder]bool{}, probing: map[string]bool{}}
	}, withPanicLogging)
}

// The messages of the work and the timer of an order. The pointer identifies the
// order: after a crash, messages of lost orders may still arrive.
type (
	scanListed struct {
		order *scanOrder
		list  plugin.List
		err   error
	}
	scanProbed struct {
		order *scanOrder
		probe plugin.Probe
	}
	scanEnded struct {
		order *scanOrder
		err   error
	}
	scanWaited struct{ order *scanOrder }
)

func (scanListed) IgnoreDeadLetterLogging() {}
func (scanProbed) IgnoreDeadLetterLogging() {}
func (scanEnded) IgnoreDeadLetterLogging()  {}
func (scanWaited) IgnoreDeadLetterLogging() {}

func (s *scanner) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Stopping, *actor.Restarting:
		for o := range s.orders {
			o.work.stop()
			o.timer.Stop()
		}
		clear(s.orders)
	case messages.Scan:
		s.readList(c, m)
	case scanListed:
		if s.orders[m.order] {
			s.probeTargets(c, m)
		}
	case scanProbed:
		if s.orders[m.order] {
			s.addResult(c, m.order, m.probe)
		}
	case scanWaited:
		if s.orders[m.order] {
			s.checkProgress(c, m.order)
		}
	case scanEnded:
		if s.orders[m.order] {
			s.completeOrder(c, m.order, m.err)
		}
	}
}

// readList begins an order: it reads the plugin database.
func (s *scanner) readList(c actor.Context, m messages.Scan) {
	o := &scanOrder{Scan: m, sender: c.Sender()}
	s.orders[o] = true
	o.timer = sendAfter(c, scanTimeout, scanWaited{o})
	o.work.start(c, func(ctx context.Context, _ func(any)) any {
		list, err := s.manager.List(ctx)
		return scanListed{o, list, err}
	}, func(err error) any { return scanListed{order: o, err: err} })
}

// probeTargets runs `--status` of the order's plugins.
func (s *scanner) probeTargets(c actor.Context, m scanListed) {
	o := m.order
	if m.err != nil {
		s.completeOrder(c, o, m.err)
		return
	}
	o.list, o.listed, o.answered = m.list, true, time.Now()
	targets := s.takeTargets(o)
	if len(targets) == 0 { // SC-07: nothing is executed
		s.completeOrder(c, o, nil)
		return
	}
	o.work.start(c, func(ctx context.Context, send func(any)) any {
		return scanEnded{o, s.manager.Probe(ctx, targets, func(p plugin.Probe) {
			p.LockHeld = p.Status == plugin.StatusFailed && workOn(s.others, p.Plugin.Name, policy.OtherProgramGrace)
			send(scanProbed{o, p})
		})}
	}, func(err error) any { return scanEnded{o, err} })
}

// takeTargets returns the plugins that the order probes: all Persist ones that are
// not removed, or those that the order names, without the ones that an earlier order
// still probes.
func (s *scanner) takeTargets(o *scanOrder) (targets []plugin.Plugin) {
	only := make(map[string]bool, len(o.Only))
	for _, key := range o.Only {
		only[key] = true
	}
	o.waiting = map[string]bool{}
	for _, p := range o.list.Plugins {
		key := p.Key()
		if p.IsProbed() && !s.probing[key] && (len(only) == 0 || only[key]) {
			s.probing[key], o.waiting[key] = true, true
			targets = append(targets, p)
		}
	}
	return targets
}

// addResult stores a result for the next ScanProgressed. An order of single plugins
// sends it at once.
func (s *scanner) addResult(c actor.Context, o *scanOrder, probe plugin.Probe) {
	if key := probe.Plugin.Key(); o.waiting[key] {
		delete(o.waiting, key)
		delete(s.probing, key)
	}
	o.ready, o.answered = append(o.ready, probe), time.Now()
	if len(o.Only) > 0 {
		s.sendResults(c, o)
	}
}

// checkProgress sends the results since the last time. The first time it also sends
// a message without results: Once plugins need none (SC-05).
func (s *scanner) checkProgress(c actor.Context, o *scanOrder) {
	next := scanTimeout
	if o.listed {
		silent := time.Since(o.answered)
		becameSlow := !o.slow && silent >= scanTimeout
		o.slow = o.slow || becameSlow
		if len(o.ready) > 0 || !o.progressed || becameSlow {
			s.sendResults(c, o)
		}
		if !o.slow {
			next = scanTimeout - silent
		}
	}
	o.timer = sendAfter(c, next, scanWaited{o})
}

// sendResults sends the results that were not sent yet.
func (s *scanner) sendResults(c actor.Context, o *scanOrder) {
	c.Send(o.sender, messages.ScanProgressed{Gen: o.Gen, At: s.clock.Now(), List: o.list, Probes: o.ready, Slow: o.slow})
	o.ready, o.progressed = nil, true
}

// completeOrder completes an order.
func (s *scanner) completeOrder(c actor.Context, o *scanOrder, err error) {
	o.timer.Stop()
	for key := range o.waiting {
		delete(s.probing, key)
	}
	delete(s.orders, o)
	c.Send(o.sender, messages.ScanCompleted{
		Gen: o.Gen, At: s.clock.Now(), Listed: o.listed, List: o.list, Probes: o.ready, Err: err,
	})
}
