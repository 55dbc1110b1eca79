// Package zktest gives tests a ZooKeeper and a line to it that can be broken in chosen places. Only tests import it.
//
// The server is the embedded one; with GOKAFKA_TEST_ZOOKEEPER=host:port in the environment it is the real one there, so
// that one suite holds both to the same contract. Each test gets a chroot of its own.
package zktest
