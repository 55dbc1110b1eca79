// Package replication is a broker's partitions as leader or follower: leadership, ISR, leader epoch, high watermark, and the fetching
// of what other brokers lead.
//
// The central types are Manager, which holds the partitions of a broker and serialises the controller's requests, and
// Partition. Appends and reads take a partition's leadership lock shared; only a change of role or ISR takes it exclusively.
//
// As leader, a partition learns from its followers' fetches what they have (follower), moves the high watermark over the maximal
// ISR, and proposes other ISRs to the controller (isrSender). As follower, it is one of the partitions of a fetcher: a goroutine
// for each pair of leading broker and hash, which fetches, truncates and appends. A fetcher appends without the leadership lock; a
// partition is therefore taken out of its fetcher, which waits for an append that is going on, before its role or log changes hands.
//
// Lock order: Manager.mu > Partition.leadership > follower.mu > logstore.Log's lock > producer state. fetcherManager.mu >
// fetcher.mu; neither is held while a log or a partition is called. Subscriptions and the purgatory are notified after all of these
// are released: where the one who moved a high watermark may hold locks of his own, by the completer's goroutine. Control requests
// (LeaderAndIsr, StopReplica, UpdateMetadata) exclude each other by a turn that is taken before any lock and is the only thing
// held while logs are created and synced.
//
// Goroutines of a Manager: completer, isrSender, the periodic check of the ISRs, and the fetchers; Close ends and awaits them.
package replication
