// Package control speaks with the control plane: what is said on the wire, and
// the HTTP client that says it (SPEC 3).
//
// One call is one request. The client never tries again, follows no redirect
// and keeps nothing between calls but idle connections: when to send again, and
// what is still owed, is decided by those who call. Three things can come back:
//
//   - an answer, when the status was 2xx. A body that could not be read is told
//     beside it: what was sent has arrived all the same (SC-19);
//   - a *plugin.HTTPError, when the status was anything else (SC-20);
//   - another error, when there was no complete answer in time.
//
// The wire structs serve both sides: a server decodes with the types the client
// encodes with. The wire's words for a status (PERSIST_RUNNING …) are mapped here
// and nowhere else; those for hosts (x64 …) are in package platform.
package control
