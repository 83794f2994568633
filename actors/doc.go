// Package actors is the supervisor: a Coordinator that owns all state, and workers
// that carry out its orders.
//
//	timers ──…Due──▶ Coordinator ──Scan─────────────▶ Scanner   `--status` of all plugins, or of single ones
//	                  │  ▲       ──Pull─────────────▶ Puller    heartbeat files
//	                  │  │       ──CollectInventory─▶ Inventory
//	                  │  │       ──CheckUpdates, Fetch, ApplyChange ▶ Upgrader
//	                  │  ├── …Completed, Fetched, UpdatesOffered ── all of them
//	                  │  └── PluginExited, HeartbeatLost, HeartbeatSeen ── Watcher
//	                  ├──spawns──▶ Restarter: one attempt at one plugin ──RestartSucceeded, RestartFailed──▶
//	                  └──Report, SendEvent──▶ Reporter ──ReportDelivered, ReportFailed──▶
//
// The decisions are in package policy, without actors. The Coordinator applies a
// fact, saves what changed, and carries out the returned effects: coordinator.go
// has that loop, and coordinator_X.go handles the messages of the conversation X
// in package messages. Workers have no state between orders, so a crash costs one
// order.
//
// Handlers never block: long work runs in a goroutine (work) whose result is a
// message. Durable state is saved before the effects are carried out (commit).
// Everything outside is behind the ports of ports.go; System is the only entry
// point.
package actors
