package plugincheck

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/native"
	"pluginsupervisor/internal/pause"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/internal/verb"
	"pluginsupervisor/plugin"
)

const (
	// stays is how long a daemon must run to count as started.
	stays = 500 * time.Millisecond
	// settles is how long processes may take that exit by themselves.
	settles = 2 * time.Second
)

// cannotRun is the verdict on an executable that the kernel cannot run.
func cannotRun(v plugin.Verb, r process.Result) (verdict, error) {
	remedy := "build the executable for this machine, and name it by runPath in config.json"
	switch {
	case errors.Is(r.Err, syscall.ENOEXEC):
		remedy = "begin a script with #!/bin/sh, and build a program for this machine"
	case errors.Is(r.Err, fs.ErrNotExist):
		remedy = "install what runs it: the interpreter of a script, the loader of a dynamically linked program"
	case errors.Is(r.Err, fs.ErrPermission):
		remedy = "set TMPDIR to a folder in which programs may be executed"
	}
	return fail("the executable can be run", fmt.Sprintf("%s: %v", v, r.Err), remedy)
}

// deadlineRemedy ends what is said about a verb that takes too long.
const deadlineRemedy = ", or set a longer timeout in config.json"

func checkStatusBefore(ctx context.Context, s *subject) (verdict, error) {
	probe, err := s.status(ctx)
	switch {
	case err != nil:
		return verdict{}, err
	case probe.NoAnswer:
		return fail(fmt.Sprintf("--status exits within %v", verb.Deadline(s.plugin)), "--status hangs: "+probe.Cause,
			"let --status check the process and exit at once, without waiting for anything"+deadlineRemedy)
	case probe.Status == plugin.StatusRunning:
		return fail("an exit status other than 0, as nothing was started", "--status exits 0",
			"let --status exit 0 only when the process that --start recorded is alive, and 1 otherwise")
	}
	s.answers = true
	return pass()
}

func checkStart(ctx context.Context, s *subject) (verdict, error) {
	r := s.run(ctx, plugin.VerbStart)
	switch {
	case !r.Started:
		return cannotRun(plugin.VerbStart, r)
	case r.TimedOut && s.plugin.Type == plugin.Persist:
		return fail(fmt.Sprintf("--start returns within %v and leaves the daemon in the background", verb.Deadline(s.plugin)),
			"--start does not return: it runs in the foreground, or waits for something"+s.printed(r.Output),
			"start the program in the background, in a session of its own (setsid), or let `supervisor plugin wrap` make the plugin"+deadlineRemedy)
	case r.Err != nil:
		return fail("--start exits 0", "--start: "+r.Err.Error()+s.printed(r.Output), "run it by hand: PLUGIN_DIR=$PWD ./"+s.plugin.RunPath+" --start")
	}
	return pass()
}

func checkStatusAfter(ctx context.Context, s *subject) (verdict, error) {
	const expected = "--status exits 0 as soon as --start has returned"
	began := time.Now()
	first, err := s.status(ctx)
	if err != nil || first.Status == plugin.StatusRunning {
		return passUnless(err)
	}
	probe, err := s.confirm(ctx)
	switch {
	case err != nil:
		return verdict{}, err
	case probe.Status == plugin.StatusRunning:
		return fail(expected, fmt.Sprintf("--start returned before the plugin ran: --status reports running only %.1fs later", time.Since(began).Seconds()),
			"let --start return when the daemon is ready and has recorded itself, such as by its pid file")
	case len(s.processes(ctx)) == 0:
		return fail(expected, "nothing runs: "+probe.Cause+s.explainExit(), "let --start fail (exit 1) when the daemon exits at once, and print why")
	}
	return fail(expected, "processes run, but --status says "+probe.Cause, "let --start record the process that --status checks")
}

func checkDaemon(ctx context.Context, s *subject) (verdict, error) {
	if s.plugin.Type == plugin.Once {
		if left := s.waitDaemons(ctx, 0, settles); len(left) > 0 {
			return fail("a plugin of type Once leaves no process", s.describe(left...)+" runs after --start",
				"let --start wait for its work, or set pluginType to Persist in config.json")
		}
		return pass()
	}
	if err := pause.Sleep(ctx, stays); err != nil {
		return verdict{}, err
	}
	left := s.processes(ctx)
	if len(left) == 0 {
		return fail("a process keeps running after --start", "none runs "+stays.String()+" later"+s.explainExit(),
			"start a daemon in --start, let it keep PLUGIN_DIR in its environment, and find out why it exits; a plugin without one is of type Once")
	}
	own, err := unix.Getsid(0)
	if err != nil {
		return verdict{}, err
	}
	for _, p := range left {
		if stat, err := procfs.ReadStat(p.PID); err == nil && stat.Session == own {
			return fail("the daemon has a session of its own", s.describe(p)+" is in the session of its starter, and may be killed with it",
				"start it by setsid: setsid ./program </dev/null &")
		}
	}
	return pass()
}

func checkStartTwice(ctx context.Context, s *subject) (verdict, error) {
	before := s.waitDaemons(ctx, 1, settles)
	r := s.run(ctx, plugin.VerbStart)
	after := s.waitDaemons(ctx, len(before), settles)
	if len(after) > len(before) {
		added := slices.DeleteFunc(after, func(p plugin.Process) bool { return slices.Contains(before, p) })
		names := s.describe(added...)
		if err := s.killAll(ctx); err != nil { // stop is about one daemon
			return verdict{}, err
		}
		return fail("a second --start leaves the plugin as it is", "it started a second daemon: "+names,
			"let --start exit 0 at once when the daemon runs; hold a lock (flock) from that check until it is recorded")
	}
	if r.Err != nil {
		return fail("a second --start exits 0", "--start: "+r.Err.Error()+s.printed(r.Output), "let --start exit 0 when the daemon runs already")
	}
	return pass()
}

func checkStop(ctx context.Context, s *subject) (verdict, error) {
	if failed, err := s.ensureRunning(ctx); failed != nil || err != nil {
		return orFailed(failed, err)
	}
	r := s.run(ctx, plugin.VerbStop)
	left := s.waitStopped(ctx, native.DefaultGrace)
	names := s.describe(left...)
	if err := s.killAll(ctx); err != nil {
		return verdict{}, err
	}
	switch {
	case r.TimedOut:
		return fail(fmt.Sprintf("--stop returns within %v", verb.Deadline(s.plugin)), "--stop hangs"+s.printed(r.Output),
			"send TERM, wait some seconds, then send KILL, and return"+deadlineRemedy)
	case len(left) > 0:
		return fail("--stop leaves no process", fmt.Sprintf("%s still runs %v later", names, native.DefaultGrace),
			"stop all processes: start the daemon by setsid and signal its process group, kill -TERM -- -PID; then send KILL")
	case r.Err != nil:
		return fail("--stop exits 0", "--stop: "+r.Err.Error()+s.printed(r.Output), "exit 0 in --stop when the daemon has exited")
	}
	return pass()
}

// waitStopped waits until no process of the plugin is left, and returns those that
// are.
func (s *subject) waitStopped(ctx context.Context, within time.Duration) []plugin.Process {
	for over := time.Now().Add(within); ; {
		left := s.processes(ctx)
		if len(left) == 0 || time.Now().After(over) || pause.Sleep(ctx, poll) != nil {
			return left
		}
	}
}

func orFailed(failed *verdict, err error) (verdict, error) {
	if failed == nil {
		return verdict{}, err
	}
	return *failed, err
}

func checkStatusStopped(ctx context.Context, s *subject) (verdict, error) {
	probe, err := s.status(ctx)
	if err == nil && probe.Status == plugin.StatusRunning {
		return fail("an exit status other than 0 after --stop", "--status exits 0", "let --stop remove the pid file, and --status check that the process is alive")
	}
	return passUnless(err)
}

func checkStatusKilled(ctx context.Context, s *subject) (verdict, error) {
	if failed, err := s.ensureRunning(ctx); failed != nil || err != nil {
		return orFailed(failed, err)
	}
	if err := s.killAll(ctx); err != nil {
		return verdict{}, err
	}
	probe, err := s.status(ctx)
	if err == nil && probe.Status == plugin.StatusRunning {
		return fail("an exit status other than 0 after the daemon was killed", "--status exits 0: it believes a stale pid file, or does not look for the process",
			"let --status check that the recorded process is alive, by pid and start time: a pid may be reused")
	}
	return passUnless(err)
}

func checkStartKilled(ctx context.Context, s *subject) (verdict, error) {
	if len(s.processes(ctx)) > 0 { // rule status-killed has killed it otherwise
		if err := s.killAll(ctx); err != nil {
			return verdict{}, err
		}
	}
	r := s.run(ctx, plugin.VerbStart)
	running, cause, err := s.isRunning(ctx, true)
	switch {
	case err != nil:
		return verdict{}, err
	case running && len(s.processes(ctx)) > 0:
		return pass()
	case r.Err != nil:
		cause = r.Err.Error()
	case running:
		cause = "--status exits 0, and no process runs"
	}
	return fail("--start starts the plugin after kill -9", "it does not run: "+cause+s.printed(r.Output),
		"let --start check that the process of the pid file is alive, and replace the file when it is not")
}

func checkRestart(ctx context.Context, s *subject) (verdict, error) {
	if failed, err := s.ensureRunning(ctx); failed != nil || err != nil {
		return orFailed(failed, err)
	}
	before := s.waitDaemons(ctx, 1, settles)
	r := s.run(ctx, plugin.VerbRestart)
	if r.Err != nil {
		return fail("--restart exits 0", "--restart: "+r.Err.Error()+s.printed(r.Output), "let --restart do --stop, then --start")
	}
	running, cause, err := s.isRunning(ctx, true)
	if err != nil {
		return verdict{}, err
	}
	after := s.waitDaemons(ctx, len(before), settles)
	same := slices.DeleteFunc(slices.Clone(before), func(p plugin.Process) bool { return !slices.Contains(after, p) })
	const remedy = "let --restart do --stop, then --start"
	switch {
	case !running || len(after) == 0:
		return fail("the plugin runs after --restart", "it does not: "+cause+s.explainExit(), remedy)
	case len(same) > 0:
		return fail("--restart replaces the process", s.describe(same...)+" runs as before", remedy)
	case len(after) > len(before):
		return fail("one daemon runs after --restart", "two run: "+s.describe(after...), remedy+", and wait until the old one has exited")
	}
	return pass()
}

func checkUpgrade(ctx context.Context, s *subject) (verdict, error) {
	if failed, err := s.ensureRunning(ctx); failed != nil || err != nil {
		return orFailed(failed, err)
	}
	before := s.waitDaemons(ctx, 1, settles)
	version := s.plugin.Version + anotherVersion
	file, err := s.repack(version)
	if err != nil {
		return verdict{}, err
	}
	change := plugin.Change{Kind: plugin.ChangeUpgrade, Origin: plugin.FromOperator, Name: s.plugin.Name, Version: version, Package: file, Timeout: verb.Deadline(s.plugin)}
	if err := s.manager.Fetch(ctx, change); err != nil {
		return verdict{}, err
	}
	result := s.manager.Change(ctx, change, plugin.ChangePermit{StatusBefore: plugin.StatusRunning})
	if ctx.Err() != nil {
		return verdict{}, ctx.Err()
	}
	if result.Plugin.Name != "" {
		s.plugin = result.Plugin
	}
	const remedy = "let --upgrade move data from PRE_PLUGIN_DIR and exit 0; the old version was stopped before, and --start follows when --status then reports not running"
	after := s.waitDaemons(ctx, len(before), settles)
	switch {
	case result.Err != nil:
		return fail("the new version runs, and the old one is stopped", result.Err.Error()+s.printed(result.Output), remedy)
	case result.Status != plugin.StatusRunning || len(after) == 0:
		return fail("the new version runs", "it does not run after the upgrade"+s.explainExit(), remedy)
	case len(after) > len(before):
		return fail("only the new version runs", s.describe(after...)+" run after the upgrade", remedy)
	}
	return pass()
}

func checkUninstall(ctx context.Context, s *subject) (verdict, error) {
	change := plugin.Change{Kind: plugin.ChangeRemove, Origin: plugin.FromOperator, Name: s.plugin.Name}
	result := s.manager.Change(ctx, change, plugin.ChangePermit{})
	if ctx.Err() != nil {
		return verdict{}, ctx.Err()
	}
	if result.Err != nil {
		remedy := "exit 0 in --uninstall; any other exit status prevents the removal"
		if strings.Contains(result.Err.Error(), "--stop") {
			remedy = "let --stop end the plugin; it is not removed while it runs"
		}
		return fail("the plugin can be removed", result.Err.Error()+s.printed(result.Output), remedy)
	}
	return pass()
}
