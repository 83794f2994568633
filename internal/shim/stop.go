package shim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/pause"
)

// Pauses between checks whether the processes have exited.
const (
	firstStopPause = time.Millisecond
	maxStopPause   = 100 * time.Millisecond
)

// killReserve is the part of a verb's timeout that is reserved for SIGKILL.
const killReserve = 3 * time.Second

// stopProgram stops all processes of the program (AP-03).
func (s *shim) stopProgram(ctx context.Context) error {
	release, err := s.lockFolder(ctx)
	if err != nil {
		return err
	}
	defer release()
	return s.stopProcesses(ctx, s.service.Stop.Timeout)
}

// stopProcesses asks the program to exit, waits for the grace period, kills what is left,
// and returns when no process of the program is left.
func (s *shim) stopProcesses(ctx context.Context, grace time.Duration) error {
	r, err := s.findProcesses()
	if err != nil {
		return err
	}
	if len(r.tree) > 0 {
		r.requestExit(s.service.Stop.Signal)
		grace = max(0, min(grace, time.Until(s.deadline)-killReserve))
		waiting, cancel := context.WithTimeout(ctx, grace)
		r, err = s.waitForExit(waiting, r)
		cancel()
		if err != nil {
			return err
		}
	}
	for pauses := pause.NewDoubling(firstStopPause, maxStopPause); len(r.tree) > 0; {
		for _, p := range r.tree {
			p.sendSignal(syscall.SIGKILL)
		}
		if time.Now().After(s.deadline) {
			return fmt.Errorf("process %d does not exit after SIGKILL (state %c)", r.tree[0].id.PID, r.tree[0].State)
		}
		time.Sleep(pauses.Next())
		if r, err = s.refreshRun(r); err != nil {
			return err
		}
	}
	if err := os.Remove(layout.Run(s.dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		writeLines(s.err, "cannot remove the run record: "+err.Error())
	}
	return nil
}

// requestExit sends the signal to the process group of the program, or to each process if
// only others are left. It continues stopped processes, so that they handle the signal.
func (r run) requestExit(sig syscall.Signal) {
	for _, sig := range []syscall.Signal{sig, syscall.SIGCONT} {
		if m := r.main; m != nil && m.Group > 1 && m.Group != syscall.Getpgrp() && m.isLive() {
			_ = syscall.Kill(-m.Group, sig)
			continue
		}
		for _, p := range r.tree {
			p.sendSignal(sig)
		}
	}
}

// waitForExit waits until no process of the program is left, or ctx is done, and returns the
// rest. When the program exits first, it asks the others to exit.
func (s *shim) waitForExit(ctx context.Context, r run) (run, error) {
	asked := r.main == nil
	for main, pauses := r.main, pause.NewDoubling(firstStopPause, maxStopPause); ; {
		timedOut := pauses.Sleep(ctx) != nil
		if timedOut || main == nil || !main.isLive() {
			var err error
			if r, err = s.refreshRun(r); err != nil || timedOut || len(r.tree) == 0 {
				return r, err
			}
			if !asked {
				asked, r.main = true, nil
				r.requestExit(s.service.Stop.Signal)
			}
		}
	}
}

// refreshRun returns the live processes of the program now. It keeps the known ones: a
// child can no longer be found after its parent has exited.
func (s *shim) refreshRun(before run) (run, error) {
	now, err := s.findProcesses()
	for _, p := range before.tree {
		if p.isLive() && !slices.ContainsFunc(now.tree, func(q proc) bool { return q.id == p.id }) {
			now.tree = append(now.tree, p)
		}
	}
	return now, err
}

// restartProgram stops and starts the program (AP-04).
func (s *shim) restartProgram(ctx context.Context) error {
	release, err := s.lockFolder(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := s.loadAccount(); err != nil {
		return err
	}
	if err := s.stopProcesses(ctx, s.service.Stop.Timeout); err != nil {
		return err
	}
	return s.launchProgram(ctx)
}
