// Package messages is the vocabulary between the actors, one file for each
// conversation.
//
// Orders are imperatives (Scan, Report), facts are in the past tense
// (ScanCompleted, ReportDelivered), questions begin with Get, and what a timer
// says ends in Due. Every message is a value: nothing in it is changed after
// it was sent. A fact tells when it happened (At), why (Err, Cause) and which
// order it answers (Gen or Attempt), so that a stale answer can be dropped.
// Ordinary failures are facts with an error, never panics.
package messages
