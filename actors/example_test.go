package actors

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// testRestart tests the Coordinator with mock messages: a plugin that a scan finds
// stopped is started, and that is reported.
func testRestart(t *testing.T) {
	// In a bubble, time is virtual: it passes only while all actors are idle, and
	// then at once.
	synctest.Test(t, func(t *testing.T) {
		web := actorstest.Persist(1, "web")

		// The mock Scanner answers each order to scan: web is installed and has stopped.
		scanner := &actorstest.Probe{Answer: func(c actor.Context, msg any) {
			if scan, ok := msg.(messages.Scan); ok {
				c.Respond(messages.ScanCompleted{
					Gen: scan.Gen, At: time.Now(), Listed: true, List: plugin.List{Plugins: []plugin.Plugin{web}},
					Probes: []plugin.Probe{{Plugin: web, Status: plugin.StatusFailed, Cause: "exit 1"}},
				})
			}
		}}

		// The mock Reporter delivers each report at once.
		reporter := &actorstest.Probe{Answer: func(c actor.Context, msg any) {
			if report, ok := msg.(messages.Report); ok {
				c.Respond(messages.ReportDelivered{Gen: report.Gen, At: time.Now()})
			}
		}}

		// The Coordinator spawns a Restarter for each attempt. The mock asks for its slot
		// after 5 s, and succeeds as soon as it gets it.
		var attempts []messages.Attempt
		restarter := func(a messages.Attempt) *actor.Props {
			attempts = append(attempts, a)
			return actor.PropsFromFunc(func(c actor.Context) {
				switch c.Message().(type) {
				case *actor.Started:
					root, parent := c.ActorSystem().Root, c.Parent() // an actor never sleeps
					time.AfterFunc(5*time.Second, func() {
						root.Send(parent, messages.SlotRequested{Attempt: a.ID, Key: a.Plugin.Key()})
					})
				case messages.SlotGranted:
					c.Send(c.Parent(), messages.RestartSucceeded{
						Attempt: a.ID, Key: a.Plugin.Key(), Kind: a.Kind, At: time.Now(),
						Probe: plugin.Probe{Plugin: web, Status: plugin.StatusRunning, At: time.Now()},
					})
					c.Stop(c.Self())
				}
			})
		}

		// The other workers get orders and never answer. The World is the state file
		// and the clock. The first scan of testConfig is due after a minute.
		silent := (&actorstest.Probe{}).Props()
		world := actorstest.NewWorld(web)
		system, err := start(testConfig(), world.Saved, worldPorts(world), workerProps{
			scanner: scanner.Props(), reporter: reporter.Props(), restarter: restarter,
			puller: silent, inventory: silent, upgrader: silent, watcher: silent,
		})
		if err != nil {
			t.Fatal(err)
		}

		actorstest.Advance(time.Minute)
		actorstest.Expect[messages.Scan](t, scanner) // fails unless there was exactly one
		if len(attempts) != 1 || attempts[0].Kind != messages.KindStart {
			t.Errorf("attempts after the scan: %+v, want one start", attempts)
		}
		wantState(t, system, "web", plugin.StateStarting)

		actorstest.Advance(5 * time.Second)
		wantState(t, system, "web", plugin.StateRunning)
		report := actorstest.Expect[messages.Report](t, reporter).Report
		if len(report.Entries) != 1 || report.Entries[0].Status != plugin.StatusRunning {
			t.Errorf("reported %+v, want that web is running", report.Entries)
		}

		drainAll(t, system) // stops the actors, and fails the test for what is left behind
	})
}

// ExampleStart shows how an actor test with mock messages is written: see testRestart
// in this file. A test of your own has a name that begins with Test; TestExampleStart
// runs this one.
func ExampleStart() {
	_ = testing.InternalTest{Name: "TestRestart", F: testRestart}
}
