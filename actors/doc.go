// Package actors is the supervisor: a Coordinator that decides everything,
// and a crew that carries its orders out.
//
//	alarms ──…Due──▶ Coordinator ──Scan─────────────▶ Scanner   `--status` of all; a second one for single plugins
//	                  │  ▲       ──Pull─────────────▶ Puller    heartbeat files
//	                  │  │       ──CollectInventory─▶ Inventory
//	                  │  │       ──CheckUpdates, Upgrade ▶ Upgrader
//	                  │  └── …Completed ── all of them
//	                  ├──spawns──▶ Restarter: one attempt at one plugin ──RestartSucceeded, RestartFailed──▶
//	                  └──Report, SendEvent──▶ Reporter ──ReportDelivered, ReportFailed──▶
//
// One owner for every piece of state: the Coordinator. Its dense decisions are
// small types without actors in them — period (when something is due), ledger
// (what the control plane knows and is owed), outbox (events), slots (starts
// at once), retry and nthBackoff (how long to wait) — each with a table test.
// Workers own nothing between orders, so a crash costs one order.
//
// Handlers never block: long work runs in a goroutine (work) that ends with a
// message. What has to survive is saved before it is acted on (coordinator.commit).
// The world is behind the ports of ports.go; System is the one door in.
package actors
