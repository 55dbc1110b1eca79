// Package transactions coordinates transactions (KIP-98, KIP-360, KIP-890 part 1), and keeps their states in __transaction_state as Apache 3.9 writes them.
//
// Central types: Coordinator, which requests go to; shard, the transactional ids of one partition, which runs on that partition's goroutine (package
// coordinator); txn, the state of one transactional id. Errors are kerr values.
//
// A state is written first, and counts when it is replicated; until then the transactional id is busy: CONCURRENT_TRANSACTIONS. Once a decision is replicated,
// markers go to all leaders until each has one; a decision outlives the coordinator, and its successor sends the markers again.
//
// Goroutines: one for each broker that markers go to, and one that looks after partitions that seem to be gone; Close ends and awaits them.
package transactions
