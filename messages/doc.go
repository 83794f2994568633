// Package messages holds the messages between the actors, one file for each
// conversation.
//
// Orders are imperatives (Scan, Report), facts are in the past tense
// (ScanCompleted, ReportDelivered), questions begin with Get, and messages of
// timers end in Due. A message is a value that is not changed after it was sent.
// A fact has a time (At), a cause (Err, Cause) and the number of the order that
// it answers (Gen or Attempt), so that a stale answer can be dropped. Ordinary
// failures are facts with an error, never panics.
package messages
