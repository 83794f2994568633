// Package powerfail tests that files survive a power failure: that they open again
// and hold all acknowledged data.
//
// A kill loses no written data: the kernel still has it. A power failure loses
// unflushed data or a part of it, or keeps the later of two writes and loses the
// earlier. So that a missing flush is noticed, a test
//
//   - records the work: [Record] runs it on a FUSE file system that logs each change,
//     each flush and each acknowledgement, in order;
//   - checks each failure: [Recording.Check] cuts the log behind each operation, makes
//     every folder that a failure there may leave (images.go), and calls the test to
//     open it;
//   - checks each flush: without all flushes of one kind, such as those of
//     transactions/ after a rename, the test must fail for some folder. A redundant
//     kind is an error, unless it is listed with the reason ([Flushes.CheckNeeded]).
//
// Another process serves the file system, a second run of the test binary: a process
// that serves pages it has mapped itself can deadlock.
//
// # The content of a disk
//
// Flushing a file makes its data durable, and its mode unless only the data is flushed
// (fdatasync); it does not make its name durable. Flushing a folder makes all earlier
// changes of its names durable. A rename from one folder to another is one change of
// both, as in the journal of any file system: both names change or neither, and both
// with all earlier changes of their folders. Unflushed changes may be lost: the data of
// each file, the names of each folder and the modes independently.
package powerfail
