// Package peer sends one request to another broker and returns its answer.
//
// Conn is one connection with one request in flight (Kafka's inter-broker channels keep no more: order is what they
// are for). Client keeps a Conn to an address that may change, opens it when needed and closes it on any doubt: after an
// error, a timeout or a cancelled context the answer still to come must never be taken for the next one's. Channel is
// the controller's queue to one broker: first in, first out, each request repeated until it is answered or the channel
// is closed (Kafka 3.9 RequestSendThread).
//
// Versions: a request goes out in the version that is set in it. Apache's control requests, fetches and transaction
// markers are sent so, without ApiVersions. Client.Negotiated asks ApiVersions first and lowers the version to the
// highest that both sides have, as Apache does for AlterPartition and AllocateProducerIds.
//
// Bounds: an answer is at most Options.MaxResponseBytes and memory grows with the bytes that came, not with the length
// announced; a Channel holds at most its MaxQueued requests. Goroutines: a Channel has one, ended by Close. No lock is
// held over the network except a Client's own, which is what makes its requests one at a time.
package peer
