package handlers

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/security"
)

// maxKey is the largest key of the API that the table can hold.
const maxKey = 127

// Row is one served API.
type Row struct {
	Key      kmsg.Key
	Min, Max int16
	// Resource and Operation are what the requester must be allowed; for most keys each named resource is asked about.
	Resource  security.ResourceType
	Operation security.Operation
	Serve     serve
	// control marks what is served before the broker knows the cluster: what teaches it, and ApiVersions.
	control bool
	// fast marks what does not wait, or flushes before it waits: earlier answers may be sent together with its own.
	fast bool
	// offered says whether ApiVersions has the key; nil = always.
	offered func(h *Handlers) bool
}

func modernGroups(h *Handlers) bool { return h.ModernGroups() }

// Table is the set of served APIs, by key. Versions: those of Apache Kafka 3.9 that are wholly served, and newer ones of groups; none that is not.
func Table() []Row {
	return []Row{
		{Key: kmsg.Produce, Min: 0, Max: 13, Resource: security.Topic, Operation: security.Write, Serve: staged((*Handlers).Produce), fast: true},
		{Key: kmsg.Fetch, Min: 0, Max: 18, Resource: security.Topic, Operation: security.Read, Serve: staged((*Handlers).Fetch), fast: true},
		{Key: kmsg.ListOffsets, Min: 0, Max: 9, Resource: security.Topic, Operation: security.Describe, Serve: on((*Handlers).ListOffsets)},
		{Key: kmsg.Metadata, Min: 0, Max: 12, Resource: security.Topic, Operation: security.Describe, Serve: on((*Handlers).Metadata)},
		{Key: kmsg.LeaderAndISR, Min: 0, Max: 7, Resource: security.Cluster, Operation: security.ClusterAction, Serve: on((*Handlers).LeaderAndISR), control: true},
		{Key: kmsg.StopReplica, Min: 0, Max: 4, Resource: security.Cluster, Operation: security.ClusterAction, Serve: on((*Handlers).StopReplica), control: true},
		{Key: kmsg.UpdateMetadata, Min: 0, Max: 8, Resource: security.Cluster, Operation: security.ClusterAction, Serve: on((*Handlers).UpdateMetadata), control: true},
		{Key: kmsg.ControlledShutdown, Min: 0, Max: 3, Resource: security.Cluster, Operation: security.ClusterAction, Serve: on((*Handlers).ControlledShutdown), control: true},
		{Key: kmsg.OffsetCommit, Min: 0, Max: 9, Resource: security.Group, Operation: security.Read, Serve: on((*Handlers).OffsetCommit)},
		{Key: kmsg.OffsetFetch, Min: 0, Max: 9, Resource: security.Group, Operation: security.Describe, Serve: on((*Handlers).OffsetFetch)},
		{Key: kmsg.FindCoordinator, Min: 0, Max: 6, Resource: security.Group, Operation: security.Describe, Serve: on((*Handlers).FindCoordinator)},
		{Key: kmsg.JoinGroup, Min: 0, Max: 9, Resource: security.Group, Operation: security.Read, Serve: on((*Handlers).JoinGroup)},
		{Key: kmsg.Heartbeat, Min: 0, Max: 4, Resource: security.Group, Operation: security.Read, Serve: on((*Handlers).Heartbeat)},
		{Key: kmsg.LeaveGroup, Min: 0, Max: 5, Resource: security.Group, Operation: security.Read, Serve: on((*Handlers).LeaveGroup)},
		{Key: kmsg.SyncGroup, Min: 0, Max: 5, Resource: security.Group, Operation: security.Read, Serve: on((*Handlers).SyncGroup)},
		{Key: kmsg.DescribeGroups, Min: 0, Max: 5, Resource: security.Group, Operation: security.Describe, Serve: on((*Handlers).DescribeGroups)},
		{Key: kmsg.ListGroups, Min: 0, Max: 5, Resource: security.Group, Operation: security.Describe, Serve: on((*Handlers).ListGroups)},
		{Key: kmsg.SASLHandshake, Min: 0, Max: 1, Operation: security.None, Serve: on((*Handlers).SASLHandshake)},
		{Key: kmsg.ApiVersions, Min: 0, Max: 4, Operation: security.None, Serve: on((*Handlers).ApiVersions), control: true},
		{Key: kmsg.CreateTopics, Min: 0, Max: 7, Resource: security.Topic, Operation: security.Create, Serve: on((*Handlers).CreateTopics)},
		{Key: kmsg.DeleteTopics, Min: 0, Max: 6, Resource: security.Topic, Operation: security.Delete, Serve: on((*Handlers).DeleteTopics)},
		{Key: kmsg.DeleteRecords, Min: 0, Max: 2, Resource: security.Topic, Operation: security.Delete, Serve: staged((*Handlers).DeleteRecords)},
		{Key: kmsg.InitProducerID, Min: 0, Max: 5, Resource: security.Cluster, Operation: security.IdempotentWrite, Serve: on((*Handlers).InitProducerID)},
		{Key: kmsg.OffsetForLeaderEpoch, Min: 0, Max: 4, Resource: security.Topic, Operation: security.Describe, Serve: on((*Handlers).OffsetForLeaderEpoch)},
		{Key: kmsg.AddPartitionsToTxn, Min: 0, Max: 5, Resource: security.TransactionalID, Operation: security.Write, Serve: on((*Handlers).AddPartitionsToTxn)},
		{Key: kmsg.AddOffsetsToTxn, Min: 0, Max: 4, Resource: security.TransactionalID, Operation: security.Write, Serve: on((*Handlers).AddOffsetsToTxn)},
		{Key: kmsg.EndTxn, Min: 0, Max: 5, Resource: security.TransactionalID, Operation: security.Write, Serve: on((*Handlers).EndTxn)},
		{Key: kmsg.WriteTxnMarkers, Min: 0, Max: 2, Resource: security.Cluster, Operation: security.ClusterAction, Serve: on((*Handlers).WriteTxnMarkers)},
		{Key: kmsg.TxnOffsetCommit, Min: 0, Max: 5, Resource: security.TransactionalID, Operation: security.Write, Serve: on((*Handlers).TxnOffsetCommit)},
		{Key: kmsg.DescribeACLs, Min: 0, Max: 3, Resource: security.Cluster, Operation: security.Describe, Serve: staged((*Handlers).DescribeACLs)},
		{Key: kmsg.CreateACLs, Min: 0, Max: 3, Resource: security.Cluster, Operation: security.Alter, Serve: staged((*Handlers).CreateACLs)},
		{Key: kmsg.DeleteACLs, Min: 0, Max: 3, Resource: security.Cluster, Operation: security.Alter, Serve: staged((*Handlers).DeleteACLs)},
		{Key: kmsg.DescribeConfigs, Min: 0, Max: 4, Resource: security.Topic, Operation: security.DescribeConfigs, Serve: on((*Handlers).DescribeConfigs)},
		{Key: kmsg.AlterConfigs, Min: 0, Max: 2, Resource: security.Topic, Operation: security.AlterConfigs, Serve: on((*Handlers).AlterConfigs)},
		{Key: kmsg.AlterReplicaLogDirs, Min: 0, Max: 2, Resource: security.Cluster, Operation: security.Alter, Serve: on((*Handlers).AlterReplicaLogDirs)},
		{Key: kmsg.DescribeLogDirs, Min: 0, Max: 4, Resource: security.Cluster, Operation: security.Describe, Serve: on((*Handlers).DescribeLogDirs)},
		{Key: kmsg.SASLAuthenticate, Min: 0, Max: 2, Operation: security.None, Serve: on((*Handlers).SASLAuthenticate)},
		{Key: kmsg.CreatePartitions, Min: 0, Max: 3, Resource: security.Topic, Operation: security.Alter, Serve: on((*Handlers).CreatePartitions)},
		{Key: kmsg.CreateDelegationToken, Min: 0, Max: 3, Operation: security.None, Serve: on((*Handlers).CreateDelegationToken)},
		{Key: kmsg.RenewDelegationToken, Min: 0, Max: 2, Operation: security.None, Serve: on((*Handlers).RenewDelegationToken)},
		{Key: kmsg.ExpireDelegationToken, Min: 0, Max: 2, Operation: security.None, Serve: on((*Handlers).ExpireDelegationToken)},
		{Key: kmsg.DescribeDelegationToken, Min: 0, Max: 3, Operation: security.None, Serve: on((*Handlers).DescribeDelegationToken)},
		{Key: kmsg.DeleteGroups, Min: 0, Max: 2, Resource: security.Group, Operation: security.Delete, Serve: on((*Handlers).DeleteGroups)},
		{Key: kmsg.ElectLeaders, Min: 0, Max: 2, Resource: security.Cluster, Operation: security.Alter, Serve: on((*Handlers).ElectLeaders)},
		{Key: kmsg.IncrementalAlterConfigs, Min: 0, Max: 1, Resource: security.Topic, Operation: security.AlterConfigs, Serve: on((*Handlers).IncrementalAlterConfigs)},
		{Key: kmsg.AlterPartitionAssignments, Min: 0, Max: 0, Resource: security.Cluster, Operation: security.Alter, Serve: on((*Handlers).AlterPartitionReassignments)},
		{Key: kmsg.ListPartitionReassignments, Min: 0, Max: 0, Resource: security.Cluster, Operation: security.Describe, Serve: on((*Handlers).ListPartitionReassignments)},
		{Key: kmsg.OffsetDelete, Min: 0, Max: 0, Resource: security.Group, Operation: security.Delete, Serve: on((*Handlers).OffsetDelete)},
		{Key: kmsg.DescribeUserSCRAMCredentials, Min: 0, Max: 0, Resource: security.Cluster, Operation: security.Describe, Serve: on((*Handlers).DescribeUserSCRAMCredentials)},
		{Key: kmsg.AlterUserSCRAMCredentials, Min: 0, Max: 0, Resource: security.Cluster, Operation: security.Alter, Serve: on((*Handlers).AlterUserSCRAMCredentials)},
		{Key: kmsg.AlterPartition, Min: 0, Max: 3, Resource: security.Cluster, Operation: security.ClusterAction, Serve: on((*Handlers).AlterPartition)},
		{Key: kmsg.UpdateFeatures, Min: 0, Max: 2, Resource: security.Cluster, Operation: security.Alter, Serve: on((*Handlers).UpdateFeatures)},
		{Key: kmsg.DescribeCluster, Min: 0, Max: 1, Resource: security.Cluster, Operation: security.Describe, Serve: on((*Handlers).DescribeCluster)},
		{Key: kmsg.DescribeProducers, Min: 0, Max: 0, Resource: security.Topic, Operation: security.Read, Serve: on((*Handlers).DescribeProducers)},
		{Key: kmsg.DescribeTransactions, Min: 0, Max: 0, Resource: security.TransactionalID, Operation: security.Describe, Serve: on((*Handlers).DescribeTransactions)},
		{Key: kmsg.ListTransactions, Min: 0, Max: 1, Resource: security.TransactionalID, Operation: security.Describe, Serve: on((*Handlers).ListTransactions)},
		{Key: kmsg.AllocateProducerIDs, Min: 0, Max: 0, Resource: security.Cluster, Operation: security.ClusterAction, Serve: on((*Handlers).AllocateProducerIDs)},
		{Key: kmsg.ConsumerGroupHeartbeat, Min: 0, Max: 1, Resource: security.Group, Operation: security.Read, Serve: on((*Handlers).ConsumerGroupHeartbeat), offered: modernGroups},
		{Key: kmsg.ConsumerGroupDescribe, Min: 0, Max: 1, Resource: security.Group, Operation: security.Describe, Serve: on((*Handlers).ConsumerGroupDescribe), offered: modernGroups},
	}
}
