package config

// shareKeys are the keys of Kafka 3.9 ShareGroupConfig, in the order Kafka defines them.
var shareKeys = []Key{
	{Name: "group.share.enable", Type: TypeBoolean, Default: "false", Importance: Medium, Internal: true,
		Status: notYet, Doc: "Whether share groups are served."},
	{Name: "group.share.delivery.count.limit", Type: TypeInt, Default: "5", Valid: between(2, 10), Importance: Medium,
		Status: notYet, Doc: "How often a record is delivered to a share group before it is given up."},
	{Name: "group.share.record.lock.duration.ms", Type: TypeInt, Default: "30000", Valid: between(1000, 60000),
		Importance: Medium, Status: notYet,
		Doc: "How long a record stays locked by the member of a share group it was delivered to."},
	{Name: "group.share.min.record.lock.duration.ms", Type: TypeInt, Default: "15000", Valid: between(1000, 30000),
		Importance: Medium, Status: notYet, Doc: "Lower bound of the record lock of a share group."},
	{Name: "group.share.max.record.lock.duration.ms", Type: TypeInt, Default: "60000", Valid: between(30000, 3600000),
		Importance: Medium, Status: notYet, Doc: "Upper bound of the record lock of a share group."},
	{Name: "group.share.max.groups", Type: TypeShort, Default: "10", Valid: between(1, 100), Importance: Medium,
		Status: notYet, Doc: "Share groups the broker serves."},
	{Name: "group.share.partition.max.record.locks", Type: TypeInt, Default: "200", Valid: between(100, 10000),
		Importance: Medium, Status: notYet, Doc: "Records of one partition a share group may have locked."},
}
