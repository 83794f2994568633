package actors

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// testReporter returns a Reporter that sends to a world.
func testReporter(w *actorstest.World) *actor.Props {
	return newReporter(w, w, rand.New(rand.NewPCG(1, 1)))
}

// reportOf returns the order to deliver a report.
func reportOf(gen uint64) messages.Report {
	return messages.Report{Gen: gen, Report: plugin.Report{Entries: []plugin.ReportEntry{{Name: "a"}}}}
}

// reportTimes returns when reports were sent.
func reportTimes(w *actorstest.World) (at []time.Duration) {
	for _, r := range w.TakeReports() {
		at = append(at, r.At)
	}
	return at
}

// wantBackoff checks that the tries are about 2 s apart, then longer and longer, at
// most 5 min.
func wantBackoff(t *testing.T, at []time.Duration) {
	t.Helper()
	want := deliveryInitial
	for i := 1; i < len(at); i++ {
		if gap := at[i] - at[i-1]; gap < want*7/10 || gap > min(want*13/10, deliveryLongest+10*time.Second) {
			t.Errorf("try %d came %v after the one before, want about %v", i+1, gap, want)
		}
		want = min(2*want, deliveryLongest)
	}
}

// Whether a failed delivery is tried again, and how long the server wants no request,
// by the error.
func TestRetry(t *testing.T) {
	refusal := func(code int, after time.Duration) error {
		return fmt.Errorf("report status: %w", &plugin.HTTPError{Code: code, RetryAfter: after})
	}
	for name, test := range map[string]struct {
		err   error
		after time.Duration
		final bool
	}{
		"SC-17 no answer":            {errAway, 0, false},
		"SC-20 400":                  {refusal(400, 0), 0, true},
		"SC-20 404 with Retry-After": {refusal(404, time.Minute), time.Minute, true},
		"SC-20 408":                  {refusal(408, 0), 0, false},
		"SC-20 425":                  {refusal(425, 0), 0, false},
		"SC-20 429":                  {refusal(429, 10*time.Second), 10 * time.Second, false},
		"SC-20 499":                  {refusal(499, 0), 0, true},
		"SC-17 500":                  {refusal(500, 0), 0, false},
		"SC-17 503 with Retry-After": {refusal(503, 90*time.Second), 90 * time.Second, false},
		"SC-17 a redirect":           {refusal(302, 0), 0, false},
		"SC-17 a Retry-After of a day is an hour":    {refusal(503, 24*time.Hour), longestRetryAfter, false},
		"SC-17 a Retry-After in the past is nothing": {refusal(503, -time.Second), 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := retryAfter(test.err); got != test.after {
				t.Errorf("retry after %v, want %v", got, test.after)
			}
			if got := isFinalRefusal(test.err); got != test.final {
				t.Errorf("final %v, want %v", got, test.final)
			}
		})
	}
}

func TestReporterBackoff(t *testing.T) {
	t.Run("SC-17 newer reports during an outage do not reset the backoff", func(t *testing.T) {
		for name, latency := range map[string]time.Duration{"one waits": 0, "one is under way": 7 * time.Second} {
			t.Run(name, func(t *testing.T) {
				w := actorstest.NewWorld()
				w.OnReport, w.Latency = failing(1<<30, &plugin.HTTPError{Code: 503}), latency
				withWorker(t, testReporter(w), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
					for gen := range uint64(1200) {
						order(reportOf(gen))
						actorstest.Advance(3 * time.Second)
					}
					at := reportTimes(w)
					if len(at) < 15 || len(at) > 25 {
						t.Errorf("%d requests in an hour, at %v; want 15 to 25", len(at), at)
					}
					if latency == 0 {
						wantBackoff(t, at)
					}
					got := parent.Take()
					if f := actorstest.Messages[messages.ReportFailed](got); len(f) == 0 || f[len(f)-1].Try != len(f) || f[len(f)-1].NextTry.IsZero() {
						t.Errorf("%d failed, the last one %+v; want some, the last with try %d and a next try", len(f), f[len(f)-1], len(f))
					}
					if r := actorstest.Messages[messages.ReportReplaced](got); len(r) != 1199 {
						t.Errorf("%d replaced, want 1199", len(r))
					}
				})
			})
		}
	})
	t.Run("SC-17 a success resets the backoff: the next report is sent at once", func(t *testing.T) {
		w := actorstest.NewWorld()
		w.OnReport = failing(8, errAway)
		withWorker(t, testReporter(w), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(reportOf(1))
			actorstest.Advance(20 * time.Minute)
			wantBackoff(t, reportTimes(w))
			if d := actorstest.Messages[messages.ReportDelivered](parent.Take()); len(d) != 1 || d[0].Gen != 1 {
				t.Fatalf("delivered %v; want 1, gen 1", d)
			}
			w.Set(func() { w.Latency, w.OnReport = 4*time.Second, nil })
			order(reportOf(2))
			actorstest.Advance(time.Second)
			order(reportOf(3))
			actorstest.Advance(10 * time.Second)
			w.Set(func() { w.OnReport = failing(1<<30, errAway) })
			order(reportOf(4))
			actorstest.Advance(20 * time.Second)
			base := 20 * time.Minute
			at := reportTimes(w)
			if len(at) < 4 || !slices.Equal(at[:3], []time.Duration{base, base + 4*time.Second, base + 11*time.Second}) {
				t.Fatalf("sent at %v; want at least 4, the first at %v", at, []time.Duration{base, base + 4*time.Second, base + 11*time.Second})
			}
			if gap := at[3] - at[2] - w.Latency; gap > 3*time.Second {
				t.Errorf("the first failure after a success was tried again after %v, want at most %v", gap, 3*time.Second)
			}
		})
	})
	t.Run("SC-17 Retry-After is honoured by newer reports, up to an hour", func(t *testing.T) {
		for after, want := range map[time.Duration]time.Duration{10 * time.Minute: 10 * time.Minute, 5 * time.Hour: time.Hour} {
			w := actorstest.NewWorld()
			w.OnReport = failing(1, &plugin.HTTPError{Code: 503, RetryAfter: after})
			withWorker(t, testReporter(w), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
				order(reportOf(1))
				actorstest.Advance(time.Minute)
				order(reportOf(2))
				actorstest.Advance(2 * time.Hour)
				if at := reportTimes(w); !slices.Equal(at, []time.Duration{0, want}) {
					t.Errorf("sent at %v, want the second at %v", at, want)
				}
				if d := actorstest.Messages[messages.ReportDelivered](parent.Take()); len(d) != 1 || d[0].Gen != 2 {
					t.Errorf("delivered %v; want 1, gen 2", d)
				}
			})
		}
	})
}

func TestReporterRefusal(t *testing.T) {
	t.Run("SC-20 a refused report is given up, and newer ones keep the backoff", func(t *testing.T) {
		w := actorstest.NewWorld()
		w.OnReport = failing(1<<30, &plugin.HTTPError{Code: 403})
		withWorker(t, testReporter(w), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(reportOf(1))
			actorstest.Advance(time.Hour)
			f := actorstest.Messages[messages.ReportFailed](parent.Take())
			if len(f) != 1 || !f[0].NextTry.IsZero() || len(reportTimes(w)) != 1 {
				t.Errorf("failed %+v; want 1 without a next try, and 1 request", f)
			}
			for gen := range uint64(1200) {
				order(reportOf(2 + gen))
				actorstest.Advance(3 * time.Second)
			}
			if at := reportTimes(w); len(at) < 15 || len(at) > 25 {
				t.Errorf("%d requests in an hour; want 15 to 25", len(at))
			}
		})
	})
	t.Run("LR-04 a refused event does not delay the next event", func(t *testing.T) {
		w := actorstest.NewWorld()
		w.OnEvent = func(n int) error {
			if n == 3 {
				return nil
			}
			return &plugin.HTTPError{Code: 413}
		}
		withWorker(t, testReporter(w), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			for gen := range uint64(3) {
				order(messages.SendEvent{Gen: gen})
			}
			got := parent.Take()
			if f := actorstest.Messages[messages.EventFailed](got); len(f) != 2 || !f[1].NextTry.IsZero() {
				t.Errorf("failed %+v; want 2, the second without a next try", f)
			}
			if d := actorstest.Messages[messages.EventDelivered](got); len(d) != 1 || d[0].Gen != 2 {
				t.Errorf("delivered %+v; want 1, gen 2", d)
			}
		})
	})
}

func TestReporter(t *testing.T) {
	t.Run("a report that a newer one replaced is answered with ReportReplaced", func(t *testing.T) {
		w := actorstest.NewWorld()
		w.OnReport, w.Latency = failing(1<<30, errAway), 3*time.Second
		withWorker(t, testReporter(w), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(reportOf(1))
			actorstest.Advance(time.Second) // 1 is under way
			order(reportOf(2))
			order(reportOf(3)) // replaces 2, which was never sent
			actorstest.Advance(time.Second)
			if got := actorstest.Messages[messages.ReportReplaced](parent.Take()); len(got) != 1 || got[0].Gen != 2 {
				t.Errorf("replaced %v; want 1, gen 2", got)
			}
			actorstest.Advance(8 * time.Second) // 1 has failed, 3 follows 2 s later and fails
			got := parent.Take()
			if r := actorstest.Messages[messages.ReportReplaced](got); len(r) != 1 || r[0].Gen != 1 {
				t.Errorf("replaced %v; want 1, gen 1", r)
			}
			f := actorstest.Messages[messages.ReportFailed](got)
			if len(f) != 2 || f[0].Gen != 1 || f[1].Gen != 3 || f[1].Try != 2 || f[1].NextTry.IsZero() {
				t.Errorf("failed %v; want 2, gen 1, gen 3, try 2, a next try", f)
			}
			order(reportOf(4)) // 3 waits for its next try
			if r := actorstest.Messages[messages.ReportReplaced](parent.Take()); len(r) != 1 || r[0].Gen != 3 {
				t.Errorf("replaced %v; want 1, gen 3", r)
			}
			actorstest.Advance(20 * time.Second)
			if f := actorstest.Messages[messages.ReportFailed](parent.Take()); len(f) == 0 || f[0].Gen != 4 || f[0].Try != 3 {
				t.Errorf("failed %v; want gen 4, try 3 first", f)
			}
		})
	})
	t.Run("a panic counts as a failed try, and a stopped Reporter sends nothing", func(t *testing.T) {
		w := actorstest.NewWorld()
		w.OnReport = func(n int) (plugin.Answer, error) {
			if n == 1 {
				panic("bug")
			}
			return plugin.Answer{}, errAway
		}
		withWorker(t, testReporter(w), func(t *testing.T, parent *actorstest.Probe, order func(any)) {
			order(reportOf(1))
			actorstest.Advance(3 * time.Second)
			if f := actorstest.Messages[messages.ReportFailed](parent.Take()); len(f) != 2 || f[0].Try != 1 || f[1].Try != 2 {
				t.Errorf("failed %+v; want 2, try 1, try 2", f)
			}
		})
		if n := w.ReportCount; n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
	})
}
