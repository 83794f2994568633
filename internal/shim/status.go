package shim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"pluginsupervisor/internal/pause"
	"pluginsupervisor/internal/service"
)

// checkStatus returns an error when the program does not run or is not healthy (AP-02).
func (s *shim) checkStatus(ctx context.Context) error {
	main, err := s.findMain()
	if err != nil {
		return err
	}
	if main == nil {
		return s.notRunningError()
	}
	if !s.service.Health.IsSet() {
		return nil
	}
	if err := s.loadAccount(); err != nil {
		return err
	}
	if err := s.checkHealth(ctx); err != nil {
		return fmt.Errorf("process %d runs but is not healthy: %w", main.id.PID, err)
	}
	return nil
}

func (s *shim) notRunningError() error {
	p, err := service.ReadRun(s.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("not running")
	case err != nil:
		return fmt.Errorf("not running (%w)", err)
	default:
		return fmt.Errorf("not running: process %d of the last start has exited", p.PID)
	}
}

// maxTryPause is the longest pause between two health checks of a verb.
const maxTryPause = time.Second

// checkHealth runs the health check until it passes, at most Failures times and within the
// deadline.
func (s *shim) checkHealth(ctx context.Context) error {
	h := s.service.Health
	var failed error
	for try := range h.Failures {
		if try > 0 && pause.Sleep(ctx, min(h.Interval, maxTryPause)) != nil {
			break
		}
		left := time.Until(s.deadline)
		if failed != nil && left <= 0 {
			break
		}
		if failed = h.Run(ctx, min(h.Timeout, max(left, time.Millisecond)), s.runCheck); failed == nil {
			return nil
		}
	}
	return failed
}

// runCheck runs the command of a check as the program's user, in its working directory. It
// kills processes that the command leaves.
func (s *shim) runCheck(ctx context.Context, words []string) error {
	c := command{path: s.path(words[0]), args: words[1:], dir: s.path(s.service.WorkingDir)}
	if !s.account.IsCaller() {
		c.path, c.args, c.dir = s.self, append([]string{asWord}, words...), "/"
	}
	_, err := s.runCommand(ctx, c)
	return err
}

// lastLine returns the last line of a text, without trailing empty lines.
func lastLine(text string) string {
	text = strings.TrimRight(text, "\r\n\t ")
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}

// hookError is the exit status of a hook.
type hookError struct{ code int }

func (e *hookError) Error() string { return fmt.Sprintf("exit %d", e.code) }

// runHook runs the command of a verb as the caller, with the caller's streams. Its exit
// status is that of the verb (AP-04).
func (s *shim) runHook(ctx context.Context, words []string) error {
	if len(words) == 0 {
		return nil
	}
	status, err := s.runCommand(ctx, command{path: s.path(words[0]), args: words[1:], dir: s.dir, out: s.out, err: s.err})
	if status > 0 {
		return &hookError{status}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", words[0], err)
	}
	return nil
}
