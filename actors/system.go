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

// System is the running supervisor, and its only interface: nothing outside of this
// package uses actors.
type System struct {
	actors      *actor.ActorSystem
	guardian    *actor.PID
	coordinator *actor.PID
	deadLetters atomic.Uint64
	done        chan struct{}
	err         error // set before done is closed
}

// Start starts the actors with the state that an earlier process saved. The caller
// stops them with Drain, and must watch Done.
func Start(cfg Config, saved plugin.Memory, p Ports) (*System, error) {
	return start(cfg, saved, p, newWorkers(p))
}

// newWorkers returns the workers that use the ports. Each one that needs randomness
// gets a source of its own, seeded by the given one.
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

// start starts the actors with these workers.
func start(cfg Config, saved plugin.Memory, p Ports, workers workerProps) (*System, error) {
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
	g := &guardian{system: s, coordinator: newCoordinator(cfg, saved, p, workers), ready: make(chan struct{})}
	pid, err := s.actors.Root.SpawnNamed(actor.PropsFromProducer(func() actor.Actor { return g }), "supervisor")
	if err != nil {
		return nil, fmt.Errorf("start actors: %w", err)
	}
	s.guardian = pid
	<-g.ready
	return s, nil
}

// shrinkRegistry keeps one of the thousand maps in which an actor system has its
// actors. They are three quarters of the memory of an idle supervisor, and one has
// enough locks for a Restarter per plugin. The system must not be in use yet.
func shrinkRegistry(r *actor.SliceMap) {
	one := r.LocalPIDs[0]
	for _, m := range r.LocalPIDs[1:] {
		m.IterCb(func(id string, process any) { one.Set(id, process) })
	}
	r.LocalPIDs = slices.Clone(r.LocalPIDs[:1])
}

// guardian is the Coordinator's parent. When the Coordinator stops, the guardian does
// not restart it, because its memory is lost. It stops the process, and the next
// process begins with the saved state (EV-19).
type guardian struct {
	system      *System
	coordinator *actor.Props
	ready       chan struct{} // closed when the Coordinator is spawned
	draining    bool
	failure     error
}

// drain makes the guardian stop the Coordinator and itself.
type drain struct{}

func (g *guardian) Receive(c actor.Context) {
	switch c.Message().(type) {
	case *actor.Started:
		pid, err := c.SpawnNamed(g.coordinator, "coordinator")
		if err != nil {
			panic(fmt.Errorf("spawn coordinator: %w", err)) // cannot happen: the name is new
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

// HandleFailure stops a Coordinator that panicked.
func (g *guardian) HandleFailure(_ *actor.ActorSystem, sup actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, _ any) {
	g.failure = fmt.Errorf("the coordinator panicked: %v", reason)
	sup.StopChildren(child)
}

// Done returns a channel that is closed when the Coordinator has stopped; Err returns
// the cause. The process must exit and be started again: its plugins keep running.
func (s *System) Done() <-chan struct{} { return s.done }

// Err returns the reason why Done was closed, nil if it is not.
func (s *System) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Status returns the state of the supervisor. It fails when ctx ends first.
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

// StartPlugin starts a plugin, also one that an operator stopped. It returns when
// the command is accepted, or an error when it is rejected.
func (s *System) StartPlugin(ctx context.Context, name string) error {
	return s.sendCommand(ctx, messages.StartPlugin{Name: name})
}

// ForceStartPlugin is like StartPlugin, but does not wait for another program that
// holds the plugin's name lock (RS-11).
func (s *System) ForceStartPlugin(ctx context.Context, name string) error {
	return s.sendCommand(ctx, messages.StartPlugin{Name: name, Force: true})
}

// StopPlugin stops a plugin until StartPlugin or RestartPlugin (EV-14).
func (s *System) StopPlugin(ctx context.Context, name string) error {
	return s.sendCommand(ctx, messages.StopPlugin{Name: name})
}

// RestartPlugin stops and starts a plugin.
func (s *System) RestartPlugin(ctx context.Context, name string) error {
	return s.sendCommand(ctx, messages.RestartPlugin{Name: name})
}

// ChangePlugin installs, upgrades, rolls back or removes a plugin. Changes of
// several plugins run at the same time (UP-11).
func (s *System) ChangePlugin(ctx context.Context, change plugin.Change) error {
	return s.sendCommand(ctx, messages.ChangePlugin{Change: change})
}

// CancelChange cancels the change of a plugin: a fetch is cancelled, a switch is
// undone (UP-12).
func (s *System) CancelChange(ctx context.Context, name string) error {
	return s.sendCommand(ctx, messages.CancelChange{Name: name})
}

// EnqueueReport makes a status pending that a command could not deliver, unless a
// later one is known (CL-20). It returns when that is saved.
func (s *System) EnqueueReport(ctx context.Context, r plugin.LateReport) error {
	return s.sendCommand(ctx, messages.EnqueueReport{Report: r})
}

// CheckUpdates makes the update check due now.
func (s *System) CheckUpdates(ctx context.Context) error {
	return s.sendCommand(ctx, messages.CheckUpdatesNow{})
}

// Follow calls each with every entry of the journal after it was saved, until ctx
// ends. each runs on the Coordinator's goroutine and must not block.
func (s *System) Follow(ctx context.Context, each func(plugin.Entry)) error {
	subscription := s.actors.EventStream.Subscribe(func(e any) {
		if r, ok := e.(messages.Recorded); ok {
			each(r.Entry)
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

// ClockStepped reports that the wall clock was set or the host was suspended (TM-07).
func (s *System) ClockStepped() { s.actors.Root.Send(s.coordinator, messages.ClockStepped{}) }

// NoteProblem adds a failure of a part of the supervisor, which is retried, to
// status, journal and log. A nil error means that it has recovered.
func (s *System) NoteProblem(what string, err error) {
	s.actors.Root.Send(s.coordinator, messages.ProblemNoted{What: what, Err: err})
}

// NoteHostEvent adds an observation of the host, and what was done, to the journal.
func (s *System) NoteHostEvent(cause, decision string) {
	s.actors.Root.Send(s.coordinator, messages.HostNoted{Cause: cause, Decision: decision})
}

// sendCommand sends a command and returns nil if it was accepted.
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

// answerTimeout is the longest wait for an answer.
const answerTimeout = 10 * time.Second

// askCoordinator sends a question and waits for the answer. Nothing else uses futures.
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

// Drain stops all actors and waits until they have stopped, or ctx ends. Restarts
// are cancelled; plugins keep running and pending reports stay saved (RS-10, TM-08).
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
