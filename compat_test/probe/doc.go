// Package probe is the differential probe: fixed series of raw requests whose answers, stripped of what may differ from
// run to run, are recorded from Apache Kafka 3.9.1 in ZooKeeper mode and compared with the broker under test.
//
// Central type: Case, one independent series of requests on topics of its own. A golden file under ../testdata/probe
// holds the answers of one group of cases; it is written only by `go test ./compat_test/probe -update` with
// GOKAFKA_COMPAT_TARGET=apache, never from our own answers. Where gokafka answers otherwise on purpose, deviations.go
// says so, with the reason, and the test fails when the difference is gone.
//
// Invariant: an answer must not depend on the day, the machine, the port or the cases that ran before.
package probe
