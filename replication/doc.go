// Package replication is a broker's partitions as leader or follower: leadership, ISR, leader epoch, high watermark.
//
// The central types are Manager, which holds the partitions of a broker and serialises the controller's requests, and
// Partition. Appends and reads take a partition's leadership lock shared; only a change of role takes it exclusively.
//
// Lock order: Manager.partitions > Partition.leadership > logstore.Log's lock > producer state. Subscriptions and the
// purgatory are notified after all of these are released. Control requests (LeaderAndIsr, StopReplica, UpdateMetadata)
// exclude each other by a turn that is taken before any lock and is the only thing held while logs are created and synced.
package replication
