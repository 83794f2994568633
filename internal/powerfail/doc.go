// Package powerfail tests what a power failure leaves of the files that code
// writes: that it opens again, and holds all that was acknowledged.
//
// A kill loses nothing that was written: the kernel still has it. A power failure
// loses what was not flushed, or a part of it, or keeps the later of two writes
// and loses the earlier. So that no flush can be left out unnoticed, a test
//
//   - records the work: [Record] runs it on a FUSE file system that logs each
//     change and each flush, in their order, and which of them came before the
//     work acknowledged something;
//   - checks each failure: [Recording.Check] cuts the log behind each operation,
//     makes every folder that a failure there may leave (images.go), and has the
//     test open it;
//   - checks each flush: without all flushes of one kind, such as those of
//     transactions/ after a rename, the test must fail for some folder. A kind
//     that can be left out is an error, or is named with the reason
//     ([Flushes.CheckNeeded]).
//
// The file system is served by another process, the test binary started anew: a
// process that serves the pages it has mapped itself can deadlock.
//
// # What a disk may hold
//
// Flushing a file makes its data last, and its mode unless only the data is
// flushed (fdatasync); it does not make its name last. Flushing a folder makes all
// earlier changes of its names last. A rename from one folder to another is one
// change of both, as in every journal of a file system: both names change or
// neither, and both with all changes of their folders before it. What is not
// flushed may be lost or not, the data of one file, the names of one folder and
// the modes each for themselves.
package powerfail
