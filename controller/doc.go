// Package controller is the elected controller of the cluster: it turns events into decisions, stores them in ZooKeeper
// and tells the brokers. Its rules are those of Kafka 3.9's KafkaController with ZooKeeper; its form is that of an event
// loop around pure decisions.
//
// # Use
//
// Every broker has one Controller. New makes it, Start lets it stand for election (after the broker's registration),
// Stop resigns. IsActive and ActiveEpoch say whether it is elected. Topics, partitions to add, deletions and configs
// come to it through ZooKeeper, whoever writes them: there is no CreateTopic here. What comes as requests has a method:
// AlterPartition, ControlledShutdown, AllocateProducerIDs, ElectLeaders, AlterPartitionReassignments,
// ListPartitionReassignments, UpdateFeatures; each is answered by the loop, with ErrNotActive if this broker is not the controller or
// stops being it meanwhile. UncleanElectionEnabled is told of a setting that became true. Journal and Metrics are for
// people.
//
// # How an event flows
//
// A watch, an answer of a broker or a request becomes an event on one queue. The loop runs one event at a time, as a
// sequence of state-machine steps. A step makes a plan out of the cluster as known (pure: planFirstLeader,
// planElection, planShrink, planEpochBump, judgeAlterPartition), has the store carry out its writes, takes over what was
// stored (plan.commit), and sends one batch of requests. Decisions are made from memory, not from fresh reads as Apache
// makes them: the write is a compare-and-set on the partition epoch, and a partition that moved under us is read and
// planned again.
//
// # Invariants
//
//   - Every write is its own transaction {check /controller_epoch, write}; a failed check ends the office.
//   - A state written by a later controller is never overwritten; the leader epoch rises with each change of leader, each
//     removal from the ISR by the controller and each step of a reassignment, never with an AlterPartition.
//   - An event runs under one generation of the ZooKeeper session and ends with it. An expiry overtakes the queue: what
//     waits is dropped, the loop resigns, and only then a new session begins.
//   - To one broker requests go in the order of decisions, and within a batch LeaderAndIsr, UpdateMetadata, StopReplica;
//     each is repeated until it is answered or the broker's registration is gone.
//   - Nothing but ZooKeeper survives an office: reassignments live in the topic znode, deletions in /admin/delete_topics.
//
// # Where it differs from Apache's
//
//   - AlterPartition is refused (INVALID_REQUEST) from a broker that does not lead, and for an ISR that is empty, names a
//     member twice or names one that is not a replica. A reassignment that would leave out the whole ISR is refused.
//   - A conflict that is the echo of an own write, whose reply was lost, is no conflict.
//   - A znode that cannot be read costs its own topic, partition or broker, not the cluster its controller.
//   - A broker that changes its endpoint is reached at the new one at once; one whose queue overflows is resent its state.
//   - A controller whose epoch was raised behind its back gives its office up instead of failing for ever.
//
// # Goroutines, bounds, locks
//
// One goroutine is the loop; it owns the cluster, the store and the channels. Each broker has one goroutine that sends
// (peer.Channel). Stop ends and awaits all. The queue holds at most one "look again" event for each watched znode and
// 1000 others, whose bringers then wait. A broker's queue holds Options.MaxQueuedRequests; one that overflows is dropped,
// and the broker is told everything anew when it reads again. The journal is a ring of 4096. Controller.mu, queue.mu and
// journal.mu are leaves.
package controller
