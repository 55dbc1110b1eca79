package dumplog

// The messages in __consumer_offsets, in control records, and in the metadata of group members, as Kafka 3.9's message definitions
// have them.

var subscriptionSchema = schema{flexibleSince: notFlexible, fields: []fieldSpec{
	{name: "topics", kind: stringKind, array: true},
	{name: "userData", kind: bytesKind, nullable: true},
	{name: "ownedPartitions", kind: structKind, array: true, since: 1, class: "TopicPartition", last: 3, fields: topicPartitions},
	{name: "generationId", kind: int32Kind, since: 2},
	{name: "rackId", kind: stringKind, nullable: true, since: 3},
}}

var assignmentSchema = schema{flexibleSince: notFlexible, fields: []fieldSpec{
	{name: "assignedPartitions", kind: structKind, array: true, class: "TopicPartition", last: 3, fields: topicPartitions},
	{name: "userData", kind: bytesKind, nullable: true},
}}

var topicPartitions = []fieldSpec{
	{name: "topic", kind: stringKind},
	{name: "partitions", kind: int32Kind, array: true},
}

var topicIDPartitions = []fieldSpec{
	{name: "topicId", kind: uuidKind},
	{name: "partitions", kind: int32Kind, array: true},
}

// coordinatorRecord has the messages of one type of record in __consumer_offsets.
type coordinatorRecord struct{ key, value *schema }

var (
	groupKey       = schema{flexibleSince: notFlexible, fields: []fieldSpec{{name: "groupId", kind: stringKind}}}
	groupMemberKey = schema{flexibleSince: notFlexible, fields: []fieldSpec{{name: "groupId", kind: stringKind}, {name: "memberId", kind: stringKind}}}
)

var offsetCommit = coordinatorRecord{
	key: &schema{flexibleSince: notFlexible, fields: []fieldSpec{
		{name: "group", kind: stringKind},
		{name: "topic", kind: stringKind},
		{name: "partition", kind: int32Kind},
	}},
	value: &schema{flexibleSince: 4, fields: []fieldSpec{
		{name: "offset", kind: int64Kind},
		{name: "leaderEpoch", kind: int32Kind, since: 3},
		{name: "metadata", kind: stringKind},
		{name: "commitTimestamp", kind: int64Kind},
		{name: "expireTimestamp", kind: int64Kind, since: 1, only: true},
	}},
}

// coordinatorRecords are by the type of the record, which is the version in front of its key.
var coordinatorRecords = [...]coordinatorRecord{
	0: offsetCommit,
	1: offsetCommit,
	2: {
		key: &schema{flexibleSince: notFlexible, fields: []fieldSpec{{name: "group", kind: stringKind}}},
		value: &schema{flexibleSince: 4, fields: []fieldSpec{
			{name: "protocolType", kind: stringKind},
			{name: "generation", kind: int32Kind},
			{name: "protocol", kind: stringKind, nullable: true},
			{name: "leader", kind: stringKind, nullable: true},
			{name: "currentStateTimestamp", kind: int64Kind, since: 2},
			{name: "members", kind: structKind, array: true, fields: []fieldSpec{
				{name: "memberId", kind: stringKind},
				{name: "groupInstanceId", kind: stringKind, nullable: true, since: 3},
				{name: "clientId", kind: stringKind},
				{name: "clientHost", kind: stringKind},
				{name: "rebalanceTimeout", kind: int32Kind, since: 1},
				{name: "sessionTimeout", kind: int32Kind},
				{name: "subscription", kind: bytesKind, embedded: &subscriptionSchema},
				{name: "assignment", kind: bytesKind, embedded: &assignmentSchema},
			}},
		}},
	},
	3: {key: &groupKey, value: &schema{fields: []fieldSpec{{name: "epoch", kind: int32Kind}}}},
	4: {key: &groupKey, value: &schema{fields: []fieldSpec{
		{name: "topics", kind: structKind, array: true, class: "TopicMetadata", fields: []fieldSpec{
			{name: "topicId", kind: uuidKind},
			{name: "topicName", kind: stringKind},
			{name: "numPartitions", kind: int32Kind},
			{name: "partitionMetadata", kind: structKind, array: true, class: "PartitionMetadata", fields: []fieldSpec{
				{name: "partition", kind: int32Kind},
				{name: "racks", kind: stringKind, array: true},
			}},
		}},
	}}},
	5: {key: &groupMemberKey, value: &schema{fields: []fieldSpec{
		{name: "instanceId", kind: stringKind, nullable: true},
		{name: "rackId", kind: stringKind, nullable: true},
		{name: "clientId", kind: stringKind},
		{name: "clientHost", kind: stringKind},
		{name: "subscribedTopicNames", kind: stringKind, array: true},
		{name: "subscribedTopicRegex", kind: stringKind, nullable: true},
		{name: "rebalanceTimeoutMs", kind: int32Kind},
		{name: "serverAssignor", kind: stringKind, nullable: true},
		{name: "classicMemberMetadata", kind: structKind, class: "ClassicMemberMetadata", tagged: `{"sessionTimeoutMs":0,"supportedProtocols":[]}`, fields: []fieldSpec{
			{name: "sessionTimeoutMs", kind: int32Kind},
			{name: "supportedProtocols", kind: structKind, array: true, class: "ClassicProtocol", fields: []fieldSpec{
				{name: "name", kind: stringKind},
				{name: "metadata", kind: bytesKind},
			}},
		}},
	}}},
	6: {key: &groupKey, value: &schema{fields: []fieldSpec{{name: "assignmentEpoch", kind: int32Kind}}}},
	7: {key: &groupMemberKey, value: &schema{fields: []fieldSpec{
		{name: "topicPartitions", kind: structKind, array: true, class: "TopicPartition", fields: topicIDPartitions},
	}}},
	8: {key: &groupMemberKey, value: &schema{fields: []fieldSpec{
		{name: "memberEpoch", kind: int32Kind},
		{name: "previousMemberEpoch", kind: int32Kind},
		{name: "state", kind: int8Kind},
		{name: "assignedPartitions", kind: structKind, array: true, fields: topicIDPartitions},
		{name: "partitionsPendingRevocation", kind: structKind, array: true, fields: topicIDPartitions},
	}}},
}

var snapshotHeaderRecord = schema{fields: []fieldSpec{
	{name: "version", kind: int16Kind},
	{name: "lastContainedLogTimestamp", kind: int64Kind},
}}

var snapshotFooterRecord = schema{fields: []fieldSpec{{name: "version", kind: int16Kind}}}

var kraftVersionRecord = schema{fields: []fieldSpec{
	{name: "version", kind: int16Kind},
	{name: "kRaftVersion", kind: int16Kind},
}}

var votersRecord = schema{fields: []fieldSpec{
	{name: "version", kind: int16Kind},
	{name: "voters", kind: structKind, array: true, fields: []fieldSpec{
		{name: "voterId", kind: int32Kind},
		{name: "voterDirectoryId", kind: uuidKind},
		{name: "endpoints", kind: structKind, array: true, fields: []fieldSpec{
			{name: "name", kind: stringKind},
			{name: "host", kind: stringKind},
			{name: "port", kind: uint16Kind},
		}},
		{name: "kRaftVersionFeature", kind: structKind, fields: []fieldSpec{
			{name: "minSupportedVersion", kind: int16Kind},
			{name: "maxSupportedVersion", kind: int16Kind},
		}},
	}},
}}
