// Package harness runs the real programs of the compatibility suite: a broker (gokafka or Apache Kafka), a ZooKeeper and
// the stock clients, each a process of its own.
//
// Central type: Broker. Invariants: a process is only ever signalled by its own id or by the process group it leads;
// every process started is killed with its group when its test ends, or by the kernel when the test binary dies (Linux);
// what a registry delivers is pinned and kept below CacheDir, never in the tree.
//
// Goroutines: one a process, which waits for its end; Process.Kill and Process.Terminate return after it has ended.
package harness
