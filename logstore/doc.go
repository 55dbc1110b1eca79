// Package logstore keeps one partition's log on disk, in the files of Apache Kafka 3.9: segments of record batches, their offset, time
// and transaction indexes, producer snapshots, leader epochs and the topic id.
//
// The central type is Log. Its invariants:
//
//   - log start offset ≤ last stable offset ≤ high watermark ≤ log end offset.
//   - There is always at least one segment; only the last, active, one grows.
//   - A batch is in the active segment's file before the log end offset passes it, and nothing else changes when its write fails.
//   - The recovery point never passes what was synced. Segments that hold it, or come after it, are read again and have their
//     indexes rebuilt after a crash; so the indexes of the active segment live in memory and reach their files when it is sealed,
//     flushed or closed.
//
// Locks: Log.mu (all changes) > segment and index locks > offMu (a snapshot of the end offsets). No lock is held over a sync, with
// these exceptions: flushMu, which lets one flush follow another; fileMu, which orders the writers of the leader epoch file; idMu of
// partition.metadata, for which nobody waits who does not need the sync himself; and Log.mu while a truncation writes the producer snapshot
// that it rebuilt.
// Readers take none of the first: they load a copy-on-write list of segments and hold references on open files, so that
// deletion, truncation and roll go on meanwhile.
//
// Goroutines: a Log starts short ones for syncing what a roll sealed and timers for delayed deletions. Close waits for them.
package logstore
