package native

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"pluginsupervisor/internal/health"
	"pluginsupervisor/internal/hostfault"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/internal/service"
	"pluginsupervisor/internal/verb"
	"pluginsupervisor/plugin"
)

// launchOrStart starts the program of a plugin's service.yaml without the shim, by one fork
// and one exec (AP-06). Where that is not possible, it runs `--start`: the shim names what
// is wrong.
func (m *Manager) launchOrStart(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	if m.launcher != nil && p.HasService() && !p.Duplicate {
		outcome, err := m.launch(ctx, p)
		if err == nil {
			return outcome
		}
		logFor(m.log, p).WithError(err).Debug("Cannot start the program directly, running --start")
	}
	return m.runStart(ctx, p)
}

// errRuns is returned when the program runs already.
var errRuns = errors.New("the program runs")

// launch starts the program as the shim does: with the same lock, environment, user,
// working directory and record, and the same checks until it is ready. The error is for a
// program that was not started.
func (m *Manager) launch(ctx context.Context, p plugin.Plugin) (plugin.Outcome, error) {
	deadline := time.Now().Add(verb.Deadline(p))
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if _, err := m.findExecutable(p); err != nil {
		return plugin.Outcome{}, err
	}
	dir := m.versionFolder(p.Name, p.Version)
	s, err := service.Read(dir)
	if err != nil {
		return plugin.Outcome{}, err
	}
	account, err := s.Account()
	if err == nil {
		err = account.CheckCaller()
	}
	if err != nil {
		return plugin.Outcome{}, err
	}
	release, err := service.LockFolder(ctx, dir)
	if err != nil {
		return plugin.Outcome{}, err
	}
	defer release()
	if _, _, runs, err := service.ReadRunning(dir); runs || err != nil {
		return plugin.Outcome{}, errors.Join(err, errRuns)
	}
	answered := s.Ready.AnswersAlready(ctx)
	program, err := m.launcher.Launch(ctx, m.programCommand(p, dir, s, account))
	if err != nil {
		_ = os.Remove(layout.Run(dir)) // of the process that could not execute it
		if ctx.Err() != nil || hostfault.Is(err) {
			return failedOutcome(plugin.VerbStart, err), nil
		}
		return plugin.Outcome{}, err
	}
	err = service.Starting{
		Ready: s.Ready, Answered: answered, Limit: time.Until(deadline) - service.KillReserve, Exited: program.Exited(),
		CheckRunning: func() error { return m.checkLaunched(p, program) }, Run: health.NewCommandRunner(m.runner, p, dir, s),
	}.Wait(ctx)
	if err == nil {
		return m.leaveLaunched(p, program), nil
	}
	grace := max(0, min(s.Stop.Timeout, time.Until(deadline)-service.KillReserve))
	if ctx.Err() != nil { // the caller no longer waits
		grace = 0
	}
	r := program.Stop(s.Stop.Signal, grace)
	if len(r.Processes) > 0 && m.killProcesses(context.WithoutCancel(ctx), p) == nil { // outside of its group and leaf
		r.Processes = nil
	}
	_ = os.Remove(layout.Run(dir))
	if errors.Is(err, errExitedEarly) {
		err = service.ExitedEarlyError(s.Command[0], r.ExitCode, r.Signal)
	}
	outcome := verb.Outcome(plugin.VerbStart, r)
	outcome.Err = service.WithLastOutput(err, r.Output)
	return outcome, nil
}

// programCommand returns the command that runs the program.
func (m *Manager) programCommand(p plugin.Plugin, dir string, s service.Service, account *service.Account) process.Command {
	c := process.Command{
		Path: service.ResolvePath(dir, s.Command[0]), Args: s.Command[1:], Dir: service.ResolvePath(dir, s.WorkingDir),
		Env: s.BuildEnvironment(slices.Clone(m.env), dir, "", account), Plugin: p.Name, Log: layout.Log(m.root, p.Name), Session: true,
		BeforeExec: func(id plugin.Process) {
			if err := service.WriteRun(dir, id); err != nil { // it is found without a record, too
				logFor(m.log, p).WithError(err).Debug("Cannot record the process of the program")
			}
		},
	}
	if !account.IsCaller() {
		c.User = &process.User{UID: uint32(account.UID), GID: uint32(account.GID)}
		for _, g := range account.Groups {
			c.User.Groups = append(c.User.Groups, uint32(g))
		}
	}
	return c
}

// errExitedEarly is returned for a program that has exited and has left no process.
var errExitedEarly = errors.New("exited before it was ready")

// checkLaunched returns nil if the program runs, perhaps in the background.
func (m *Manager) checkLaunched(p plugin.Plugin, program *process.Launched) error {
	select {
	case <-program.Exited():
	default:
		if stat, err := procfs.ReadStat(program.PID()); err == nil && stat.Live() {
			return nil
		}
		<-program.Exited()
	}
	if left, err := m.listLeftovers(p); err != nil || len(left) > 0 {
		return err
	}
	return errExitedEarly
}

// leaveLaunched leaves a program running that is ready.
func (m *Manager) leaveLaunched(p plugin.Plugin, program *process.Launched) plugin.Outcome {
	r := program.Leave()
	logFor(m.log, p).WithField("took", r.Took.Round(time.Millisecond).String()).Debug("Program started directly")
	r.ExitCode, r.Err = 0, nil // of a program that put itself in the background
	return verb.Outcome(plugin.VerbStart, r)
}
