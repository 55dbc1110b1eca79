// Package config knows every broker and topic config of Apache Kafka 3.9: name, type, default, range, scope and meaning.
//
// The table (table_*.go, one []Key per class of Kafka that defines the keys) is the one source: loading, validation,
// DescribeConfigs answers and docs/config.md derive from it. Each row also states what gokafka does with the key, so
// that nothing is accepted and ignored in silence.
//
// The central type is Broker: the effective config of one broker, immutable and safe for any number of readers. A
// change, such as a dynamic config, makes a new Broker (Broker.WithDynamic); readers keep the one they hold. Topic is
// the same for one topic, derived from its overrides and a Broker.
//
// Values are parsed, checked and printed as Kafka's ConfigDef does, down to the text of the error, which clients see.
//
// The package has no goroutines, no locks and no mutable state; it reads one file, in Load.
package config
