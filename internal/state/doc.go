// Package state keeps what the supervisor must not forget over its own death:
// what it owes the control plane and what was acknowledged, intervals,
// restarts and backoff, an operator's stops (SC-18, PL-15, EV-11). Only the
// Coordinator writes it, one batch of changes a message.
//
// # Two files
//
// The batches are of two kinds. Most must survive the death of the process
// only, and must be cheap: they are written before a plugin is started again,
// and a disk's flush takes longer than the whole restart may. A few (owed
// reports, an operator's stops) must survive the death of the machine.
//
// bbolt alone cannot serve both. With every commit flushed it is slow twice
// over, and without it is unsafe, not only for the batches that were not
// flushed: it writes pages in place, which carry no checksum, so that after a
// power failure a later unflushed commit may have reached the disk in parts,
// over the remains of an earlier flushed one, and nobody can tell. So there
// are two files:
//
//   - state.db, a bbolt database, always flushed. Its buckets settings, acked,
//     owed, events and restarts hold JSON values by key.
//   - state.db.wal, a log of the batches since. One batch is one line: a
//     checksum and a JSON object of bucket → key → value, null for what was
//     deleted. Saving is one write, and one fdatasync behind it for a batch
//     that asks for it, which covers all before it as well.
//
// The process killed: what was written is in the kernel's hands, nothing is
// lost. Power lost: the lines up to the last flush are there, behind them
// perhaps a torn one, which its checksum tells; nothing flushed is lost.
//
// When the log is above 256 KiB, at Open and at Close it is folded: everything
// is written to the database in one transaction under the next generation
// number, then the log begins anew under that number. A log with an older
// number than the database's was folded already and is not read.
//
// # The journal
//
// journal.jsonl beside them tells people what happened, an entry a line
// (EV-12). Each line is valid JSON, so that jq and grep read it as well as
// [ReadJournal], and begins with a checksum of its own. An entry is one write,
// never flushed: the death of the process loses none that was saved, that of
// the machine some. A file of 4 MiB becomes journal.1.jsonl, in the place of
// the one before, and a new one begins. A torn last line is cut off when the
// file is opened; damaged lines are skipped, and counted, by who reads.
//
// # Damage and refusal
//
// Neither ever prevents the start. A database that is damaged is moved aside
// with a time stamp and begun anew; the log, if it is good, still counts. A
// single entry that cannot be decoded is dropped. [Store.Damaged] returns what
// was damaged. When the disk refuses, the
// Store goes on from memory, fails each Save and tries again with the next: it
// has everything, so that nothing is lost once the disk is back. Entries of the
// journal wait likewise, at most 10,000 and 4 MiB of them; the oldest are given
// up then, and an entry in their place says how many.
package state
