// Package control is the HTTP client of the control plane, with the types of
// the wire format (SPEC 3).
//
// One call is one request. The client never retries, follows no redirect and
// keeps only idle connections between calls: the caller decides what to send
// again and when. A call has one of three results:
//
//   - an answer, when the status is 2xx. A body that cannot be read is reported
//     with it: the request was delivered all the same (SC-19);
//   - a *plugin.HTTPError, when the status is anything else (SC-20);
//   - another error, when no complete answer came in time.
//
// Client and server use the same wire types. The wire's status words
// (PERSIST_RUNNING …) are mapped only here; the words for hosts (x64 …) are in
// package platform.
package control
