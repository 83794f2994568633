// Package state saves the data that the supervisor needs after a restart of its
// own: pending and acknowledged reports, intervals, restarts and backoff, and the
// plugins that an operator stopped (SC-18, PL-15, EV-11). Only the Coordinator
// writes it, one batch of changes for each message.
//
// # Two files
//
// There are two kinds of batches. Most must survive a crash of the process only,
// and must be cheap: they are written before a plugin is restarted, and flushing
// the disk takes longer than the whole restart may. A few (pending reports, an
// operator's stops) must survive a power failure.
//
// bbolt alone cannot serve both. It is slow if every commit is flushed, and unsafe
// if not, also for the flushed batches: it writes pages in place and without
// checksums, so that after a power failure parts of a later unflushed commit may
// overwrite an earlier flushed one undetected. So there are two files:
//
//   - state.db, a bbolt database, always flushed. Its buckets settings, acked,
//     owed, events, restarts and blocked hold JSON values by key.
//   - state.db.wal, a log of the batches since. One batch is one line: a
//     checksum and a JSON object of bucket → key → value, null for a deletion.
//     Saving is one write. A batch with Sync adds one fdatasync, which flushes all
//     batches before it too.
//
// After a crash of the process nothing is lost: the kernel has what was written.
// After a power failure all lines up to the last flush are there, perhaps followed
// by an incomplete one, which its checksum reveals.
//
// Above 256 KiB, at Open and at Close the log is folded: everything is written to
// the database in one transaction with the next generation number, then the log
// starts empty with that number. A log with a lower number than the database was
// folded already and is not read.
//
// # The journal
//
// journal.jsonl in the same folder records events for people, one entry a line
// (EV-12). Each line is valid JSON, for jq, grep and [ReadJournal], and begins with
// a checksum. An entry is one write and never flushed: a crash of the process loses
// no saved entry, a power failure may lose some. A file of 4 MiB is renamed to
// journal.1.jsonl, replacing the previous one, and a new one starts. An incomplete
// last line is cut off when the file is opened; readers skip and count damaged
// lines.
//
// # Damage and write errors
//
// Neither prevents the start. A damaged database is moved aside with a time stamp
// and created again; a valid log is still applied. An entry that cannot be decoded
// is discarded. [Store.Damaged] returns the damage. When the disk cannot be
// written, the Store works from memory, each Save fails, and the next one tries
// again: it writes everything, so nothing is lost once the disk works. Journal
// entries stay pending too, at most 10,000 entries and 4 MiB; beyond that the
// oldest are discarded, and one entry replaces them and reports their number.
package state
