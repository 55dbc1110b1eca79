// Package settings holds the dynamic configs of a cluster, as they stand in ZooKeeper below /config: of topics, of
// brokers, and, kept as they are for those who know what they mean, of users, client ids and IP addresses.
//
// The central type is Manager. It loads everything, follows the notifications in /config/changes and publishes an
// immutable Snapshot after each change; readers take the newest one without a lock. Its second half alters configs, with
// the checks and texts of (Incremental)AlterConfigs.
//
// A notification names an entity and never carries its content: the entity is read again. Making and deleting a topic
// sends no notification, so whoever creates a partition's log calls LoadTopics first, and DropTopic after a deletion.
//
// Only the Manager's one goroutine reads entities and publishes, so no older content ever replaces a newer one. It runs
// the callbacks too. An expired session is followed by a full load. There are no locks.
package settings
