package config

// quotaKeys are broker configs that have no place in a file and can only be set dynamically
// (Kafka 3.9 QuotaConfigs.brokerQuotaConfigs).
var quotaKeys = []Key{
	{Name: "leader.replication.throttled.rate", Type: TypeLong, Default: "9223372036854775807", Valid: atLeast(0),
		Importance: Medium, Dynamic: ClusterWide, Status: used,
		Doc: "Bytes per second a leader sends to throttled followers."},
	{Name: "follower.replication.throttled.rate", Type: TypeLong, Default: "9223372036854775807", Valid: atLeast(0),
		Importance: Medium, Dynamic: ClusterWide, Status: used,
		Doc: "Bytes per second a throttled follower fetches."},
	{Name: "replica.alter.log.dirs.io.max.bytes.per.second", Type: TypeLong, Default: "9223372036854775807",
		Valid: atLeast(0), Importance: Medium, Dynamic: ClusterWide, Status: used,
		Doc: "Bytes per second moved between log directories."},
}

// quotaTable is the table of quotaKeys.
var quotaTable = newTable(quotaKeys)
