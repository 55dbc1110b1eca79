// Package cleaned has gokafka and Kafka's own Cleaner compact the same log, and compares what they leave.
package cleaned
