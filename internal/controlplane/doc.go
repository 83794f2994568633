// Package controlplane is the other side of the wire: it hears the reports and
// events of a fleet's hosts, remembers them, and answers with intervals and
// offers. Operators see it all on one page and change it there, by the admin
// API, or by the command line that uses that API.
//
// A request takes this way:
//
//	host ──POST──▶ server.go ─▶ host.go ──decode──▶ wire.go
//	                               │
//	                               ▼
//	                            Store ──queue──▶ writer ──one commit for many──▶ SQLite
//	                               ▲
//	page.go, api.go ────reads──────┘
//
// What was answered 200 is on the disk: every change goes through one writer,
// which commits what has queued up while the last commit was under way, and
// only then lets the requests answer (CP-04). When more is queued than it
// takes, the host is told to come back (429), so a flood costs a bounded amount
// of memory. Reads go past the writer on connections of their own.
//
// Everything a host says is untrusted: it is checked against limits on the way
// in, and escaped and cut on the way out. There is no login yet, so the server
// belongs on a loopback address, where it also refuses requests made in the
// name of another site.
package controlplane
