// Package fetch serves Fetch requests on the partitions of package replication: order, byte budgets, waiting, and sessions (KIP-227).
//
// The central type is Manager. A session holds one subscription for each of its partitions for its whole life; an append
// marks the subscription dirty, and an incremental fetch looks at dirty partitions and at those it had more to tell of, not at
// all of them. A fetch without a session subscribes only while it waits.
//
// Records that were read belong to the entry of their partition until they are given to an answer; an entry of a session belongs to the request
// whose turn it is. A later request of a session, or its end, takes the turn over: the earlier one answers without touching an entry again.
//
// Lock order: session.mu > replication's locks, session.mu > Manager.mu, which is the last. A session's lock is held while its partitions are read, which
// touches the page cache's index at most, and never while a fetch waits.
package fetch
