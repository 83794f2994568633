package policy

import (
	"strings"
	"testing"
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// The delay of a restart, whether it counts as a failure, and its report and journal
// entry, by the way the plugin went down.
func TestPlanRestart(t *testing.T) {
	const second, stagger = time.Second, 10 * time.Second
	started := func(s *subject) { s.apply(seenDead, begun, s.startSucceeds(1)) }
	healthy := func(s *subject) { started(s); s.advance(2 * minute).apply(seenRunning) }
	exitsTwice := func(s *subject) { started(s); s.apply(exitOf(1), begun, s.startSucceeds(2)) }
	for name, test := range map[string]struct {
		before    func(s *subject)
		failures  int // before
		others    int // restarts of other plugins that are pending
		down      Fact
		from, to  time.Duration // the wait is from ≤ wait < to; equal: exactly that
		counted   int           // failures after
		reported  bool
		withCheck bool
		decision  string // of the journal; "" if it writes none
	}{
		"RS-01 SC-14 first seen not running":           {func(*subject) {}, 0, 0, seenDead, 1, stagger, 0, false, true, ""},
		"RS-01 not running after healthy time":         {healthy, 0, 0, seenDead, 1, stagger, 0, false, true, ""},
		"EV-05 exits after healthy time":               {healthy, 0, 0, exitOf(1), 0, 0, 0, false, false, "restart at once"},
		"EV-05 exits with 4 others":                    {healthy, 0, 4, exitOf(1), 1, 200 * time.Millisecond, 0, false, false, "restart in "},
		"EV-05 exits with 1000 others":                 {healthy, 0, 1000, exitOf(1), 1, stagger, 0, false, false, "restart in "},
		"EV-05 the first exit since first started":     {started, 0, 0, exitOf(1), 0, 0, 0, false, false, "restart at once"},
		"EV-05 the second":                             {exitsTwice, 0, 0, exitOf(2), second * 8 / 10, second * 12 / 10, 1, true, true, "restart after a backoff of "},
		"RS-05 not running again before it is healthy": {started, 0, 0, seenDead, second * 8 / 10, second * 12 / 10, 1, false, true, ""},
		"RS-05 the third failure":                      {exitsTwice, 2, 0, exitOf(2), second * 32 / 10, second * 48 / 10, 3, true, true, "restart after a backoff of "},
		"RS-05 the hundredth: at most the longest":     {exitsTwice, 99, 0, exitOf(2), 5 * minute * 8 / 10, 5*minute + 1, 100, true, true, "restart after a backoff of "},
		"RS-05 with others: the backoff alone":         {exitsTwice, 2, 1000, exitOf(2), second * 32 / 10, second * 48 / 10, 3, true, true, "restart after a backoff of "},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSubject(t, plugin.RestartRecord{})
			test.before(s)
			s.others, s.l.Record.Failures = test.others, test.failures
			a := s.apply(test.down).wantSpawn(messages.KindStart)
			if a.Delay < test.from || a.Delay >= max(test.to, test.from+1) {
				t.Errorf("delay %v, want %v to %v", a.Delay, test.from, test.to)
			}
			if s.l.Record.Failures != test.counted {
				t.Errorf("%d failures, want %d", s.l.Record.Failures, test.counted)
			}
			if a.CheckFirst != test.withCheck {
				t.Errorf("--status first: %v, want %v", a.CheckFirst, test.withCheck)
			}
			if e, ok := effect[Report](s); ok != test.reported || ok && e.Status != plugin.StatusFailed {
				t.Errorf("reported %v %v, want %v", ok, e.Status, test.reported)
			}
			state := plugin.StateStarting
			if test.counted > 0 {
				state = plugin.StateCrashLoop
			}
			s.want(Waiting, state)
			if got := s.decisions(); len(got) > 1 || (len(got) == 1) != (test.decision != "") || len(got) == 1 && !strings.HasPrefix(got[0], test.decision) {
				t.Errorf("journal %q, want %q", got, test.decision)
			}
		})
	}
}

// decisions returns the decisions in the journal entries of the last fact.
func (s *subject) decisions() (all []string) {
	for _, e := range s.effects {
		if n, ok := e.(Note); ok && n.Entry.Decision != "" {
			all = append(all, n.Entry.Decision)
		}
	}
	return all
}
