package actors

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/actors/policy"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// The waits between the tries of a delivery (SC-17). A server may ask for a
// longer one, up to longestRetryAfter.
const (
	deliveryInitial   = 2 * time.Second
	deliveryLongest   = 5 * time.Minute
	longestRetryAfter = time.Hour
)

// reporter delivers reports and events. It owns the current report, the current
// event and their retries.
type reporter struct {
	reports lane
	events  lane
}

// newReporter returns the Props of a Reporter; r is its own source of jitter.
func newReporter(cp ControlPlane, clock Clock, r *rand.Rand) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor {
		return &reporter{
			reports: lane{
				clock: clock, retry: policy.NewBackoff(deliveryInitial, deliveryLongest, r),
				send: func(ctx context.Context, o delivery) (plugin.Answer, error) { return cp.Report(ctx, o.report) },
				delivered: func(gen uint64, at time.Time, a plugin.Answer) any {
					return messages.ReportDelivered{Gen: gen, At: at, Answer: a}
				},
				failed: func(gen uint64, at time.Time, try int, err error, next time.Time) any {
					return messages.ReportFailed{Gen: gen, At: at, Try: try, Err: err, NextTry: next}
				},
				replaced: func(gen uint64) any { return messages.ReportReplaced{Gen: gen} },
			},
			events: lane{
				clock: clock, retry: policy.NewBackoff(deliveryInitial, deliveryLongest, r),
				send: func(ctx context.Context, o delivery) (plugin.Answer, error) {
					return plugin.Answer{}, cp.Send(ctx, o.event)
				},
				delivered: func(gen uint64, at time.Time, _ plugin.Answer) any {
					return messages.EventDelivered{Gen: gen, At: at}
				},
				failed: func(gen uint64, at time.Time, try int, err error, next time.Time) any {
					return messages.EventFailed{Gen: gen, At: at, Try: try, Err: err, NextTry: next}
				},
				replaced:    func(uint64) any { return nil }, // nothing is sent: the Coordinator sent the newer one
				independent: true,
			},
		}
	}, withPanicLogging)
}

func (r *reporter) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Stopping, *actor.Restarting:
		r.reports.stop()
		r.events.stop()
	case messages.Report:
		r.reports.acceptOrder(c, delivery{gen: m.Gen, sender: c.Sender(), report: m.Report})
	case messages.SendEvent:
		r.events.acceptOrder(c, delivery{gen: m.Gen, sender: c.Sender(), event: m.Event})
	case tried:
		m.lane.endTry(c, m)
	case tryDue:
		m.lane.sendOrWait(c)
	}
}

// delivery is one report or event to deliver.
type delivery struct {
	gen    uint64
	sender *actor.PID
	report plugin.Report
	event  plugin.Event
}

// What a lane sends to its Reporter.
type (
	tried struct {
		lane   *lane
		answer plugin.Answer
		err    error
	}
	tryDue struct{ lane *lane }
)

func (tried) IgnoreDeadLetterLogging()  {}
func (tryDue) IgnoreDeadLetterLogging() {}

// lane delivers one order at a time.
//
// A newer order replaces one that waits for its next try. It inherits the number of
// tries and the time of the next one, so that frequent reports do not reset the
// backoff. A request that was sent is never cancelled for a newer order: the server
// may have received it, and a report must not overtake another. The newer order
// follows it.
type lane struct {
	clock     Clock
	retry     *policy.Backoff
	send      func(context.Context, delivery) (plugin.Answer, error)
	delivered func(gen uint64, at time.Time, a plugin.Answer) any
	failed    func(gen uint64, at time.Time, try int, err error, next time.Time) any
	replaced  func(gen uint64) any
	// independent reports whether the orders are independent: the final refusal of
	// one does not delay the next.
	independent bool

	current *delivery // being sent, or waiting for its next try
	newer   *delivery // follows current, which is being sent
	try     int       // tries since the last success
	next    time.Time // nothing is sent before this time; zero after a success
	work    work
	timer   *time.Timer
}

// acceptOrder accepts an order. It replaces the one that was not sent yet.
func (l *lane) acceptOrder(c actor.Context, o delivery) {
	place := &l.current
	if l.work.isBusy() {
		place = &l.newer
	}
	if *place != nil {
		l.reportReplaced(c, **place)
	}
	*place = &o
	l.sendOrWait(c)
}

// reportReplaced reports that a newer order has replaced one.
func (l *lane) reportReplaced(c actor.Context, o delivery) {
	if m := l.replaced(o.gen); m != nil {
		c.Send(o.sender, m)
	}
}

// sendOrWait sends the current order, or sets a timer if it is not time yet.
func (l *lane) sendOrWait(c actor.Context) {
	if l.current == nil || l.work.isBusy() {
		return
	}
	l.stopTimer()
	if wait := time.Until(l.next); wait > 0 {
		l.timer = sendAfter(c, wait, tryDue{l})
		return
	}
	l.try++
	o := *l.current
	l.work.start(c, func(ctx context.Context, _ func(any)) any {
		answer, err := l.send(ctx, o)
		return tried{l, answer, err}
	}, func(err error) any { return tried{lane: l, err: err} })
}

// endTry handles the result of a try, and continues with the newer order if there is
// one.
func (l *lane) endTry(c actor.Context, m tried) {
	if !l.work.isBusy() { // stopped meanwhile
		return
	}
	l.work.finish()
	if o := *l.current; m.err == nil {
		l.reset()
		c.Send(o.sender, l.delivered(o.gen, l.clock.Now(), m.answer))
	} else {
		l.scheduleRetry(c, o, m.err)
	}
	if l.newer != nil {
		l.current, l.newer = l.newer, nil
	}
	l.sendOrWait(c)
}

// scheduleRetry sets the time of the next try, of this order or of the newer one, and
// reports the failure.
func (l *lane) scheduleRetry(c actor.Context, o delivery, err error) {
	wait, final := retryAfter(err), isFinalRefusal(err)
	try, now := l.try, l.clock.Now()
	if final && l.independent {
		l.reset()
	} else {
		wait = max(wait, l.retry.NextWait())
	}
	l.next = time.Now().Add(wait)
	if final && l.newer == nil {
		l.current = nil
		c.Send(o.sender, l.failed(o.gen, now, try, err, time.Time{}))
		return
	}
	c.Send(o.sender, l.failed(o.gen, now, try, err, now.Add(wait)))
	if l.newer != nil {
		l.reportReplaced(c, o)
	}
}

// reset clears the order and the failures.
func (l *lane) reset() {
	l.stopTimer()
	l.current, l.try, l.next = nil, 0, time.Time{}
	l.retry.Reset()
}

func (l *lane) stop() {
	l.work.stop()
	l.newer = nil
	l.reset()
}

func (l *lane) stopTimer() {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
}

// isFinalRefusal reports whether a retry soon is useless (SC-20).
func isFinalRefusal(err error) bool {
	var refusal *plugin.HTTPError
	return errors.As(err, &refusal) && refusal.IsFinal()
}

// retryAfter returns the Retry-After of the server, at most longestRetryAfter
// (SC-17).
func retryAfter(err error) time.Duration {
	var refusal *plugin.HTTPError
	if !errors.As(err, &refusal) {
		return 0
	}
	return min(max(refusal.RetryAfter, 0), longestRetryAfter)
}
