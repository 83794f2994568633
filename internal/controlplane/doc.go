// Package controlplane is the server side of the protocol: it stores the reports
// and events of a fleet's hosts, answers them with intervals and offers, and
// serves the packages of the offered versions. Operators use one page, the admin
// API, or the command line on top of that API.
//
// The path of a request:
//
//	host ──POST──▶ server.go ─▶ host.go ──decode──▶ wire.go
//	                               │
//	                               ▼
//	                            Store ──queue──▶ writer ──one commit for many──▶ SQLite
//	                               ▲
//	page.go, api.go ────reads──────┘
//
// A request is answered 200 only when its change is on the disk: one writer
// commits all changes that queued up during the last commit, then the requests
// answer (CP-04). When its queue is full, the host gets 429, so a flood uses a
// bounded amount of memory. Reads use their own connections.
//
// A package is uploaded as a form in one request. upload.go writes it to the
// disk and computes its digest (package packagestore); packages.go checks it as
// a host does before it installs it (package pkgcheck), with the default limits
// of a host. Only then it gets a name and a row. list.go lists packages for
// hosts, download.go serves them. Each row has its file; a file without a row is
// removed at the next start. The URL of a package contains the digest of its
// bytes: a replacement has another URL, so that caches and unfinished downloads
// never mix the two (CP-06).
//
// All input of hosts is untrusted: it is checked against limits when it
// arrives, and escaped and shortened when it is shown. There is no login yet, so
// the server belongs on a loopback address, where it also rejects requests that
// another site caused. links.go determines the address a request comes from and
// the name by which the server was reached, through trusted proxies.
//
// Hosts with the existing agent are served, too (CP-01): agent_test.go replays
// recorded requests of it.
package controlplane
