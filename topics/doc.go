// Package topics validates, assigns, creates, extends and deletes topics, as Apache Kafka 3.9 does in ZooKeeper mode
// (ZkAdminManager, AdminZkClient, AdminUtils). It serves CreateTopics, CreatePartitions and DeleteTopics on the broker
// of the controller, and auto-creation on any broker; none of them talks to the controller, which sees the znodes change.
//
// The central type is Manager. Inputs and results are domain structs. An error that is the client's to see is an *Error:
// its text is Apache's message and it unwraps to the kerr value; anything else is a failure of ZooKeeper or a context.
//
// A topic is made in two writes, /config/topics/T and then /brokers/topics/T, so that nobody sees a topic without its
// config. Two creators of one topic at once: one of them gets TOPIC_ALREADY_EXISTS, and the config is the last writer's.
//
// The package has no goroutines. Manager.mu guards the set of auto-creations under way and is held over nothing.
package topics
