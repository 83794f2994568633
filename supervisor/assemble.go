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
	"pluginsupervisor/internal/packagesource"
	"pluginsupervisor/internal/platform"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/internal/sdnotify"
	"pluginsupervisor/internal/state"
	"pluginsupervisor/internal/version"
	"pluginsupervisor/plugin"
)

// drainTimeout bounds the shutdown after SIGTERM (EV-16).
const drainTimeout = 10 * time.Second

// assembleAndRun assembles the parts, runs them until ctx ends, and drains them.
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

	// Mistakes of the configuration are found before anything is changed.
	about := describeSupervisor(cfg, log)
	client, err := packagesource.NewClient(cfg, about.InstanceID, log)
	if err != nil {
		return err
	}
	defer client.Close()
	packages, err := packagesource.New(cfg, client, log)
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

	memory, saved, err := state.Open(layout.State(cfg.Root), log)
	if err != nil {
		return fmt.Errorf("open the state file: %w", err)
	}
	defer func() { err = errors.Join(err, memory.Close()) }()
	tracker, unenforced, err := newTracker(cfg, s.subreaper, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tracker.Close()) }()
	runner := process.NewRunner(process.Options{Grace: cfg.Restart.KillGrace, Tracker: tracker, Log: log})
	beats, meter := heartbeat.New(cfg.Root), admin.NewMeter()
	actorConfig := newActorConfig(cfg, about)
	manager, watcher, others := newManager(cfg, runner, tracker, memory, beats, packages, log)
	actorConfig.UnfinishedChanges = removeLeftovers(ctx, manager, log)
	actorConfig.UnenforcedLimits = unenforced
	files := newOwnFiles(cfg.Root, held, socket, memory, log)
	handler := s.handler
	if len(cfg.Upgrade.Hook) > 0 {
		hook := updateHook{
			command: cfg.Upgrade.Hook, timeout: cfg.Upgrade.HookTimeout, root: cfg.Root, packages: client, runner: runner, note: files.noteResult, log: log,
		}
		handler = firstOf(s.handler, hook.handleUpdate)
	}
	system, err := actors.Start(actorConfig, saved, actors.Ports{
		Manager:         manager,
		Heartbeats:      beats,
		Watcher:         watcher,
		HeartbeatEvents: heartbeat.NewWatcher(beats, log),
		OtherPrograms:   others,
		Meter:           meter,
		ControlPlane:    client,
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

	live := &running{System: system, packages: packages, manager: manager, tracker: tracker, files: files, memory: memory}
	live.log, _ = log.Out.(logQueue)
	s.setRunning(live, "")
	var parts group
	parts.runPart(ctx, "admin socket", func(ctx context.Context) error {
		return socket.Serve(ctx, admin.NewHandler(live, layout.Supervisor(cfg.Root)), log)
	})
	parts.runPart(ctx, "own files", files.keepFiles)
	if metrics != nil {
		parts.runPart(ctx, "metrics", func(ctx context.Context) error {
			return admin.Serve(ctx, metrics, admin.MetricsHandler(live, about.Version, meter), log)
		})
	}
	parts.runPart(ctx, "clock", func(ctx context.Context) error {
		if err := clock.Watch(ctx, system.ClockStepped); err != nil {
			log.WithError(err).Warn("Cannot watch the clock: its steps are not detected")
		}
		<-ctx.Done()
		return nil
	})
	parts.runPart(ctx, "logs, leftovers and outbox", func(ctx context.Context) error {
		limit := logfile.Limit{MaxSize: int64(cfg.Logs.MaxSize), Keep: cfg.Logs.Keep}
		keeper := &logfile.Keeper{Folder: layout.Logs(cfg.Root), Limit: limit, Problem: system.NoteProblem}
		go keeper.Run(ctx) // a disk that does not answer must not delay the shutdown
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
		case <-system.Done(): // a vital actor stopped (EV-19)
			return system.Err()
		case <-ctx.Done():
			return nil
		}
	})
	failed := parts.waitFailed(ctx)
	if failed != nil {
		log.WithError(failed).Error("Supervisor failed; plugins keep running, the next start re-attaches to them")
	}
	return errors.Join(failed, drainParts(context.WithoutCancel(ctx), &parts, system, runner, log))
}

// drainParts stops the actors first, which stop their workers, and then waits
// until the last process of a verb has exited (EV-16).
func drainParts(ctx context.Context, parts *group, system *actors.System, runner *process.Runner, log logrus.FieldLogger) error {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	err := errors.Join(system.Drain(ctx), runner.Drain(ctx), parts.stopParts(ctx))
	log.Info("Supervisor stopped")
	return err
}

// diskTimeout bounds the wait for the disk at each step of the start.
const diskTimeout = 2 * time.Second

// takeRoot creates the root and the supervisor's own folder, and takes the lock of
// the root (EV-15). A disk that cannot be written or does not answer is no error
// if the root exists: plugins are supervised all the same (EV-28).
func takeRoot(root string, log logrus.FieldLogger) (*lock.Root, error) {
	if err := makeRoot(root); err != nil {
		return nil, fmt.Errorf("cannot use root %s: %w", root, err)
	}
	var hung bounded.Set
	err, late := bounded.Run(&hung, "folder", diskTimeout, func() error { return prepareFolder(layout.Supervisor(root)) }, nil)
	switch err = errors.Join(err, late); {
	case late != nil, durable.IsRefused(err):
		log.WithError(err).WithField("root", root).Error("Cannot write to the root, continuing without")
	case err != nil:
		return nil, fmt.Errorf("cannot use root %s: %w", root, err)
	}
	held, err := lock.TakeRoot(root, layout.SupervisorLock(root))
	if err == nil {
		err, _ = bounded.Run(&hung, "lock", diskTimeout, held.Keep, nil) // ownFiles retries
		if errors.As(err, new(*lock.HeldError)) {
			held.Release()
		} else {
			err = nil
		}
	}
	if other := (*lock.HeldError)(nil); errors.As(err, &other) {
		return nil, fmt.Errorf("another supervisor has root %s: %w", root, other) // the cause names its pid (EV-15)
	}
	if err != nil {
		return nil, fmt.Errorf("lock root %s: %w", root, err)
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

// makeRoot creates the root, readable by plugins that run as another user.
func makeRoot(root string) error { return durable.MakeFolder(root, 0o755) }

// prepareFolder creates the supervisor's own folder and checks that it is writable.
func prepareFolder(own string) error {
	if err := durable.MakeFolder(own, 0o750); err != nil {
		return err
	}
	probe, err := os.CreateTemp(own, layout.WritableProbe)
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err // without the name of the probe file
		}
		return fmt.Errorf("its folder supervisor is not writable: %w", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// removeLeftovers removes temporary files of an earlier process and returns its
// unfinished changes. It does not wait for a disk that does not answer.
func removeLeftovers(ctx context.Context, manager pluginManager, log logrus.FieldLogger) (unfinished []plugin.Change) {
	found := make(chan []plugin.Change, 1)
	_, err := bounded.Run(&bounded.Set{}, "", diskTimeout, func() (none struct{}) {
		left, err := manager.Unfinished()
		if err != nil {
			log.WithError(err).Error("Cannot read interrupted changes")
		}
		found <- left
		if err := manager.CleanUp(ctx); err != nil {
			log.WithError(err).Warn("Cannot remove all leftovers of an earlier process")
		}
		return none
	}, nil)
	if err != nil {
		log.WithError(err).Error("Disk does not answer: leftovers of an earlier process are removed later")
	}
	select {
	case unfinished = <-found:
	default:
	}
	return unfinished
}

// realPath returns the path without symbolic links, or path where it cannot be
// resolved.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// resolveInstanceID returns the ID of this host at the control plane.
func resolveInstanceID(cfg config.Config, log logrus.FieldLogger) string {
	who, err := config.InstanceID(cfg.Root, cfg.InstanceID, config.MachineIDFile)
	if err != nil {
		log.WithError(err).Warn("Cannot save the instance ID: the next start uses another one")
	}
	if who.Recreated {
		log.WithField("instance", who.ID).Warn("Machine or root was copied: this host has a new instance ID")
	}
	return who.ID
}

func describeSupervisor(cfg config.Config, log logrus.FieldLogger) plugin.Supervisor {
	return plugin.Supervisor{
		Version: version.String(), PID: os.Getpid(), Root: cfg.Root, Manager: cfg.Manager, InstanceID: resolveInstanceID(cfg, log), Started: time.Now(),
	}
}

// pluginManager is a manager, native or external, with the methods that only the
// start and the status of the supervisor use.
type pluginManager interface {
	actors.Manager
	Unfinished() ([]plugin.Change, error)                  // changes that an earlier process did not finish
	ListQuarantined() ([]plugin.QuarantinedVersion, error) // versions in quarantine
	CleanUp(context.Context) error                         // finishes or removes leftovers of an earlier process
	Problems() []plugin.Problem                            // for the status
	Unsupported(plugin.Change) error                       // nil if the manager can make such a change
}

// newManager returns the native manager, or the configured external program (SPEC
// 11). Plugins of an external program are not watched (EV-04), and its own work is
// not distinguished from that of other programs.
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
	return native, &exitMarks{Watcher: native, root: cfg.Root, log: log}, others
}
