package native

import (
	"context"
	"sync"
	"time"

	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/verb"
	"pluginsupervisor/plugin"
)

// unkillable is how long beyond its deadline and the grace a probe is waited
// for. A process in an uninterruptible sleep, on a file system that does not
// answer, cannot be ended by anybody; the scan must not wait for it.
const unkillable = 5 * time.Second

var errStuck = process.HostFault("--status does not answer and cannot be ended")

// stuck are the plugins whose `--status` could not be ended. They are not
// asked again before it has: else such processes would pile up.
type stuck struct {
	mu   sync.Mutex
	keys map[string]bool
}

func (s *stuck) has(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[key]
}

func (s *stuck) set(key string, is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		s.keys = map[string]bool{}
	}
	if is {
		s.keys[key] = true
	} else {
		delete(s.keys, key)
	}
}

// ask runs `--status` of one plugin, and gives it up when it cannot be ended.
func (m *Manager) ask(ctx context.Context, p plugin.Plugin) process.Result {
	key := p.Key()
	if m.stuck.has(key) {
		return process.Result{ExitCode: -1, Err: errStuck}
	}
	answer := make(chan process.Result)
	givenUp := make(chan struct{})
	go func() {
		r := m.run(ctx, order{plugin: p, verb: plugin.VerbStatus})
		select {
		case answer <- r:
		case <-givenUp:
			m.stuck.set(key, false)
			m.logFor(p).Info("The --status that could not be ended has ended")
		}
	}()
	limit := time.NewTimer(verb.Deadline(p) + m.grace + unkillable)
	defer limit.Stop()
	select {
	case r := <-answer:
		return r
	case <-limit.C:
		m.stuck.set(key, true)
		close(givenUp)
		m.logFor(p).WithError(errStuck).Error("Probe given up")
		return process.Result{ExitCode: -1, Err: errStuck}
	}
}
