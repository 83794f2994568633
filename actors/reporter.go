package actors

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// The pace of deliveries (SC-17): about 2 s after the first failure, then
// longer, at most 5 min apart; a server may ask for up to an hour.
const (
	deliveryInitial  = 2 * time.Second
	deliveryLongest  = 5 * time.Minute
	longestRetryWish = time.Hour
)

// reporter delivers. It owns the one report and the one event in flight and
// their retry timers; a newer order replaces one that waits for its next try.
type reporter struct {
	reports lane
	events  lane
}

// newReporter makes the Props of a Reporter; r is its own source of jitter.
func newReporter(cp ControlPlane, clock Clock, r *rand.Rand) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor {
		return &reporter{
			reports: lane{
				clock: clock, retry: newRetry(deliveryInitial, deliveryLongest, r),
				send: func(ctx context.Context, o order) (plugin.Answer, error) { return cp.Report(ctx, o.report) },
				delivered: func(gen uint64, at time.Time, a plugin.Answer) any {
					return messages.ReportDelivered{Gen: gen, At: at, Answer: a}
				},
				failed: func(gen uint64, at time.Time, try int, err error, next time.Time) any {
					return messages.ReportFailed{Gen: gen, At: at, Try: try, Err: err, NextTry: next}
				},
				replaced: func(gen uint64) any { return messages.ReportReplaced{Gen: gen} },
			},
			events: lane{
				clock: clock, retry: newRetry(deliveryInitial, deliveryLongest, r),
				send: func(ctx context.Context, o order) (plugin.Answer, error) {
					return plugin.Answer{}, cp.Send(ctx, o.event)
				},
				delivered: func(gen uint64, at time.Time, _ plugin.Answer) any {
					return messages.EventDelivered{Gen: gen, At: at}
				},
				failed: func(gen uint64, at time.Time, try int, err error, next time.Time) any {
					return messages.EventFailed{Gen: gen, At: at, Try: try, Err: err, NextTry: next}
				},
				replaced: func(uint64) any { return nil }, // who sent the newer one knows
			},
		}
	}, guarded)
}

func (r *reporter) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Stopping, *actor.Restarting:
		r.reports.stop()
		r.events.stop()
	case messages.Report:
		r.reports.accept(c, order{gen: m.Gen, sender: c.Sender(), report: m.Report})
	case messages.SendEvent:
		r.events.accept(c, order{gen: m.Gen, sender: c.Sender(), event: m.Event})
	case tried:
		m.lane.tried(c, m)
	case tryDue:
		m.lane.due(c, m.gen)
	}
}

// order is one thing to deliver.
type order struct {
	gen    uint64
	sender *actor.PID
	report plugin.Report
	event  plugin.Event
}

// What a lane sends to its Reporter.
type (
	tried struct {
		lane   *lane
		gen    uint64
		answer plugin.Answer
		err    error
	}
	tryDue struct {
		lane *lane
		gen  uint64
	}
)

func (tried) IgnoreDeadLetterLogging()  {}
func (tryDue) IgnoreDeadLetterLogging() {}

// lane delivers one order at a time. A request that is on the wire is never
// cut short by a newer order: the server may have taken it already, and two
// reports must not overtake each other. The newer one follows it.
type lane struct {
	clock     Clock
	retry     *retry
	send      func(context.Context, order) (plugin.Answer, error)
	delivered func(gen uint64, at time.Time, a plugin.Answer) any
	failed    func(gen uint64, at time.Time, try int, err error, next time.Time) any
	replaced  func(gen uint64) any

	current *order // on the wire, or waiting for its next try
	newer   *order // follows current, which is on the wire
	try     int
	hold    time.Time // the server wants no request before then, also not a newer one
	work    work
	timer   *time.Timer
}

func (l *lane) accept(c actor.Context, o order) {
	if l.work.busy() {
		l.drop(c, l.newer)
		l.newer = &o
		return
	}
	l.drop(c, l.current)
	l.begin(c, o)
}

// drop tells that an order is not delivered, because a newer one is.
func (l *lane) drop(c actor.Context, o *order) {
	if o == nil {
		return
	}
	if m := l.replaced(o.gen); m != nil {
		c.Send(o.sender, m)
	}
}

func (l *lane) begin(c actor.Context, o order) {
	l.clear()
	l.current = &o
	if wait := time.Until(l.hold); wait > 0 {
		l.timer = alarm(c, wait, tryDue{l, o.gen})
		return
	}
	l.attempt(c)
}

func (l *lane) attempt(c actor.Context) {
	l.try++
	o := *l.current
	l.work.start(c, func(ctx context.Context, _ func(any)) any {
		answer, err := l.send(ctx, o)
		return tried{l, o.gen, answer, err}
	}, func(err error) any { return tried{lane: l, gen: o.gen, err: err} })
}

func (l *lane) due(c actor.Context, gen uint64) {
	if l.current != nil && l.current.gen == gen && !l.work.busy() {
		l.attempt(c)
	}
}

func (l *lane) tried(c actor.Context, m tried) {
	if l.current == nil || l.current.gen != m.gen || !l.work.busy() {
		return
	}
	l.work.done()
	o, now := *l.current, l.clock.Now()
	l.hold = time.Now().Add(retryAfter(m.err))
	switch {
	case m.err == nil:
		c.Send(o.sender, l.delivered(o.gen, now, m.answer))
		l.clear()
	case l.newer != nil:
		c.Send(o.sender, l.failed(o.gen, now, l.try, m.err, now))
		l.drop(c, &o)
	case finalRefusal(m.err):
		c.Send(o.sender, l.failed(o.gen, now, l.try, m.err, time.Time{}))
		l.clear()
	default:
		wait := max(l.retry.next(), retryAfter(m.err))
		l.timer = alarm(c, wait, tryDue{l, o.gen})
		c.Send(o.sender, l.failed(o.gen, now, l.try, m.err, now.Add(wait)))
	}
	if next := l.newer; next != nil {
		l.newer = nil
		l.begin(c, *next)
	}
}

func (l *lane) clear() {
	if l.timer != nil {
		l.timer.Stop()
	}
	l.current, l.timer, l.try = nil, nil, 0
	l.retry.reset()
}

func (l *lane) stop() {
	l.work.stop()
	l.clear()
	l.newer = nil
}

// finalRefusal tells whether trying the same again soon is useless (SC-20).
func finalRefusal(err error) bool {
	var refusal *plugin.Refusal
	return errors.As(err, &refusal) && refusal.Final()
}

// retryAfter is how long the server wants to be left alone, at most an hour (SC-17).
func retryAfter(err error) time.Duration {
	var refusal *plugin.Refusal
	if !errors.As(err, &refusal) {
		return 0
	}
	return min(max(refusal.RetryAfter, 0), longestRetryWish)
}
