package actors

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

// hangingHeartbeats is a port whose Read returns only when it is cancelled.
type hangingHeartbeats struct{ Heartbeats }

func (h hangingHeartbeats) Read(ctx context.Context, ps []plugin.Plugin, _ time.Time) []plugin.Heartbeat {
	<-ctx.Done()
	return nil
}

// EV-24: a worker that does not answer for minutes is a problem in status; the
// others continue.
func TestHungWorkerIsAProblem(t *testing.T) {
	w := actorstest.NewWorld(actorstest.Persist(1, "a"))
	synctest.Test(t, func(t *testing.T) {
		ports := worldPorts(w)
		ports.Heartbeats = hangingHeartbeats{w}
		s, err := Start(testConfig(), w.Saved, ports)
		if err != nil {
			t.Fatal(err)
		}
		defer drainAll(t, s)
		problem := func() (p plugin.Problem, found bool) {
			all := status(t, s).Problems
			i := slices.IndexFunc(all, func(p plugin.Problem) bool { return p.What == "pull" })
			if i < 0 {
				return p, false
			}
			return all[i], true
		}
		actorstest.Advance(4 * time.Minute)
		if p, found := problem(); found {
			t.Errorf("problem after a minute: %+v, want none", p)
		}
		actorstest.Advance(2 * time.Minute)
		if p, found := problem(); !found || !p.Since.Equal(actorstest.Epoch.Add(3*time.Minute)) {
			t.Errorf("problem after three minutes: %+v, found %v; want one since 3m", p, found)
		}
		wantState(t, s, "a", plugin.StateRunning)
	})
}
