package actors

import (
	"context"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// scanPatience is how long a scan waits for slow probes before it hands over
// what it has: a hung plugin must not keep the others' report back (SC-09).
const scanPatience = 2 * time.Second

// scanner carries out Scan orders, one at a time. It owns nothing in between.
type scanner struct {
	manager Manager
	clock   Clock

	work     work
	order    messages.Scan
	sender   *actor.PID
	list     plugin.List
	listed   bool
	told     bool           // something was handed over
	ready    []plugin.Probe // answered and not handed over
	patience *time.Timer
}

// newScanner makes the Props of a Scanner.
func newScanner(m Manager, clock Clock) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return &scanner{manager: m, clock: clock} }, guarded)
}

// What a Scanner's work sends to it.
type (
	scanListed    struct{ list plugin.List }
	scanProbed    struct{ probe plugin.Probe }
	scanEnded     struct{ err error }
	scanUnlisted  struct{ err error }
	scanImpatient struct{ gen uint64 }
)

func (scanListed) IgnoreDeadLetterLogging()    {}
func (scanProbed) IgnoreDeadLetterLogging()    {}
func (scanEnded) IgnoreDeadLetterLogging()     {}
func (scanUnlisted) IgnoreDeadLetterLogging()  {}
func (scanImpatient) IgnoreDeadLetterLogging() {}

func (s *scanner) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Stopping, *actor.Restarting:
		s.work.stop()
		s.reset()
	case messages.Scan:
		if !s.work.busy() {
			s.start(c, m)
		}
	case scanListed:
		s.list, s.listed = m.list, true
	case scanProbed:
		s.ready = append(s.ready, m.probe)
	case scanImpatient:
		if s.work.busy() && m.gen == s.order.Gen {
			s.handOver(c)
		}
	case scanEnded:
		s.finish(c, messages.ScanCompleted{Listed: true, List: s.list, Probes: s.ready, Err: m.err})
	case scanUnlisted:
		s.finish(c, messages.ScanCompleted{Err: m.err})
	}
}

func (s *scanner) start(c actor.Context, order messages.Scan) {
	s.order, s.sender = order, c.Sender()
	s.patience = alarm(c, scanPatience, scanImpatient{order.Gen})
	s.work.start(c, func(ctx context.Context, send func(any)) any {
		list, err := s.manager.List(ctx)
		if err != nil {
			return scanUnlisted{err}
		}
		send(scanListed{list})
		targets := scanTargets(list, order.Only)
		if len(targets) == 0 { // SC-07: nothing is executed
			return scanEnded{}
		}
		return scanEnded{s.manager.Probe(ctx, targets, func(p plugin.Probe) { send(scanProbed{p}) })}
	}, func(err error) any { return scanUnlisted{err} })
}

// handOver tells what has answered so far, and again when more has. The first
// time says so even if nothing has: the Once plugins need no answer.
func (s *scanner) handOver(c actor.Context) {
	if s.listed && (len(s.ready) > 0 || !s.told) {
		c.Send(s.sender, messages.ScanProgressed{Gen: s.order.Gen, At: s.clock.Now(), List: s.list, Probes: s.ready})
		s.ready, s.told = nil, true
	}
	s.patience = alarm(c, scanPatience, scanImpatient{s.order.Gen})
}

// scanTargets are the plugins `--status` is asked of: all Persist ones that are
// not removed, or those of them that the order names.
func scanTargets(list plugin.List, only []string) []plugin.Plugin {
	var targets []plugin.Plugin
	for _, p := range list.Plugins {
		if p.Probed() && (len(only) == 0 || slices.Contains(only, p.Key())) {
			targets = append(targets, p)
		}
	}
	return targets
}

func (s *scanner) finish(c actor.Context, m messages.ScanCompleted) {
	if !s.work.busy() {
		return
	}
	s.work.done()
	m.Gen, m.At = s.order.Gen, s.clock.Now()
	c.Send(s.sender, m)
	s.reset()
}

func (s *scanner) reset() {
	if s.patience != nil {
		s.patience.Stop()
	}
	*s = scanner{manager: s.manager, clock: s.clock, work: s.work}
}
