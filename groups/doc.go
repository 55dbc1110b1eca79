// Package groups coordinates consumer groups by the classic protocol, and keeps their offsets, in __consumer_offsets as Apache 3.9 writes it.
//
// Central types: Coordinator, which requests go to; shard, the groups of one partition, which runs on that partition's goroutine (package
// coordinator); group, the state machine of Kafka 3.9 GroupCoordinator and GroupMetadata. Errors are kerr values.
//
// What is held for a group is bounded: its members by group.max.size, and the bytes of their metadata by maxGroupBytes.
package groups
