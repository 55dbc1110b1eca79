// Package server turns sockets into requests and answers into bytes: listeners, connections, order and limits.
//
// The central type is Server. Each connection has one goroutine, which reads, serves and answers; a second one exists only
// from the first answer that comes later (Produce with acks=all waiting for followers) to the end of the connection. Answers
// leave in the order of their requests (Kafka clients rely on it); a request's ordered part runs before the next
// request of its connection is looked at.
//
// Memory grows with bytes received, never with lengths declared: an idle connection holds no buffer, a frame that does not fit
// the pooled buffer takes its room from a budget shared by all connections as its bytes arrive, and the answers that
// wait are bounded in number and bytes.
//
// Lock order: conn.mu is a leaf; no lock is held while a handler runs or a socket is written, but conn.writing, which
// serialises writers of one connection and is taken before conn.mu.
package server
