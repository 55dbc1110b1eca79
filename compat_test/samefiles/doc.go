// Package samefiles gives gokafka and Apache Kafka 3.9.1 the same series of requests, each on log directories of its own,
// and compares what they wrote: which files there are, and every byte of them but those that a rule of masks.go takes out,
// each with its reason.
//
// Central types: pair, the two brokers; comparison, of two directories at rest. No goroutines.
package samefiles
