package actors

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// BenchmarkCoordinatorScale measures the cost to the Coordinator of events of all
// plugins: ten times as many plugins may cost at most twelve times as much.
func BenchmarkCoordinatorScale(b *testing.B) {
	for _, n := range []int{100, 1000, 3000} {
		b.Run("all exit and are restarted/"+strconv.Itoa(n), func(b *testing.B) {
			s := newScaled(b, n, true)
			for run := uint64(1); b.Loop(); run++ {
				for i := range n {
					s.exit(i, run)
				}
				s.await(n)
			}
		})
		b.Run("one exits and is restarted/"+strconv.Itoa(n), func(b *testing.B) {
			s := newScaled(b, n, true)
			for run := uint64(1); b.Loop(); run++ {
				s.exit(0, run)
				s.await(1)
			}
		})
		b.Run("all exit while the control plane is away/"+strconv.Itoa(n), func(b *testing.B) {
			s := newScaled(b, n, false)
			for run := uint64(1); b.Loop(); run++ {
				for i := range n {
					s.exit(i, run)
				}
				s.await(n)
			}
		})
		b.Run("all miss a heartbeat/"+strconv.Itoa(n), func(b *testing.B) {
			s := newScaled(b, n, true)
			for b.Loop() {
				for _, lost := range []bool{true, false} {
					for _, p := range s.list.Plugins {
						event := plugin.HeartbeatEvent{Heartbeat: plugin.Heartbeat{Plugin: p, Found: true, Last: wallClock{}.Now()}, Lost: lost}
						if lost {
							s.send(messages.HeartbeatLost{Event: event})
						} else {
							s.send(messages.HeartbeatSeen{Event: event})
						}
					}
				}
				s.status(b)
			}
		})
		b.Run("status/"+strconv.Itoa(n), func(b *testing.B) {
			s := newScaled(b, n, true)
			for b.Loop() {
				s.status(b)
			}
		})
	}
}

// scaled is a Coordinator with plugins that run, and workers that answer at once.
type scaled struct {
	*System
	list    plugin.List
	started chan struct{}
}

func newScaled(b *testing.B, n int, delivers bool) *scaled {
	s := &scaled{started: make(chan struct{}, 2*n)}
	for i := range n {
		s.list.Plugins = append(s.list.Plugins, actorstest.Persist(uint64(i+1), fmt.Sprintf("plugin-%04d", i)))
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	cfg := DefaultConfig()
	cfg.Restart.Stagger, cfg.Restart.Rate, cfg.Restart.BackoffInitial, cfg.Restart.BackoffMax = 0, 0, 0, 0
	ready := make(chan struct{})
	answer := func(f func(c actor.Context, m any)) *actor.Props {
		return actor.PropsFromFunc(func(c actor.Context) { f(c, c.Message()) })
	}
	system, err := start(cfg, plugin.Memory{}, Ports{
		Memory: noMemory{}, Clock: wallClock{}, Rand: rand.New(rand.NewPCG(1, 1)), Log: log, Watcher: actorstest.Watcher{},
	}, workerProps{
		inventory: answer(func(c actor.Context, m any) {
			if m, ok := m.(messages.CollectInventory); ok {
				c.Respond(messages.InventoryCollected{Gen: m.Gen, List: s.list})
			}
		}),
		watcher: answer(func(c actor.Context, m any) {
			if m, ok := m.(messages.Adopt); ok {
				all := make([]plugin.Observed, len(m.Targets))
				for i, t := range m.Targets {
					all[i] = plugin.Observed{Name: t.Plugin.Name, Watch: plugin.WatchCgroup, RunID: 1, Processes: []plugin.Process{{PID: 1}}}
				}
				c.Respond(messages.Adopted{Gen: m.Gen, Observed: all})
				select {
				case <-ready:
				default:
					close(ready)
				}
			}
		}),
		scanner: answer(func(c actor.Context, m any) {
			if m, ok := m.(messages.Scan); ok {
				probes := make([]plugin.Probe, len(m.Only))
				for i, key := range m.Only {
					id, _ := strconv.Atoi(key[len("plugin-"):])
					probes[i] = plugin.Probe{Plugin: s.list.Plugins[id], Status: plugin.StatusRunning}
				}
				c.Respond(messages.ScanCompleted{Gen: m.Gen, Listed: true, List: s.list, Probes: probes})
			}
		}),
		reporter: answer(func(c actor.Context, m any) {
			if m, ok := m.(messages.Report); ok && delivers {
				c.Respond(messages.ReportDelivered{Gen: m.Gen})
			}
		}),
		puller: answer(func(actor.Context, any) {}), upgrader: answer(func(actor.Context, any) {}),
		restarter: func(a messages.Attempt) *actor.Props {
			return answer(func(c actor.Context, m any) {
				switch m.(type) {
				case *actor.Started:
					c.Request(c.Parent(), messages.SlotRequested{Attempt: a.ID})
				case messages.SlotGranted:
					s.started <- struct{}{}
					c.Request(c.Parent(), messages.RestartSucceeded{Attempt: a.ID, Kind: a.Kind, Outcome: plugin.Outcome{Skipped: true}})
					c.Stop(c.Self())
				}
			})
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	s.System = system
	b.Cleanup(func() {
		if err := s.Drain(context.Background()); err != nil {
			b.Error(err)
		}
	})
	<-ready
	return s
}

func (s *scaled) send(m any) { s.actors.Root.Send(s.coordinator, m) }

// exit reports the exit of one plugin.
func (s *scaled) exit(i int, runID uint64) {
	s.send(messages.PluginExited{Exit: plugin.Exit{Name: s.list.Plugins[i].Name, RunID: runID, CauseKnown: true, Code: 1}})
}

// await waits until n plugins were restarted.
func (s *scaled) await(n int) {
	for range n {
		<-s.started
	}
}

// status waits until all messages before it are handled.
func (s *scaled) status(b *testing.B) {
	if _, err := s.Status(b.Context()); err != nil {
		b.Fatal(err)
	}
}
