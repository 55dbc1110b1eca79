// Package cleaner compacts one log: of the records with a key it keeps the last, in the way of Kafka 3.9's Cleaner, batch by batch and byte by byte.
//
// The central type is Cleaner; one goroutine uses it, for one log after the other. It builds a map from the keys of the dirty part of a log to their
// last offsets, copies the segments without what the map says is obsolete, and has logstore put the copies into the place of the segments.
//
// Invariants: offsets and their order stay; nothing at or beyond the last stable offset is touched; memory is bounded by Config, but for a batch that is
// larger than its buffers. It starts no goroutines and has no locks.
package cleaner
