// Package znode is Kafka's layout of ZooKeeper: the paths and JSON of every family that a broker and a controller of
// Kafka 3.9 in ZooKeeper mode touch, and the atomic writes that guard them. One file is one family.
//
// Writers produce Apache's keys and types exactly, because Apache's readers fail on a missing mandatory key (a malformed
// broker registration breaks the controller's view of the whole cluster). Readers take what Apache's take: unknown keys
// are ignored, optional ones may be absent, and data from outside never makes them panic.
//
// The central type is Controllership: the proof of an election. Every write of a controller goes through it as a pair
// {check /controller_epoch, write}, one multi for each write, so that a deposed controller writes nothing and one stale
// partition does not fail the others. Results of writes whose reply was lost are settled by reading back.
//
// Functions take a coordination.Generation, so that what belongs to one session cannot run on in the next. The package
// has no goroutines and no state.
package znode
