// Package quota measures rates and says when they are above what is allowed, as Kafka 3.9 does with its sensors.
//
// Central types: Rate, Replication. Safe for concurrent use; no goroutines.
package quota
