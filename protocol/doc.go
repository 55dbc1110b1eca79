// Package protocol is Kafka's framing on franz-go's kmsg messages: frames and headers in both directions, bounded
// decoding, and hand-written codecs for the two messages whose cost is felt, Produce and the Fetch response.
//
// It has no behaviour: what a request means is decided in package handlers, which broker is asked in package peer.
package protocol
