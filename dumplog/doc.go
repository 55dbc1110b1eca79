// Package dumplog prints what is in the files of a partition's directory, in the words of Apache's tool
// kafka.tools.DumpLogSegments of release 3.9.1: segments of any magic, offset, time and transaction indexes, and
// producer snapshots.
//
// Run is all of it. Standard output gets byte for byte what Apache's tool prints, and so does standard error, but for
// the exception that ends the tool early: Apache prints a stack trace there and exits with 1, Run returns an error.
// What is printed before an exception, even half a line, is printed here too.
//
// Invariants: files are only read, never made or changed; no content makes it panic; memory is bounded by maxBatchBytes,
// once each for a batch, for what it decompresses to, for the text of a record and for a snapshot, and by maxReported for
// what is told at the end. The package starts no goroutine.
//
// Sources: Kafka 3.9 DumpLogSegments, FileLogInputStream, FileRecords, OffsetIndex, TimeIndex, TransactionIndex,
// ProducerStateManager.readSnapshot.
package dumplog
