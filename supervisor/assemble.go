package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/actors"
	"pluginsupervisor/internal/admin"
	"pluginsupervisor/internal/bounded"
	"pluginsupervisor/internal/clock"
	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/external"
	"pluginsupervisor/internal/heartbeat"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/logfile"
	"pluginsupervisor/internal/native"
	"pluginsupervisor/internal/others"
	"pluginsupervisor/internal/platform"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/internal/sdnotify"
	"pluginsupervisor/internal/state"
	"pluginsupervisor/internal/supply"
	"pluginsupervisor/internal/version"
	"pluginsupervisor/plugin"
)

// drainTimeout is how long the end may take after SIGTERM (EV-16).
const drainTimeout = 10 * time.Second

// assembleAndRun assembles the parts and runs them until ctx ends, then drains them.
// The error says why the supervisor could not start or cannot continue.
func (s *Supervisor) assembleAndRun(ctx context.Context) (err error) {
	cfg, log := *s.loaded, s.log
	for _, w := range s.warnings {
		log.WithField("cause", w.String()).Warn("Configuration warning")
	}
	if err := s.refuseExistingAgent(cfg.Root); err != nil {
		return err
	}
	held, err := takeRoot(cfg.Root, log)
	if err != nil {
		return err
	}
	defer held.Release()

	// What an operator gets wrong shows before anything is touched.
	about := describeSupervisor(cfg, log)
	plane, err := supply.Dial(cfg, about.InstanceID, log)
	if err != nil {
		return err
	}
	defer plane.Close()
	packages, err := supply.New(cfg, plane, log)
	if err != nil {
		return err
	}
	defer packages.Close()
	socket, err := admin.OpenSocket(cfg.Root, cfg.SocketPath(), layout.SecondSocket(realPath(cfg.Root)))
	if err != nil {
		return err
	}
	defer socket.Close()
	var metrics net.Listener
	if cfg.Metrics.Listen != "" {
		if metrics, err = net.Listen("tcp", cfg.Metrics.Listen); err != nil {
			return fmt.Errorf("metrics.listen: %w", err)
		}
		defer metrics.Close()
	}

	memory, remembered, err := state.Open(layout.State(cfg.Root), log)
	if err != nil {
		return fmt.Errorf("open own state: %w", err)
	}
	defer func() { err = errors.Join(err, memory.Close()) }()
	tracker, unlimited, err := newTracker(cfg, s.subreaper, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tracker.Close()) }()
	runner := process.NewRunner(process.Options{Grace: cfg.Restart.KillGrace, Tracker: tracker, Log: log})
	beats, meter := heartbeat.New(cfg.Root), admin.NewMeter()
	policy := newActorConfig(cfg, about)
	manager, watcher, others := newManager(cfg, runner, tracker, memory, beats, packages, log)
	policy.UnfinishedChanges = removeLeftovers(ctx, manager, log)
	policy.UnenforcedLimits = unlimited
	files := newOwnFiles(cfg.Root, held, socket, memory, log)
	handler := s.handler
	if len(cfg.Upgrade.Hook) > 0 {
		hook := updateHook{
			command: cfg.Upgrade.Hook, timeout: cfg.Upgrade.HookTimeout, root: cfg.Root, packages: plane, runner: runner, note: files.noteResult, log: log,
		}
		handler = firstOf(s.handler, hook.handleUpdate)
	}
	system, err := actors.Start(policy, remembered, actors.Ports{
		Manager:         manager,
		Heartbeats:      beats,
		Watcher:         watcher,
		HeartbeatEvents: heartbeat.NewWatcher(beats, log),
		OtherPrograms:   others,
		Meter:           meter,
		ControlPlane:    plane,
		Memory:          memory,
		Clock:           clock.Wall{},
		Rand:            rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		Log:             log,
		UpdateHandler:   handler,
	})
	if err != nil {
		return err
	}
	started := log.WithFields(logrus.Fields{
		"version": about.Version, "root": about.Root, "manager": about.Manager, "instance": about.InstanceID,
		"socket": cfg.SocketPath(), "controlPlane": cfg.ControlPlane.URL,
	})
	if metrics != nil {
		started = started.WithField("metrics", metrics.Addr().String())
	}
	started.Info("Supervisor started")

	seen := &running{System: system, packages: packages, manager: manager, watched: tracker, files: files, memory: memory}
	seen.log, _ = log.Out.(logQueue)
	s.setRunning(seen, "")
	var parts group
	parts.runPart(ctx, "admin socket", func(ctx context.Context) error {
		return socket.Serve(ctx, admin.NewHandler(seen, layout.Supervisor(cfg.Root)), log)
	})
	parts.runPart(ctx, "own files", files.keepFiles)
	if metrics != nil {
		parts.runPart(ctx, "metrics", func(ctx context.Context) error {
			return admin.Serve(ctx, metrics, admin.MetricsHandler(seen, about.Version, meter), log)
		})
	}
	parts.runPart(ctx, "clock", func(ctx context.Context) error {
		if err := clock.Watch(ctx, system.ClockStepped); err != nil {
			log.WithError(err).Warn("A step of the clock will not be noticed")
		}
		<-ctx.Done()
		return nil
	})
	parts.runPart(ctx, "logs, leftovers and left reports", func(ctx context.Context) error {
		limit := logfile.Limit{MaxSize: int64(cfg.Logs.MaxSize), Keep: cfg.Logs.Keep}
		keeper := &logfile.Keeper{Folder: layout.Logs(cfg.Root), Limit: limit, Problem: system.NoteProblem}
		go keeper.Run(ctx) // a disk that does not answer must not delay the end
		go outboxReader{root: cfg.Root, to: system, log: log}.enqueueUntilDone(ctx)
		go sweepLeftovers(ctx, cfg.Root, packages, about.Started, system)
		<-ctx.Done()
		return nil
	})
	if s.serviceManager {
		parts.runPart(ctx, "service manager", func(ctx context.Context) error {
			sdnotify.Run(ctx, system, log)
			<-ctx.Done()
			return nil
		})
	}
	parts.runPart(ctx, "actors", func(ctx context.Context) error {
		select {
		case <-system.Done(): // a vital actor ended (EV-19)
			return system.Err()
		case <-ctx.Done():
			return nil
		}
	})
	failed := parts.waitFailed(ctx)
	if failed != nil {
		log.WithError(failed).Error("Cannot go on; plugins keep running, the next start takes over")
	}
	return errors.Join(failed, drainParts(context.WithoutCancel(ctx), &parts, system, runner, log))
}

// drainParts ends the actors first, who end what they run, and then waits for the
// last process of a verb to be gone (EV-16).
func drainParts(ctx context.Context, parts *group, system *actors.System, runner *process.Runner, log logrus.FieldLogger) error {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	err := errors.Join(system.Drain(ctx), runner.Drain(ctx), parts.stopParts(ctx))
	log.Info("Supervisor ended")
	return err
}

// diskTimeout is how long the disk is waited for at each step of the start.
const diskTimeout = 2 * time.Second

// takeRoot creates the root and the folder that is ours alone, and takes the
// root's lock (EV-15). A disk that refuses or does not answer is no error, as
// long as the root is there: plugins are supervised all the same (EV-28).
func takeRoot(root string, log logrus.FieldLogger) (*lock.Root, error) {
	if err := makeRoot(root); err != nil {
		return nil, fmt.Errorf("cannot use root %s: %w", root, err)
	}
	var hung bounded.Set
	err, late := bounded.Run(&hung, "folder", diskTimeout, func() error { return prepareFolder(layout.Supervisor(root)) }, nil)
	switch err = errors.Join(err, late); {
	case late != nil, durable.IsRefused(err):
		log.WithError(err).WithField("root", root).Error("The root cannot be written, goes on without")
	case err != nil:
		return nil, fmt.Errorf("cannot use root %s: %w", root, err)
	}
	held, err := lock.TakeRoot(root, layout.SupervisorLock(root))
	if err == nil {
		err, _ = bounded.Run(&hung, "lock", diskTimeout, held.Keep, nil) // else ownFiles tries again
		if errors.As(err, new(*lock.HeldError)) {
			held.Release()
		} else {
			err = nil
		}
	}
	if other := (*lock.HeldError)(nil); errors.As(err, &other) {
		return nil, fmt.Errorf("another supervisor has root %s: %w", root, other) // which names its pid (EV-15)
	}
	if err != nil {
		return nil, fmt.Errorf("take root %s: %w", root, err)
	}
	return held, nil
}

// PrepareRoot creates the root and the folder supervisor in it, for a program
// that writes there without a Supervisor.
func PrepareRoot(root string) error {
	err := makeRoot(root)
	if err == nil {
		err = prepareFolder(layout.Supervisor(root))
	}
	if err != nil {
		return fmt.Errorf("cannot use root %s: %w", root, err)
	}
	return nil
}

// makeRoot creates the root: plugins that give up root read their own files below it.
func makeRoot(root string) error { return durable.MakeFolder(root, 0o755) }

// prepareFolder creates our folder and makes sure that it can be written.
func prepareFolder(own string) error {
	if err := durable.MakeFolder(own, 0o750); err != nil {
		return err
	}
	probe, err := os.CreateTemp(own, layout.WritableProbe)
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err // the name of the probe says nothing to anybody
		}
		return fmt.Errorf("its folder supervisor is not writable: %w", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// removeLeftovers removes what an earlier process left behind, and returns the changes
// that it left. Neither is waited for on a disk that does not answer.
func removeLeftovers(ctx context.Context, manager pluginManager, log logrus.FieldLogger) (unfinished []plugin.Change) {
	found := make(chan []plugin.Change, 1)
	_, err := bounded.Run(&bounded.Set{}, "", diskTimeout, func() (none struct{}) {
		left, err := manager.Unfinished()
		if err != nil {
			log.WithError(err).Error("An upgrade that was cut short cannot be read")
		}
		found <- left
		if err := manager.TidyUp(ctx); err != nil {
			log.WithError(err).Warn("Some of what an earlier process left cannot be tidied up")
		}
		return none
	}, nil)
	if err != nil {
		log.WithError(err).Error("Disk hangs, what an earlier process left is tidied up later")
	}
	select {
	case unfinished = <-found:
	default:
	}
	return unfinished
}

// realPath returns the path without symbolic links, where that is known.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// resolveInstanceID returns the name of this host at the control plane.
func resolveInstanceID(cfg config.Config, log logrus.FieldLogger) string {
	who, err := config.InstanceID(cfg.Root, cfg.InstanceID, config.MachineIDFile)
	if err != nil {
		log.WithError(err).Warn("This host will have another id after the next start")
	}
	if who.Recreated {
		log.WithField("instance", who.ID).Warn("The machine or the root was copied: this host has a new instance id")
	}
	return who.ID
}

func describeSupervisor(cfg config.Config, log logrus.FieldLogger) plugin.Supervisor {
	return plugin.Supervisor{
		Version: version.String(), PID: os.Getpid(), Root: cfg.Root, Manager: cfg.Manager, InstanceID: resolveInstanceID(cfg, log), Started: time.Now(),
	}
}

// pluginManager is a manager, native or external, with what only the start and
// the status of the supervisor ask of it.
type pluginManager interface {
	actors.Manager
	Unfinished() ([]plugin.Change, error)          // changes that an earlier process left
	Refused() ([]plugin.QuarantinedVersion, error) // versions in quarantine
	TidyUp(context.Context) error                  // ends what an earlier process left half done
	Problems() []plugin.Problem                    // what an operator may have to do something about
	Unsupported(plugin.Change) error               // why such a change cannot be made
}

// newManager is the native one, or the external program that is configured (SPEC
// 11), whose plugins are not watched (EV-04), and whose own work cannot be told from
// that of other programs.
func newManager(
	cfg config.Config, runner *process.Runner, tracker *process.Tracker, memory *state.Store, beats *heartbeat.Reader, packages native.Packages, log logrus.FieldLogger,
) (pluginManager, actors.Watcher, actors.OtherPrograms) {
	options := registry.Options{Root: cfg.Root, Log: log}
	if memory != nil {
		options.Known = memory.Known
	}
	installed := registry.New(options)
	if cfg.Manager != config.ManagerNative {
		return external.New(external.Options{
			Path: cfg.Manager, Root: cfg.Root, Runner: runner, Registry: installed, Packages: packages, Parallel: cfg.Probe.Parallel, Log: log,
		}), nil, nil
	}
	others := others.New(cfg.Root)
	native := native.New(native.Options{
		OpeningLock: others.OpenOwn,
		Root:        cfg.Root, Runner: runner, Registry: installed, Tracker: tracker, Log: log,
		Parallel: cfg.Probe.Parallel, AllowDowngrade: cfg.Upgrade.AllowDowngrade, Grace: cfg.Restart.KillGrace,
		Prove: cfg.Upgrade.Prove, Quarantine: cfg.Upgrade.Quarantine, Heartbeats: beats, Packages: packages,
		LocalOS: platform.LocalOS(), LocalArch: platform.LocalArch(),
	})
	return native, native, others
}

func newActorConfig(cfg config.Config, about plugin.Supervisor) actors.Config {
	f, r := cfg.FirstRun, cfg.Restart
	return actors.Config{
		Intervals:   cfg.Intervals,
		FirstRun:    actors.FirstRun{Scan: f.Scan, Pull: f.Pull, Update: f.Update, Inventory: f.Inventory, Jitter: f.Jitter},
		AvoidWindow: cfg.AvoidWindow,
		Restart: actors.RestartPolicy{
			Stagger: r.Stagger, Parallel: r.Parallel, BackoffInitial: r.BackoffInitial, BackoffMax: r.BackoffMax,
			HealthyAfter: r.HealthyAfter, OnHang: r.OnHang, OncePerScan: cfg.Manager != config.ManagerNative,
			Burst: r.Burst, Rate: float64(r.Rate),
		},
		LocalArch: platform.LocalArch(), LocalOS: platform.LocalOS(), About: about,
	}
}
