// Package suspicion notices that the process of another broker has died, seconds before its ZooKeeper session times out.
//
// The central type is Monitor. It keeps one idle connection to each registered broker and watches how it ends. A broker is suspected only after a
// connection was completed in its current broker epoch, that connection was then ended by the peer's side, and two new ones were refused at
// least 100 ms apart: a machine answers for a process that is gone, and nobody answers for a machine or a network that is gone. A time-out therefore
// never counts, and a broker that has registered but does not listen yet is never suspected. The suspicion ends with a completed connection, or
// with the broker epoch.
//
// A wrong suspicion costs an election and nothing else: leader epochs and the ISR fence the broker that lives on.
//
// The Monitor's goroutines are its loop, which follows the registrations, and one for each other broker. Changed is called by the latter with no
// lock held. Close ends them all and waits.
package suspicion
