// Package compat holds the compatibility suite: stock clients, Apache's own broker and Apache's own ZooKeeper beside
// the built gokafka binary. Nothing here links the broker; everything talks to a process over a socket, as a user does.
//
// The central type is harness.Broker, one broker process. The environment variable GOKAFKA_COMPAT_TARGET says which
// broker the tests run against: gokafka (the default) or apache (Apache Kafka 3.9.1 in ZooKeeper mode, the reference).
// What Apache answers is recorded under testdata/probe and compared with gokafka's answers without a JVM.
//
// Sub-packages: harness (processes, fetched clients), wire (raw requests), probe (the differential probe), history (the
// checker of what clients saw), datadir (log directories at rest, and Apache's own dump tool), samefiles (the differential test
// of what both write), torture, twoway and bench (commands). goclients and kgosuite are modules of their own, so that
// the clients they pin do not enter the broker's go.mod.
package compat
