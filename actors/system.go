package actors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	logrusslog "github.com/sirupsen/logrus/hooks/slog"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// System is the running supervisor, and the one door to it: nothing outside
// this package knows that there are actors behind it.
type System struct {
	actors      *actor.ActorSystem
	guardian    *actor.PID
	coordinator *actor.PID
	deadLetters atomic.Uint64
	done        chan struct{}
	err         error // set before done is closed
}

// Start brings the actors up. They begin with what an earlier process
// remembered. The caller ends them with Drain, and watches Done.
func Start(cfg Config, remembered plugin.Memory, p Ports) (*System, error) {
	return start(cfg, remembered, p, newWorkers(p))
}

// newWorkers returns the workers that do real work through the ports. Each one
// that needs randomness gets a source of its own, seeded by the one given.
func newWorkers(p Ports) workerProps {
	fork := func() *rand.Rand { return rand.New(rand.NewPCG(p.Rand.Uint64(), p.Rand.Uint64())) }
	return workerProps{
		scanner:   newScanner(p.Manager, p.OtherPrograms, p.Clock),
		puller:    newPuller(p.Manager, p.Heartbeats, p.Clock),
		inventory: newInventory(p.Manager, p.Clock),
		upgrader:  newUpgrader(p.Manager, p.ControlPlane, p.UpdateHandler, p.Clock, fork()),
		watcher:   newWatcher(p.Watcher, p.HeartbeatEvents, p.OtherPrograms, p.Clock),
		reporter:  newReporter(p.ControlPlane, p.Clock, fork()),
		restarter: func(a messages.Attempt) *actor.Props { return newRestarter(a, p.Manager, p.Clock) },
	}
}

func start(cfg Config, remembered plugin.Memory, p Ports, workers workerProps) (*System, error) {
	s := &System{done: make(chan struct{})}
	s.actors = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(logrusslog.NewHandler(p.Log, nil))
	}))
	shrinkRegistry(s.actors.ProcessRegistry.LocalPIDs)
	s.actors.EventStream.Subscribe(func(e any) {
		if _, ok := e.(*actor.DeadLetterEvent); ok {
			s.deadLetters.Add(1)
		}
	})
	g := &guardian{system: s, coordinator: newCoordinator(cfg, remembered, p, workers), ready: make(chan struct{})}
	pid, err := s.actors.Root.SpawnNamed(actor.PropsFromProducer(func() actor.Actor { return g }), "supervisor")
	if err != nil {
		return nil, fmt.Errorf("start actors: %w", err)
	}
	s.guardian = pid
	<-g.ready
	return s, nil
}

// shrinkRegistry leaves one of the thousand maps that an actor system keeps its actors
// in, three quarters of all that an idle supervisor would hold. The one has
// locks enough for a Restarter per plugin. Nothing may use the system yet.
func shrinkRegistry(r *actor.SliceMap) {
	one := r.LocalPIDs[0]
	for _, m := range r.LocalPIDs[1:] {
		m.IterCb(func(id string, process any) { one.Set(id, process) })
	}
	r.LocalPIDs = slices.Clone(r.LocalPIDs[:1])
}

// guardian is the Coordinator's parent. The Coordinator is vital: when it
// ends, the guardian does not start it again with its memory gone, it ends the
// process, whose successor begins with what was saved (EV-19).
type guardian struct {
	system      *System
	coordinator *actor.Props
	ready       chan struct{} // closed when the Coordinator was spawned
	draining    bool
	failure     error
}

// drain makes the guardian expect the Coordinator's end.
type drain struct{}

func (g *guardian) Receive(c actor.Context) {
	switch c.Message().(type) {
	case *actor.Started:
		pid, err := c.SpawnNamed(g.coordinator, "coordinator")
		if err != nil {
			panic(fmt.Errorf("spawn coordinator: %w", err)) // a fresh system has no such name
		}
		g.system.coordinator = pid
		close(g.ready)
	case drain:
		g.draining = true
		c.Stop(c.Self())
	case *actor.Terminated:
		if !g.draining {
			g.system.err = cmp.Or(g.failure, errors.New("the coordinator stopped"))
			close(g.system.done)
		}
	}
}

// HandleFailure ends a Coordinator that panicked.
func (g *guardian) HandleFailure(_ *actor.ActorSystem, sup actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, _ any) {
	g.failure = fmt.Errorf("the coordinator panicked: %v", reason)
	sup.StopChildren(child)
}

// Done is closed when a vital actor ended; Err then says why. The process has
// to end and be started again: its plugins keep running.
func (s *System) Done() <-chan struct{} { return s.done }

// Err is why Done was closed, nil as long as it is not.
func (s *System) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Status is everything the Coordinator knows. It fails when ctx ends first.
func (s *System) Status(ctx context.Context) (plugin.Snapshot, error) {
	answer, err := s.askCoordinator(ctx, messages.GetStatus{})
	if err != nil {
		return plugin.Snapshot{}, err
	}
	status, ok := answer.(messages.Status)
	if !ok {
		return plugin.Snapshot{}, fmt.Errorf("coordinator answered with %T", answer)
	}
	status.Snapshot.Counters.DeadLetters = s.deadLetters.Load()
	return status.Snapshot, nil
}

// StartPlugin has a plugin started now, also one that an operator stopped. The
// error says why it was rejected; nil means it will be done, not that it was.
func (s *System) StartPlugin(ctx context.Context, name string) error {
	return s.sendCommand(ctx, messages.StartPlugin{Name: name})
}

// ForceStartPlugin is StartPlugin that does not wait until no other program holds
// the plugin's name lock (RS-11).
func (s *System) ForceStartPlugin(ctx context.Context, name string) error {
	return s.sendCommand(ctx, messages.StartPlugin{Name: name, Force: true})
}

// StopPlugin has a plugin stopped; it stays so until StartPlugin or RestartPlugin (EV-14).
func (s *System) StopPlugin(ctx context.Context, name string) error {
	return s.sendCommand(ctx, messages.StopPlugin{Name: name})
}

// RestartPlugin has a plugin stopped and started.
func (s *System) RestartPlugin(ctx context.Context, name string) error {
	return s.sendCommand(ctx, messages.RestartPlugin{Name: name})
}

// ChangePlugin has a plugin installed, upgraded, rolled back or removed, beside
// changes of other plugins (UP-11).
func (s *System) ChangePlugin(ctx context.Context, change plugin.Change) error {
	return s.sendCommand(ctx, messages.ChangePlugin{Change: change})
}

// CancelChange has the change of a plugin ended that is under way: a fetch is
// cancelled, a switch is undone (UP-12).
func (s *System) CancelChange(ctx context.Context, name string) error {
	return s.sendCommand(ctx, messages.CancelChange{Name: name})
}

// EnqueueReport has a status delivered that a command could not deliver, unless
// something later is known (CL-20). It returns once that is saved.
func (s *System) EnqueueReport(ctx context.Context, r plugin.LateReport) error {
	return s.sendCommand(ctx, messages.EnqueueReport{Report: r})
}

// CheckUpdates makes the update check due now.
func (s *System) CheckUpdates(ctx context.Context) error {
	return s.sendCommand(ctx, messages.CheckUpdatesNow{})
}

// Follow tells every entry of the journal after it was saved, until ctx ends.
// tell runs on the Coordinator's goroutine and must not block.
func (s *System) Follow(ctx context.Context, tell func(plugin.Entry)) error {
	subscription := s.actors.EventStream.Subscribe(func(e any) {
		if r, ok := e.(messages.Recorded); ok {
			tell(r.Entry)
		}
	})
	defer s.actors.EventStream.Unsubscribe(subscription)
	select {
	case <-ctx.Done():
		return nil
	case <-s.done:
		return s.err
	}
}

// ClockStepped tells that the wall clock was set or the host was suspended (TM-07).
func (s *System) ClockStepped() { s.actors.Root.Send(s.coordinator, messages.ClockStepped{}) }

// NoteProblem reports that a part of the supervisor does not work and is tried
// again, or with a nil error that it works again: in status, journal and log.
func (s *System) NoteProblem(what string, err error) {
	s.actors.Root.Send(s.coordinator, messages.ProblemNoted{What: what, Err: err})
}

// NoteHostEvent adds to the journal what was found on the host and what was done.
func (s *System) NoteHostEvent(cause, decision string) {
	s.actors.Root.Send(s.coordinator, messages.HostNoted{Cause: cause, Decision: decision})
}

func (s *System) sendCommand(ctx context.Context, order any) error {
	answer, err := s.askCoordinator(ctx, order)
	if err != nil {
		return err
	}
	if no, rejected := answer.(messages.Rejected); rejected {
		if no.Unknown {
			return fmt.Errorf("%w: %s", plugin.ErrNoPlugin, no.Why)
		}
		return errors.New(no.Why)
	}
	return nil
}

// answerTimeout is how long an answer is waited for when ctx has no end.
const answerTimeout = 10 * time.Second

// askCoordinator is the one place where a future is used: a goroutine outside the actors waits for an answer.
func (s *System) askCoordinator(ctx context.Context, question any) (any, error) {
	limit := answerTimeout
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline))
	}
	if limit <= 0 {
		return nil, context.DeadlineExceeded
	}
	answer, err := s.actors.Root.RequestFuture(s.coordinator, question, limit).Result()
	switch {
	case errors.Is(err, actor.ErrTimeout):
		return nil, context.DeadlineExceeded
	case err != nil:
		return nil, fmt.Errorf("ask coordinator: %w", err)
	}
	return answer, nil
}

// Drain ends all actors and waits until they are gone, or ctx ends. Waiting
// restarts end at once, running ones are cancelled; plugins keep running and
// what is owed stays saved (RS-10, TM-08).
func (s *System) Drain(ctx context.Context) error {
	gone := make(chan struct{})
	watcher := s.actors.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		switch c.Message().(type) {
		case *actor.Started:
			c.Watch(s.guardian)
			c.Send(s.guardian, drain{})
		case *actor.Terminated:
			close(gone)
			c.Stop(c.Self())
		}
	}))
	select {
	case <-gone:
		s.actors.Shutdown()
		return nil
	case <-ctx.Done():
		s.actors.Root.Stop(watcher)
		return fmt.Errorf("drain actors: %w", ctx.Err())
	}
}
