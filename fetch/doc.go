// Package fetch serves Fetch requests on the partitions of package replication: order, byte budgets, waiting, and sessions (KIP-227).
//
// The central type is Manager. A session holds one subscription for each of its partitions for its whole life; an append
// marks the subscription dirty, and an incremental fetch looks at dirty partitions and at those it had more to tell of, not at
// all of them. A fetch without a session subscribes only while it waits.
//
// Lock order: Manager.mu > session.mu > replication's locks. A session's lock is held while its partitions are read, which
// touches the page cache's index at most, and never while a fetch waits. A later request of a session ends the wait of an
// earlier one.
package fetch
