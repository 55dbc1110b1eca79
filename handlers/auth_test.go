package handlers_test

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/handlers"
	"gokafka/security"
)

// question is what an authorizer is asked.
type question struct {
	op       security.Operation
	resource security.ResourceType
	name     string
}

// doorkeeper notes what it is asked, and denies all of it when it is told to.
type doorkeeper struct {
	mu    sync.Mutex
	deny  bool
	asked []question
}

func (d *doorkeeper) Authorize(_ context.Context, who security.Principal, host string, op security.Operation, t security.ResourceType, name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if who != security.Anonymous || host != "127.0.0.1" {
		panic("asked about " + who.String() + " from " + host)
	}
	d.asked = append(d.asked, question{op, t, name})
	return !d.deny
}

// set begins anew.
func (d *doorkeeper) set(deny bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deny, d.asked = deny, nil
}

func (d *doorkeeper) was(q question) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(d.asked, q)
}

// denied is a request that names one resource, and the code it is answered with when nothing is allowed.
type denied struct {
	what string
	make func(name string, id [16]byte) kmsg.Request
	want *kerr.Error
	// asks is what must be asked; a name of "" stands for the resource's. nil: what the row of the table says, of that resource.
	asks []question
}

// by are the questions of a request that is not asked about as its row says.
func by(list ...question) []question { return append([]question{}, list...) }

const clusterName = security.ClusterName

// deniedRequests has at least one request for each row of the table.
func deniedRequests(t *testing.T) []denied {
	byName := func(f func(name string) kmsg.Request) func(string, [16]byte) kmsg.Request {
		return func(name string, _ [16]byte) kmsg.Request { return f(name) }
	}
	fixed := func(q kmsg.Request) func(string, [16]byte) kmsg.Request {
		return func(string, [16]byte) kmsg.Request { return q }
	}
	version := func(q kmsg.Request, v int16) kmsg.Request { q.SetVersion(v); return q }
	clusterAction := question{security.ClusterAction, security.Cluster, clusterName}
	return []denied{
		{"produce", byName(func(n string) kmsg.Request { return produceRequest(9, 1, n, batch(t, 1, -1, 0, 0)) }), kerr.TopicAuthorizationFailed, nil},
		{"fetch", byName(func(n string) kmsg.Request { return fetchRequest(n, 0, 0) }), kerr.TopicAuthorizationFailed, nil},
		{"fetch by id", func(n string, id [16]byte) kmsg.Request {
			q := fetchRequest("", 0, 0)
			q.Version, q.Topics[0].TopicID = 13, id
			return q
		}, nil, by()},
		{"fetch of a follower", byName(func(n string) kmsg.Request { q := fetchRequest(n, 0, 0); q.ReplicaID = 1; return q }), kerr.TopicAuthorizationFailed, by(clusterAction)},
		{"list offsets", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrListOffsetsRequest()
			q.Version = 7
			rt := kmsg.NewListOffsetsRequestTopic()
			rt.Topic, rt.Partitions = n, []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: -1, CurrentLeaderEpoch: -1}}
			q.Topics = append(q.Topics, rt)
			return q
		}), kerr.TopicAuthorizationFailed, nil},
		{"metadata", byName(func(n string) kmsg.Request { return metadataRequest(n) }), kerr.TopicAuthorizationFailed, nil},
		{"metadata that may create", byName(func(n string) kmsg.Request { q := metadataRequest(n); q.AllowAutoTopicCreation = true; return q }), kerr.TopicAuthorizationFailed, nil},
		{"metadata by id", func(_ string, id [16]byte) kmsg.Request {
			q := metadataRequest("")
			q.Topics[0].Topic, q.Topics[0].TopicID = nil, id
			return q
		}, nil, by()},
		{"leader and isr", fixed(version(kmsg.NewPtrLeaderAndISRRequest(), 7)), kerr.ClusterAuthorizationFailed, nil},
		{"stop replica", fixed(version(kmsg.NewPtrStopReplicaRequest(), 3)), kerr.ClusterAuthorizationFailed, nil},
		{"update metadata", fixed(version(kmsg.NewPtrUpdateMetadataRequest(), 8)), kerr.ClusterAuthorizationFailed, nil},
		{"controlled shutdown", fixed(version(kmsg.NewPtrControlledShutdownRequest(), 3)), kerr.ClusterAuthorizationFailed, nil},
		{"group coordinator", byName(func(n string) kmsg.Request { return coordinatorRequest(0, n) }), kerr.GroupAuthorizationFailed, nil},
		{"offset commit", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrOffsetCommitRequest()
			q.Version, q.Group, q.Generation = 8, n, -1
			rt, rp := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
			rt.Topic, rt.Partitions = "topic", append(rt.Partitions, rp)
			q.Topics = append(q.Topics, rt)
			return q
		}), kerr.GroupAuthorizationFailed, nil},
		{"offset fetch", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrOffsetFetchRequest()
			g := kmsg.NewOffsetFetchRequestGroup()
			g.Group = n
			q.Version, q.Groups = 8, append(q.Groups, g)
			return q
		}), kerr.GroupAuthorizationFailed, nil},
		{"join group", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrJoinGroupRequest()
			q.Version, q.Group = 9, n
			return q
		}), kerr.GroupAuthorizationFailed, nil},
		{"heartbeat", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrHeartbeatRequest()
			q.Version, q.Group = 4, n
			return q
		}), kerr.GroupAuthorizationFailed, nil},
		{"leave group", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrLeaveGroupRequest()
			q.Version, q.Group = 5, n
			return q
		}), kerr.GroupAuthorizationFailed, nil},
		{"sync group", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrSyncGroupRequest()
			q.Version, q.Group = 4, n
			return q
		}), kerr.GroupAuthorizationFailed, nil},
		{"describe groups", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrDescribeGroupsRequest()
			q.Version, q.Groups = 5, []string{n}
			return q
		}), kerr.GroupAuthorizationFailed, nil},
		{"list groups", fixed(version(kmsg.NewPtrListGroupsRequest(), 5)), nil, by(question{security.Describe, security.Cluster, clusterName})},
		{"delete groups", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrDeleteGroupsRequest()
			q.Version, q.Groups = 2, []string{n}
			return q
		}), kerr.GroupAuthorizationFailed, nil},
		{"offset delete", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrOffsetDeleteRequest()
			q.Group = n
			return q
		}), kerr.GroupAuthorizationFailed, nil},
		{"transaction coordinator", byName(func(n string) kmsg.Request { return coordinatorRequest(1, n) }), kerr.TransactionalIDAuthorizationFailed,
			by(question{security.Describe, security.TransactionalID, ""})},
		{"share coordinator", byName(func(n string) kmsg.Request { return coordinatorRequest(2, n) }), kerr.ClusterAuthorizationFailed, by(clusterAction)},
		{"api versions", fixed(apiVersions()), nil, by()},
		{"create topics", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrCreateTopicsRequest()
			q.Version = 7
			rt := kmsg.NewCreateTopicsRequestTopic()
			rt.Topic, rt.NumPartitions, rt.ReplicationFactor = n, 1, 1
			q.Topics = append(q.Topics, rt)
			return q
		}), kerr.TopicAuthorizationFailed, by(question{security.Create, security.Cluster, clusterName}, question{security.Create, security.Topic, ""})},
		{"delete topics", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrDeleteTopicsRequest()
			q.Version = 6
			rt := kmsg.NewDeleteTopicsRequestTopic()
			rt.Topic = &n
			q.Topics = append(q.Topics, rt)
			return q
		}), kerr.TopicAuthorizationFailed, nil},
		{"delete records", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrDeleteRecordsRequest()
			q.Version = 2
			rt := kmsg.NewDeleteRecordsRequestTopic()
			rt.Topic, rt.Partitions = n, []kmsg.DeleteRecordsRequestTopicPartition{kmsg.NewDeleteRecordsRequestTopicPartition()}
			q.Topics = append(q.Topics, rt)
			return q
		}), kerr.TopicAuthorizationFailed, nil},
		{"producer id", fixed(version(kmsg.NewPtrInitProducerIDRequest(), 4)), kerr.ClusterAuthorizationFailed, nil},
		{"producer id of a transactional id", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrInitProducerIDRequest()
			q.Version, q.TransactionalID = 4, &n
			return q
		}), kerr.TransactionalIDAuthorizationFailed, by(question{security.Write, security.TransactionalID, ""})},
		{"offset for leader epoch", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrOffsetForLeaderEpochRequest()
			q.Version = 4
			rt := kmsg.NewOffsetForLeaderEpochRequestTopic()
			rt.Topic, rt.Partitions = n, []kmsg.OffsetForLeaderEpochRequestTopicPartition{kmsg.NewOffsetForLeaderEpochRequestTopicPartition()}
			q.Topics = append(q.Topics, rt)
			return q
		}), kerr.TopicAuthorizationFailed, by(clusterAction, question{security.Describe, security.Topic, ""})},
		{"configs of a topic", byName(func(n string) kmsg.Request { return configsRequest(kmsg.ConfigResourceTypeTopic, n) }), kerr.TopicAuthorizationFailed, nil},
		{"configs of a broker", fixed(configsRequest(kmsg.ConfigResourceTypeBroker, "0")), kerr.ClusterAuthorizationFailed,
			by(question{security.DescribeConfigs, security.Cluster, clusterName})},
		{"create partitions", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrCreatePartitionsRequest()
			q.Version = 3
			rt := kmsg.NewCreatePartitionsRequestTopic()
			rt.Topic, rt.Count = n, 5
			q.Topics = append(q.Topics, rt)
			return q
		}), kerr.TopicAuthorizationFailed, nil},
		{"describe producers", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrDescribeProducersRequest()
			rt := kmsg.NewDescribeProducersRequestTopic()
			rt.Topic, rt.Partitions = n, []int32{0}
			q.Topics = append(q.Topics, rt)
			return q
		}), kerr.TopicAuthorizationFailed, nil},
		{"transaction coordinator", byName(func(n string) kmsg.Request { return coordinatorRequest(1, n) }), kerr.TransactionalIDAuthorizationFailed,
			by(question{security.Describe, security.TransactionalID, ""})},
		{"transactional id", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrInitProducerIDRequest()
			q.Version, q.TransactionalID, q.TransactionTimeoutMillis = 5, &n, 1000
			return q
		}), kerr.TransactionalIDAuthorizationFailed, by(question{security.Write, security.TransactionalID, ""})},
		{"add partitions to txn", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrAddPartitionsToTxnRequest()
			rt := kmsg.NewAddPartitionsToTxnRequestTopic()
			rt.Topic, rt.Partitions = "topic", []int32{0}
			q.Version, q.TransactionalID, q.Topics = 3, n, append(q.Topics, rt)
			return q
		}), kerr.TransactionalIDAuthorizationFailed, nil},
		{"verify partitions of txns", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrAddPartitionsToTxnRequest()
			qt := kmsg.NewAddPartitionsToTxnRequestTransaction()
			qt.TransactionalID, qt.VerifyOnly = n, true
			q.Version, q.Transactions = 5, append(q.Transactions, qt)
			return q
		}), kerr.ClusterAuthorizationFailed, by(clusterAction)},
		{"add offsets to txn", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrAddOffsetsToTxnRequest()
			q.Version, q.TransactionalID, q.Group = 4, n, "g"
			return q
		}), kerr.TransactionalIDAuthorizationFailed, nil},
		{"end txn", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrEndTxnRequest()
			q.Version, q.TransactionalID = 4, n
			return q
		}), kerr.TransactionalIDAuthorizationFailed, nil},
		{"write txn markers", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrWriteTxnMarkersRequest()
			m, rt := kmsg.NewWriteTxnMarkersRequestMarker(), kmsg.NewWriteTxnMarkersRequestMarkerTopic()
			rt.Topic, rt.Partitions = n, []int32{0}
			m.Topics = append(m.Topics, rt)
			q.Version, q.Markers = 1, append(q.Markers, m)
			return q
		}), kerr.ClusterAuthorizationFailed, by(clusterAction, question{security.Alter, security.Cluster, clusterName})},
		{"txn offset commit", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrTxnOffsetCommitRequest()
			rt, rp := kmsg.NewTxnOffsetCommitRequestTopic(), kmsg.NewTxnOffsetCommitRequestTopicPartition()
			rt.Topic, rt.Partitions = "topic", append(rt.Partitions, rp)
			q.Version, q.TransactionalID, q.Group, q.Topics = 4, n, "g", append(q.Topics, rt)
			return q
		}), kerr.TransactionalIDAuthorizationFailed, nil},
		{"describe transactions", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrDescribeTransactionsRequest()
			q.TransactionalIDs = []string{n}
			return q
		}), kerr.TransactionalIDAuthorizationFailed, nil},
		{"list transactions", fixed(version(kmsg.NewPtrListTransactionsRequest(), 1)), nil, by()},
		{"alter configs of a topic", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrAlterConfigsRequest()
			q.Version, q.ValidateOnly = 2, true
			q.Resources = append(q.Resources, kmsg.AlterConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: n})
			return q
		}), kerr.TopicAuthorizationFailed, nil},
		{"alter configs of a topic by and by", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrIncrementalAlterConfigsRequest()
			q.Version, q.ValidateOnly = 1, true
			q.Resources = append(q.Resources, kmsg.IncrementalAlterConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: n})
			return q
		}), kerr.TopicAuthorizationFailed, nil},
		{"alter configs of all brokers", fixed(func() kmsg.Request {
			q := kmsg.NewPtrIncrementalAlterConfigsRequest()
			q.Version, q.ValidateOnly = 1, true
			q.Resources = append(q.Resources, kmsg.IncrementalAlterConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeBroker})
			return q
		}()), kerr.ClusterAuthorizationFailed, by(question{security.AlterConfigs, security.Cluster, clusterName})},
		{"sasl handshake", fixed(kmsg.NewPtrSASLHandshakeRequest()), nil, by()},
		{"sasl authenticate", fixed(kmsg.NewPtrSASLAuthenticateRequest()), nil, by()},
		{"create a delegation token", fixed(kmsg.NewPtrCreateDelegationTokenRequest()), nil, by()},
		{"renew a delegation token", fixed(kmsg.NewPtrRenewDelegationTokenRequest()), nil, by()},
		{"expire a delegation token", fixed(kmsg.NewPtrExpireDelegationTokenRequest()), nil, by()},
		{"describe delegation tokens", fixed(kmsg.NewPtrDescribeDelegationTokenRequest()), nil, by()},
		{"describe acls", fixed(&kmsg.DescribeACLsRequest{Version: 1, ResourceType: 2, ResourcePatternType: 3, Operation: 3, PermissionType: 3}), kerr.ClusterAuthorizationFailed,
			by(question{security.Describe, security.Cluster, clusterName})},
		{"create acls", fixed(&kmsg.CreateACLsRequest{Version: 1, Creations: []kmsg.CreateACLsRequestCreation{{ResourceType: 2, ResourcePatternType: 3, Operation: 3, PermissionType: 3}}}),
			kerr.ClusterAuthorizationFailed, by(question{security.Alter, security.Cluster, clusterName})},
		{"delete acls", fixed(&kmsg.DeleteACLsRequest{Version: 1, Filters: []kmsg.DeleteACLsRequestFilter{{ResourceType: 2, ResourcePatternType: 3, Operation: 3, PermissionType: 3}}}),
			kerr.ClusterAuthorizationFailed, by(question{security.Alter, security.Cluster, clusterName})},
		{"describe scram credentials", fixed(kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()), kerr.ClusterAuthorizationFailed, by(question{security.Describe, security.Cluster, clusterName})},
		{"alter scram credentials", fixed(&kmsg.AlterUserSCRAMCredentialsRequest{Deletions: []kmsg.AlterUserSCRAMCredentialsRequestDeletion{{Name: "u", Mechanism: 1}}}),
			kerr.ClusterAuthorizationFailed, by(question{security.Alter, security.Cluster, clusterName})},
		{"update features", fixed(func() kmsg.Request {
			q := kmsg.NewPtrUpdateFeaturesRequest()
			q.Version, q.ValidateOnly = 1, true
			q.FeatureUpdates = append(q.FeatureUpdates, kmsg.UpdateFeaturesRequestFeatureUpdate{Feature: "transaction.version", MaxVersionLevel: 2, UpgradeType: 1})
			return q
		}()), kerr.ClusterAuthorizationFailed, by(question{security.Alter, security.Cluster, clusterName})},
		{"elect leaders", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrElectLeadersRequest()
			q.Version = 2
			rt := kmsg.NewElectLeadersRequestTopic()
			rt.Topic, rt.Partitions = n, []int32{0}
			q.Topics = append(q.Topics, rt)
			return q
		}), kerr.ClusterAuthorizationFailed, by(question{security.Alter, security.Cluster, clusterName})},
		{"alter partition reassignments", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrAlterPartitionAssignmentsRequest()
			rt := kmsg.NewAlterPartitionAssignmentsRequestTopic()
			rt.Topic, rt.Partitions = n, []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Replicas: []int32{0}}}
			q.Topics = append(q.Topics, rt)
			return q
		}), kerr.ClusterAuthorizationFailed, by(question{security.Alter, security.Cluster, clusterName})},
		{"alter replica log dirs", byName(func(n string) kmsg.Request {
			q := kmsg.NewPtrAlterReplicaLogDirsRequest()
			d := kmsg.NewAlterReplicaLogDirsRequestDir()
			rt := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
			rt.Topic, rt.Partitions = n, []int32{0}
			d.Topics = append(d.Topics, rt)
			q.Dirs = append(q.Dirs, d)
			q.Version = 2
			return q
		}), kerr.ClusterAuthorizationFailed, by(question{security.Alter, security.Cluster, clusterName})},
		{"describe log dirs", fixed(version(kmsg.NewPtrDescribeLogDirsRequest(), 4)), kerr.ClusterAuthorizationFailed,
			by(question{security.Describe, security.Cluster, clusterName})},
		{"list partition reassignments", fixed(kmsg.NewPtrListPartitionReassignmentsRequest()), kerr.ClusterAuthorizationFailed,
			by(question{security.Describe, security.Cluster, clusterName})},
		{"alter partition", fixed(version(kmsg.NewPtrAlterPartitionRequest(), 3)), kerr.ClusterAuthorizationFailed, nil},
		{"describe cluster", fixed(func() kmsg.Request {
			q := kmsg.NewPtrDescribeClusterRequest()
			q.Version, q.IncludeClusterAuthorizedOperations = 1, true
			return q
		}()), nil, by(question{security.Describe, security.Cluster, clusterName})},
		{"allocate producer ids", func(string, [16]byte) kmsg.Request { return kmsg.NewPtrAllocateProducerIDsRequest() }, kerr.ClusterAuthorizationFailed, nil},
		{"heartbeat of a consumer group", fixed(version(func() kmsg.Request {
			q := kmsg.NewPtrConsumerGroupHeartbeatRequest()
			q.Group = "g"
			return q
		}(), 1)), kerr.GroupAuthorizationFailed, by(question{security.Read, security.Group, "g"})},
		{"describe a consumer group", fixed(version(func() kmsg.Request {
			q := kmsg.NewPtrConsumerGroupDescribeRequest()
			q.Groups = []string{"g"}
			return q
		}(), 1)), kerr.GroupAuthorizationFailed, by(question{security.Describe, security.Group, "g"})},
		{"metadata of all topics", fixed(func() kmsg.Request { q := metadataRequest(); q.Topics = nil; return q }()), nil,
			by(question{security.Describe, security.Topic, "there"})},
	}
}

func coordinatorRequest(kind int8, key string) *kmsg.FindCoordinatorRequest {
	q := kmsg.NewPtrFindCoordinatorRequest()
	q.Version, q.CoordinatorType, q.CoordinatorKeys = 6, kind, []string{key}
	return q
}

func configsRequest(t kmsg.ConfigResourceType, name string) *kmsg.DescribeConfigsRequest {
	q := kmsg.NewPtrDescribeConfigsRequest()
	q.Version = 4
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName = t, name
	q.Resources = append(q.Resources, r)
	return q
}

// codes collects the error codes in an answer that are not 0.
func codes(v reflect.Value, into map[int16]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			codes(v.Elem(), into)
		}
	case reflect.Slice:
		for i := range v.Len() {
			codes(v.Index(i), into)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); v.Type().Field(i).Name == "ErrorCode" && f.Int() != 0 {
				into[int16(f.Int())] = true
			} else {
				codes(f, into)
			}
		}
	}
}

// Each API asks what its row of the table says, and answers the code that its refusal has. A topic that is there is answered like one that is not.
func TestDenied(t *testing.T) {
	door := &doorkeeper{}
	n := start(t, setup{authorizer: door, props: map[string]string{"auto.create.topics.enable": "true"}})
	id := n.create("there", 1)
	seen := map[int16]bool{}
	defer door.set(false) // the broker's own requests are asked about too
	for _, c := range deniedRequests(t) {
		var bodies []string
		for name, id := range map[string][16]byte{"there": id, "never": {0xff}} {
			q := c.make(name, id)
			row := rowOf(t, q.Key())
			seen[q.Key()] = true
			door.set(true)
			r := once[kmsg.Response](n, q)
			found := map[int16]bool{}
			codes(reflect.ValueOf(r), found)
			if c.want != nil && (len(found) != 1 || !found[c.want.Code]) {
				t.Errorf("%s of %s: codes %v, want %d", c.what, name, found, c.want.Code)
			}
			asked := c.asks
			if asked == nil {
				asked = by(question{row.Operation, row.Resource, ""})
			}
			for _, q := range asked {
				switch {
				case q.resource == security.Cluster:
					q.name = clusterName
				case q.name == "":
					q.name = name
				}
				if !door.was(q) {
					t.Errorf("%s of %s: %v was not asked, but %v", c.what, name, q, door.asked)
				}
			}
			text, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			bodies = append(bodies, strings.ReplaceAll(string(text), name, "NAME"))
		}
		if c.want != nil && bodies[0] != bodies[1] {
			t.Errorf("%s: a topic that is there and one that is not differ:\n%s\n%s", c.what, bodies[0], bodies[1])
		}
	}
	for _, row := range handlers.Table() {
		if !seen[row.Key.Int16()] {
			t.Errorf("%s: no request", row.Key.Name())
		}
	}
	if im := once[*kmsg.MetadataResponse](n, metadataRequest("there")); im.Topics[0].ErrorCode != kerr.TopicAuthorizationFailed.Code {
		t.Error("nothing was to be allowed:", im.Topics[0])
	}
	door.set(false)
	if im := once[*kmsg.MetadataResponse](n, metadataRequest("never")); im.Topics[0].ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Error("a request that was not allowed made a topic:", im.Topics[0])
	}
	if im := once[*kmsg.MetadataResponse](n, metadataRequest("there")); len(im.Topics[0].Partitions) != 1 {
		t.Error("a request that was not allowed changed a topic:", im.Topics[0])
	}
}

func rowOf(t *testing.T, key int16) *handlers.Row {
	t.Helper()
	for _, row := range handlers.Table() {
		if row.Key.Int16() == key {
			return &row
		}
	}
	t.Fatalf("key %d is not served", key)
	return nil
}

// By id, Apache tells a topic that is not there from one that may not be seen, but not the topic's name.
func TestDeniedByID(t *testing.T) {
	door := &doorkeeper{}
	n := start(t, setup{authorizer: door})
	id := n.create("there", 1)
	door.set(true)
	defer door.set(false)
	md := metadataRequest("", "")
	md.Topics[0].Topic, md.Topics[0].TopicID = nil, id
	md.Topics[1].Topic, md.Topics[1].TopicID = nil, [16]byte{0xff}
	for _, r := range once[*kmsg.MetadataResponse](n, md).Topics {
		want := kerr.UnknownTopicID
		if r.TopicID == id {
			want = kerr.TopicAuthorizationFailed
		}
		if r.ErrorCode != want.Code || r.Topic != nil || len(r.Partitions) != 0 {
			t.Errorf("metadata: %+v, want code %d and no name", r, want.Code)
		}
	}
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.Version = 6
	rt := kmsg.NewDeleteTopicsRequestTopic()
	rt.TopicID = id
	del.Topics = append(del.Topics, rt)
	if r := once[*kmsg.DeleteTopicsResponse](n, del).Topics[0]; r.ErrorCode != kerr.TopicAuthorizationFailed.Code || r.Topic != nil {
		t.Errorf("delete: %+v, want code %d and no name", r, kerr.TopicAuthorizationFailed.Code)
	}
	f := fetchRequest("", 0, 0)
	f.Version, f.Topics[0].TopicID = 13, id
	if r := once[*kmsg.FetchResponse](n, f).Topics[0].Partitions[0]; r.ErrorCode != kerr.TopicAuthorizationFailed.Code {
		t.Errorf("fetch: %+v", r)
	}
	all := metadataRequest()
	all.Topics = nil
	if r := once[*kmsg.MetadataResponse](n, all); len(r.Topics) != 0 || len(r.Brokers) != 1 {
		t.Errorf("all topics: %+v", r)
	}
	dc := kmsg.NewPtrDescribeClusterRequest()
	dc.Version, dc.IncludeClusterAuthorizedOperations = 1, true
	if r := once[*kmsg.DescribeClusterResponse](n, dc); r.ClusterAuthorizedOperations != 0 || len(r.Brokers) != 1 {
		t.Errorf("describe cluster: %+v", r)
	}
}
