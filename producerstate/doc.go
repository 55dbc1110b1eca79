// Package producerstate keeps what one partition knows about its idempotent and transactional producers: it tells new batches
// from duplicates and gaps, old epochs from current ones, and knows which transactions are open and so the last stable offset.
//
// The central type is Manager. It does no I/O and reads no clock: callers pass the wall time in milliseconds, and the files of
// snapshots are theirs. A Manager is not safe for concurrent use, except for the methods that say so: the log's mutex guards it.
//
// An append goes in three steps, so that nothing changes unless the bytes are in the log:
//
//	a := m.Prepare(origin, guard, false)
//	for each batch, at the offsets it will have:
//		v, err := a.Check(batch) // new, duplicate, or why not
//	… write the bytes …
//	a.Update()
//	for each a.Completed(): lso := m.LastStableOffset(txn); … index the aborted ones …; m.CompleteTxn(txn)
//	m.UpdateMapEndOffset(next offset)
//
// Invariants: a producer has at most 5 batches remembered, all of its current epoch; a producer with an ongoing transaction is
// in the list of ongoing transactions, and never expires; the list is ordered by first offset.
//
// Source: KIP-98, KIP-360, KIP-890 part 1; Kafka 3.9 ProducerStateManager, ProducerAppendInfo, ProducerStateEntry,
// VerificationStateEntry.
package producerstate
