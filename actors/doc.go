// Package actors is the supervisor: a Coordinator that owns all state, and
// workers that carry its orders out.
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
// The decisions are in package policy, without actors. The Coordinator hands a
// fact over, saves what changed, and carries out the effects that it got back:
// coordinator.go has that loop, and coordinator_X.go the messages of the
// conversation X in package messages. Workers own nothing between orders, so a
// crash costs one order.
//
// Handlers never block: long work runs in a goroutine (work) that ends with a
// message. What has to survive is saved before it is acted on (commit). The
// world is behind the ports of ports.go; System is the one way in.
package actors
