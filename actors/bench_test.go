package actors

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

type noMemory struct{}

func (noMemory) Save(plugin.Changes) error { return nil }

type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now().Round(0) }

func (c wallClock) Moment() plugin.Moment { return plugin.Moment{Wall: c.Now()} }

// BenchmarkCoordinatorScan measures the cost of one scan result of 1,000 running
// plugins to the Coordinator, from one order to the next.
func BenchmarkCoordinatorScan(b *testing.B) {
	const n = 1000
	list := plugin.List{Plugins: make([]plugin.Plugin, n)}
	probes := make([]plugin.Probe, n)
	for i := range n {
		list.Plugins[i] = actorstest.Persist(uint64(i+1), fmt.Sprintf("plugin-%04d", i))
		probes[i] = plugin.Probe{Plugin: list.Plugins[i], Status: plugin.StatusRunning}
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	scanned := make(chan struct{})
	silent := actor.PropsFromFunc(func(actor.Context) {})
	cfg := testConfig()
	cfg.Intervals.Scan = time.Nanosecond // one scan follows another
	cfg.FirstRun = FirstRun{Pull: 1000 * time.Hour, Update: 1000 * time.Hour, Inventory: 1000 * time.Hour}
	s, err := start(cfg, plugin.Memory{}, Ports{Memory: noMemory{}, Clock: wallClock{}, Rand: rand.New(rand.NewPCG(1, 1)), Log: log}, workerProps{
		scanner: actor.PropsFromFunc(func(c actor.Context) {
			if m, ok := c.Message().(messages.Scan); ok {
				scanned <- struct{}{}
				c.Respond(messages.ScanCompleted{Gen: m.Gen, Listed: true, List: list, Probes: probes})
			}
		}),
		reporter: actor.PropsFromFunc(func(c actor.Context) {
			if m, ok := c.Message().(messages.Report); ok {
				c.Respond(messages.ReportDelivered{Gen: m.Gen})
			}
		}),
		puller: silent, inventory: silent, upgrader: silent, watcher: silent,
		restarter: func(messages.Attempt) *actor.Props { return silent },
	})
	if err != nil {
		b.Fatal(err)
	}
	awaitScan := func() {
		select {
		case <-scanned:
		case <-s.Done():
			b.Fatal("the actors stopped, want that they run")
		}
	}
	awaitScan()
	b.ReportAllocs()
	for b.Loop() {
		awaitScan()
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "plugins/s")
	go func() { // one more order may be under way
		for range scanned {
		}
	}()
	if err := s.Drain(b.Context()); err != nil {
		b.Error(err)
	}
	close(scanned)
}
