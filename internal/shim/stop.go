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

// How often what is to end is looked at.
const (
	firstLook = time.Millisecond
	lastLook  = 100 * time.Millisecond
)

// killTime is what a verb keeps of its deadline to kill what does not exit.
const killTime = 3 * time.Second

// stop stops the program and all that belongs to it (AP-03).
func (s *shim) stop(ctx context.Context) error {
	release, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	return s.end(ctx, s.service.Stop.Timeout)
}

// end asks the program to exit, waits so long, and kills what is left. It returns
// when no process of it is left.
func (s *shim) end(ctx context.Context, grace time.Duration) error {
	r, err := s.find()
	if err != nil {
		return err
	}
	if len(r.tree) > 0 {
		r.ask(s.service.Stop.Signal)
		grace = max(0, min(grace, time.Until(s.deadline)-killTime))
		waiting, cancel := context.WithTimeout(ctx, grace)
		r, err = s.waitGone(waiting, r)
		cancel()
		if err != nil {
			return err
		}
	}
	for pauses := pause.NewDoubling(firstLook, lastLook); len(r.tree) > 0; {
		for _, p := range r.tree {
			p.signal(syscall.SIGKILL)
		}
		if time.Now().After(s.deadline) {
			return fmt.Errorf("process %d does not end after SIGKILL (state %c)", r.tree[0].id.PID, r.tree[0].State)
		}
		time.Sleep(pauses.Next())
		if r, err = s.findAgain(r); err != nil {
			return err
		}
	}
	if err := os.Remove(layout.Run(s.dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		writeLines(s.err, "the run record stays: "+err.Error())
	}
	return nil
}

// ask sends the signal to the process group of the program, or where only other
// processes are left to each of those. What is stopped sees it when it goes on.
func (r run) ask(sig syscall.Signal) {
	for _, sig := range []syscall.Signal{sig, syscall.SIGCONT} {
		if m := r.main; m != nil && m.Group > 1 && m.Group != syscall.Getpgrp() && m.isLive() {
			_ = syscall.Kill(-m.Group, sig)
			continue
		}
		for _, p := range r.tree {
			p.signal(sig)
		}
	}
}

// waitGone waits until no process of the program is left, or ctx ends, and returns
// what is. What outlives the program is asked to exit by itself.
func (s *shim) waitGone(ctx context.Context, r run) (run, error) {
	asked := r.main == nil
	for main, pauses := r.main, pause.NewDoubling(firstLook, lastLook); ; {
		over := pauses.Sleep(ctx) != nil
		if over || main == nil || !main.isLive() {
			var err error
			if r, err = s.findAgain(r); err != nil || over || len(r.tree) == 0 {
				return r, err
			}
			if !asked {
				asked, r.main = true, nil
				r.ask(s.service.Stop.Signal)
			}
		}
	}
}

// findAgain returns the live processes of the program now. What was its child before is
// still known, though the parent may be gone by which it was found.
func (s *shim) findAgain(before run) (run, error) {
	now, err := s.find()
	for _, p := range before.tree {
		if p.isLive() && !slices.ContainsFunc(now.tree, func(q proc) bool { return q.id == p.id }) {
			now.tree = append(now.tree, p)
		}
	}
	return now, err
}

// restart stops the program and starts it (AP-04).
func (s *shim) restart(ctx context.Context) error {
	release, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := s.asAccount(); err != nil {
		return err
	}
	if err := s.end(ctx, s.service.Stop.Timeout); err != nil {
		return err
	}
	return s.launch(ctx)
}
