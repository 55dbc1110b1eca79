// Package coordination is the broker's session with ZooKeeper, a real ensemble or the embedded server.
//
// The central types are Session, which lives as long as the broker, and Generation, which is one ZooKeeper session
// under it. All requests are methods of a Generation. When ZooKeeper expires the session, its Generation is over for
// good: every call on it fails with ErrSessionExpired, and no request begun under it is ever sent under its successor.
// (The client library by itself does the opposite: it opens a new session on the same connection object and sends what
// was queued. Its dialer is therefore replaced by one that refuses to dial once the session is known to be dead.)
//
// Expiry runs in this order: the Generation ends; the Before half of each Hook runs; a new Generation is established;
// the After half of each Hook runs. Expiry is learnt only when a server can be reached again: a broker that is cut off
// keeps its Generation, and correctness rests on conditional writes (Kafka 3.9 ZooKeeperClient).
//
// Lost replies. A request whose connection breaks is sent again within the Generation until it is answered, so a write
// may be carried out twice, and then its second answer (NodeExists, BadVersion, NoNode) may be the echo of its own
// first success. MaybeApplied tells such an error from a plain one; the caller reads back and decides.
//
// Watches are one-shot and mean "read again", never more: see Session.Watch.
//
// Goroutines: a Session has two, one that replaces expired Generations and runs hooks and one that calls watch
// handlers; a Generation has those of the library and at most Options.MaxInFlight calls. Close ends and awaits all.
// Locks: Session.mu, Generation.mu, watchTable.mu and dispatcher.mu are leaves; none is held over a call or a handler.
// Queues: calls in flight are bounded by Options.MaxInFlight, marked watches by the number of handlers.
package coordination
