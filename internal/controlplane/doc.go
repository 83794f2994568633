// Package controlplane is the other side of the wire: it hears the reports and
// events of a fleet's hosts, remembers them, and answers with intervals and
// offers, and it has the packages of what it offers. Operators see it all on one
// page and change it there, by the admin API, or by the command line that uses
// that API.
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
// A package is uploaded as a form in one request: upload.go lets it through to
// the disk while digesting it (package depot), and packages.go checks it there as
// a host does before it installs it (package pkgcheck), with the default limits of
// a host. Only then it gets a name and a row. list.go tells hosts what there is, download.go gives it to them. A row's
// file is always there; a file without a row is cleared away at the next start.
// What a URL of a package names are its bytes: one that replaces it has another
// URL, so that caches and half-done downloads never mix the two (CP-06).
//
// Everything a host says is untrusted: it is checked against limits on the way
// in, and escaped and cut on the way out. There is no login yet, so the server
// belongs on a loopback address, where it also refuses requests made in the
// name of another site. links.go decides which address a request comes from and
// by which name the server was reached, through proxies that are trusted.
//
// Hosts with the existing agent are served, too (CP-01): agent_test.go repeats
// what was recorded of it.
package controlplane
