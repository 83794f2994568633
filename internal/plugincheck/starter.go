package plugincheck

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"pluginsupervisor/internal/pause"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/verb"
	"pluginsupervisor/plugin"
)

// pipeWithin is how long the daemon may take to close the starter's pipe.
const pipeWithin = time.Second

// checkInheritedFiles starts the plugin as a shell does that reads its output: by
// a starter that gives it a pipe. The pipe must be closed when --start has
// returned, else the shell waits for the daemon, and the daemon is killed by
// SIGPIPE when the shell has exited.
//
// The starter is killed with its process group afterwards, see
// checkStarterDeath.
func checkInheritedFiles(ctx context.Context, s *subject) (verdict, error) {
	if err := s.ensureStopped(ctx); err != nil {
		return verdict{}, err
	}
	r, isOpen, err := s.startFromShell(ctx)
	switch {
	case err != nil:
		return verdict{}, err
	case r.Err != nil:
		return fail("--start exits 0 when its output is a pipe", "--start: "+r.Err.Error(), "run it in a shell: PLUGIN_DIR=$PWD ./"+s.plugin.RunPath+" --start | cat")
	case isOpen:
		return fail("the daemon closes the files that --start was given, but for a regular file as its log",
			fmt.Sprintf("%s keeps the pipe of its starter open: the starter waits for it, and it is killed by SIGPIPE once the starter has exited", s.describe(s.daemons(ctx)...)),
			"redirect the daemon's output when it is no regular file, and close other descriptors: setsid ./program </dev/null >/dev/null 2>&1 &")
	}
	return pass()
}

// startFromShell runs --start by a shell with a pipe as its output. The runner
// kills the shell's process group when the shell has exited. isOpen reports that
// a process still had the pipe open afterwards.
func (s *subject) startFromShell(ctx context.Context) (r process.Result, isOpen bool, err error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return r, false, err
	}
	defer null.Close()
	output, input, err := os.Pipe()
	if err != nil {
		return r, false, err
	}
	defer output.Close()
	s.noteExit(plugin.Exit{}) // of an earlier run
	closed := make(chan error, 1)
	go func() { closed <- drain(output) }()
	r = s.runner.Run(ctx, process.Command{
		Path: "/bin/sh", Args: []string{"-c", `"$0" "$1"; exit $?`, filepath.Join(s.dir(), s.plugin.RunPath), string(plugin.VerbStart)},
		Env:     slices.Concat(os.Environ(), process.PluginEnv(s.dir(), "")),
		Timeout: verb.Deadline(s.plugin), Streams: &process.Streams{In: null, Out: input, Err: input},
	})
	if err := errors.Join(input.Close(), output.SetReadDeadline(time.Now().Add(pipeWithin))); err != nil {
		return r, false, err
	}
	err = <-closed
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return r, true, nil
	}
	return r, false, err
}

// drain reads a pipe until no process has its other end open.
func drain(pipe *os.File) error {
	for b := make([]byte, 4<<10); ; {
		if n, err := pipe.Read(b); err != nil && n == 0 {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return err
			}
			return nil
		}
	}
}

// checkStarterDeath checks that the daemon still runs after its starter, a shell,
// was killed with its whole process group.
func checkStarterDeath(ctx context.Context, s *subject) (verdict, error) {
	if err := pause.Sleep(ctx, stays); err != nil {
		return verdict{}, err
	}
	running, cause, err := s.isRunning(ctx, true)
	if err != nil {
		return verdict{}, err
	}
	if !running || len(s.processes(ctx)) == 0 {
		return fail("the daemon runs on when its starter and the starter's process group are killed", "it does not run: "+cause+s.explainExit(),
			"start it in a session of its own (setsid), without a parent-death signal, and let it not watch its parent")
	}
	return pass()
}
