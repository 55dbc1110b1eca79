// Package embedded is a single-node, durable server of the ZooKeeper client protocol: enough of ZooKeeper 3.8.4 that
// go-zookeeper, zkCli, the Java client, Curator and Apache Kafka 3.9 brokers take it for one.
//
// # Shape
//
//	conn reader -> inbox -> loop -> batch -> syncer -> conn writer
//
// The central type is machine: the znode tree, the sessions and the watches, without I/O, clock or goroutine. It turns
// a command and the wall time into a result, events and one log record. The loop goroutine of a Server owns the machine
// and everything else that is not said to be shared; the syncer goroutine owns the log file: it writes and syncs what
// has gathered since its last sync (group commit) and only then hands all outputs of that batch, reads included, to the
// connections' writers. So nothing that a client was told, a read of someone else's write included, can be lost.
//
// # Invariants
//
//   - A zxid is given to successful writes only, is consecutive in the log, and leaves the process only after the sync
//     that covers it: it never falls, whatever kills the process.
//   - Requests of all connections pass one queue. Outputs of a connection, events included, leave in the order the loop
//     made them: an event precedes the reply to its cause and to every read that shows it.
//   - Sessions expire on the monotonic clock, less the time in which this server could not hear its clients.
//
// # Disk
//
// All files are plain files named ".gokafka-coordination.*" in the directory given: "log.X" (X: the first zxid it may
// hold, 16 hex digits), "snapshot.X" (X: its last zxid), "lock". All integers are big-endian.
//
//	file header  8 magic · u32 version · u8 kind ('L' log, 'S' snapshot) · 3 zero · 16 database id · u64 zxid · u32 CRC
//	log record   u32 length of payload · u32 CRC · payload
//	payload      u8 kind · u32 durable · i64 zxid · i64 wall ms · i64 session · operations, resolved
//	snapshot     i64 next session id · sessions · ACL table · nodes in preorder · u32 CRC
//
// CRCs are CRC-32C; those of records and snapshots start from the header's CRC, which holds the random database id: a
// block of another file, or bytes a client stored in a znode, never pass for a record. "durable" is the length of the
// file that was known to be synced when the record was written. It tells a torn tail (cut off at open) from corruption
// (refused at open): a bad record at offset o is corruption exactly if a good one behind it says durable > o.
//
// # Goroutines and locks
//
// Per Server: loop, syncer, at most one snapshot writer, one acceptor a listener; per connection: reader and writer.
// Close waits for all of them. No lock is held over I/O, and no two locks are held at once.
package embedded
