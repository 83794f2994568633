package service

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/pause"
)

// Starting is a program that was started and is not ready yet (AP-01).
type Starting struct {
	Ready        Ready
	Answered     bool            // its address answered before the start, see AnswersAlready
	Limit        time.Duration   // the longest wait, if that is less than the timeout of Ready
	Exited       <-chan struct{} // closed when the started process has exited
	CheckRunning func() error    // returns nil if the program runs, perhaps in the background
	Run          Runner          // of the command of the check
}

// Pauses between checks whether the program is ready.
const (
	firstReadyPause = 10 * time.Millisecond
	maxReadyPause   = 250 * time.Millisecond
	maxReadyCheck   = 5 * time.Second // timeout of one check
)

// settleTime is the time that a program must run after it became ready, if its address
// answered before the start.
const settleTime = time.Second

// AnswersAlready reports whether the address of the check answers before the start.
func (r Ready) AnswersAlready(ctx context.Context) bool {
	return r.IsSet() && len(r.Command) == 0 && r.Check.Run(ctx, 250*time.Millisecond, nil) == nil
}

// Wait waits until the program is ready. It returns an error when it is not in time.
func (s Starting) Wait(ctx context.Context) error {
	if !s.Ready.IsSet() {
		return s.waitRunning(ctx, s.Ready.After)
	}
	err := s.waitReady(ctx)
	if err == nil && s.Answered {
		err = s.waitRunning(ctx, settleTime)
	}
	if err != nil && s.Answered {
		err = fmt.Errorf("%w (%v answered before the program was started: is its port taken?)", err, s.Ready.Check)
	}
	return err
}

// waitReady waits until the check passes.
func (s Starting) waitReady(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, max(0, min(s.Ready.Timeout, s.Limit)))
	defer cancel()
	began := time.Now()
	var last error
	for pauses := pause.NewDoubling(firstReadyPause, maxReadyPause); ; {
		if err := s.CheckRunning(); err != nil {
			return err
		}
		err := s.Ready.Run(waiting, maxReadyCheck, s.Run)
		if err == nil {
			return s.CheckRunning()
		}
		if last == nil || waiting.Err() == nil {
			last = err
		}
		next := time.NewTimer(pauses.Next())
		select {
		case <-waiting.Done():
			return notReadyError(ctx, time.Since(began), last)
		case <-s.Exited:
			next.Reset(maxReadyPause) // a program in the background is checked again later
			select {
			case <-next.C:
			case <-waiting.Done():
				return notReadyError(ctx, time.Since(began), last)
			}
		case <-next.C:
		}
	}
}

func notReadyError(ctx context.Context, after time.Duration, last error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted before the program was ready: %w", last)
	}
	return fmt.Errorf("not ready within %v: %w", after.Round(10*time.Millisecond), last)
}

// waitRunning waits for d and returns an error when the program exits before.
func (s Starting) waitRunning(ctx context.Context, d time.Duration) error {
	next := time.NewTimer(d)
	defer next.Stop()
	select {
	case <-next.C:
	case <-s.Exited:
		if err := s.CheckRunning(); err != nil {
			return err
		}
		select { // it is in the background
		case <-next.C:
		case <-ctx.Done():
		}
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return errors.New("interrupted before the program was ready")
	}
	return s.CheckRunning()
}

// ExitedEarlyError returns the error of a program that exited before it was ready.
func ExitedEarlyError(program string, code int, signal syscall.Signal) error {
	how := fmt.Sprintf("exited with status %d", code)
	if signal != 0 {
		how = "was killed by " + unix.SignalName(signal)
	}
	return fmt.Errorf("%s %s before it was ready", program, how)
}

// WithLastOutput adds the last line that a program has printed to the error of its start.
func WithLastOutput(err error, output string) error {
	if line := LastLine(output); line != "" {
		return fmt.Errorf("%w; last output: %s", err, line)
	}
	return err
}
