// Package txnversion2 goes through a transactional producer's life in transaction version 2 (KIP-890 part 2), request by request, and compares the answers with those
// of Apache Kafka 4.1.1, which Apache 3.9 in ZooKeeper mode cannot give. To record them again, start a broker of Apache 4.1 (one partition of __transaction_state is
// enough) and run
//
//	go test ./compat_test/txnversion2 -record 127.0.0.1:9092
//
// Central type: script.
package txnversion2
