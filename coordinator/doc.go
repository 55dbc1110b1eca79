// Package coordinator keeps the state of coordinators, groups for one, in the partitions of an internal topic: each partition that this broker leads has one
// goroutine, which owns the state. It loads the state from the log when the broker becomes the leader, changes it by records that it appends, answers
// when they are replicated, and gives it up when the leadership goes.
//
// Central types: Runtime, Partition, Machine. A Machine is the rules of one kind of coordinator; it runs on the partition's goroutine alone and needs no
// locks.
package coordinator
