package handlers

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
	"gokafka/security"
	"gokafka/topics"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Metadata tells brokers, topics and leaders, versions 0 to 12. v1 adds the controller, v2 the cluster id, v4 makes auto-creation optional, v5 adds offline replicas,
// v7 the leader epoch, v8 authorized operations (KIP-430), v9 is flexible, v10 adds topic ids (KIP-516), v11 drops the cluster's
// authorized operations, v12 takes topic ids.
//
// All it says comes from the picture that the controller pushes; leaders and brokers are given for the listener that was asked.
func (h *Handlers) Metadata(ctx context.Context, r *Request, q *kmsg.MetadataRequest) *kmsg.MetadataResponse {
	resp := q.ResponseKind().(*kmsg.MetadataResponse)
	im := h.Cluster.Image()
	resp.ControllerID, resp.AuthorizedOperations = im.ControllerID, noOperations
	resp.ClusterID = &h.ClusterID
	for _, id := range im.BrokerIDs() {
		if e, ok := endpoint(im, id, r.Conn.Listener); ok {
			b := kmsg.NewMetadataResponseBroker()
			b.NodeID, b.Host, b.Port, b.Rack = id, e.Host, e.Port, optional(im.Broker(id).Rack)
			resp.Brokers = append(resp.Brokers, b)
		}
	}
	if r.Version >= 8 && r.Version <= 10 && q.IncludeClusterAuthorizedOperations {
		resp.AuthorizedOperations = 0
		if h.mayCluster(ctx, r, security.Describe) {
			resp.AuthorizedOperations = h.operations(ctx, r, security.Cluster, security.ClusterName)
		}
	}
	m := &metadataAnswer{h: h, ctx: ctx, r: r, q: q, im: im, resp: resp}
	all := q.Topics == nil || r.Version == 0 && len(q.Topics) == 0
	switch {
	case all:
		m.allTopics()
	case m.invalid():
	case slices.ContainsFunc(q.Topics, func(t kmsg.MetadataRequestTopic) bool { return t.TopicID != [16]byte{} }):
		m.byID()
	default:
		m.byName()
	}
	resp.Topics = m.topics
	if resp.Topics == nil {
		resp.Topics = []kmsg.MetadataResponseTopic{}
	}
	return resp
}

// metadataAnswer collects the topics of one answer.
type metadataAnswer struct {
	h      *Handlers
	ctx    context.Context
	r      *Request
	q      *kmsg.MetadataRequest
	im     *metadata.Image
	resp   *kmsg.MetadataResponse
	topics []kmsg.MetadataResponseTopic
}

// invalid answers a request that mixes names and ids in a version without: every topic fails.
func (m *metadataAnswer) invalid() bool {
	bad := slices.ContainsFunc(m.q.Topics, func(t kmsg.MetadataRequestTopic) bool {
		if m.r.Version < 12 {
			return t.Topic == nil || t.TopicID != [16]byte{}
		}
		return t.Topic == nil && t.TopicID == [16]byte{}
	})
	if !bad {
		return false
	}
	// Apache answers the request as a whole: no brokers, no controller.
	m.resp.ControllerID, m.resp.ClusterID, m.resp.Brokers = -1, nil, nil
	for _, t := range m.q.Topics {
		name := ""
		if t.Topic != nil {
			name = *t.Topic
		}
		m.fail(kerr.InvalidRequest, name, t.TopicID, true)
	}
	return true
}

func (m *metadataAnswer) allTopics() {
	var list []*metadata.Topic
	for t := range m.im.Topics() {
		if m.h.may(m.ctx, m.r, security.Describe, security.Topic, t.Name) {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b *metadata.Topic) int { return cmp.Compare(a.Name, b.Name) })
	for _, t := range list {
		m.add(t)
	}
}

func (m *metadataAnswer) byID() {
	seen := map[metadata.TopicID]bool{}
	for _, q := range m.q.Topics {
		if q.TopicID == [16]byte{} || seen[q.TopicID] {
			continue
		}
		seen[q.TopicID] = true
		switch t := m.im.TopicByID(q.TopicID); {
		case t == nil:
			m.fail(kerr.UnknownTopicID, "", q.TopicID, false)
		case !m.h.may(m.ctx, m.r, security.Describe, security.Topic, t.Name):
			m.fail(kerr.TopicAuthorizationFailed, "", q.TopicID, false)
		default:
			m.add(t)
		}
	}
}

func (m *metadataAnswer) byName() {
	seen := map[string]bool{}
	var missing []string
	for _, q := range m.q.Topics {
		name := strings.ToValidUTF8(*q.Topic, "\ufffd") // what Java makes of it
		if seen[name] {
			continue
		}
		seen[name] = true
		if !m.h.may(m.ctx, m.r, security.Describe, security.Topic, name) {
			m.fail(kerr.TopicAuthorizationFailed, name, metadata.TopicID{}, true)
			continue
		}
		if t := m.im.Topic(name); t != nil {
			m.add(t)
			continue
		}
		missing = append(missing, name)
	}
	create := m.h.Config.AutoCreateTopics && (m.r.Version < 4 || m.q.AllowAutoTopicCreation)
	for _, name := range missing {
		var err error = kerr.UnknownTopicOrPartition
		switch {
		case topics.ValidateName(name) != nil:
			err = kerr.InvalidTopicException
		case create && !m.h.mayCluster(m.ctx, m.r, security.Create) && !m.h.may(m.ctx, m.r, security.Create, security.Topic, name):
			err = kerr.TopicAuthorizationFailed
		case create:
			err = m.h.Topics.AutoCreate(m.ctx, name)
		}
		m.fail(err, name, metadata.TopicID{}, true)
	}
}

// fail adds a topic without partitions.
func (m *metadataAnswer) fail(err error, name string, id metadata.TopicID, named bool) {
	t := kmsg.NewMetadataResponseTopic()
	t.ErrorCode, t.TopicID = m.h.code(err), id
	if named {
		t.Topic, t.IsInternal = &name, topics.IsInternal(name)
	}
	t.AuthorizedOperations = noOperations
	if m.r.Version >= 8 && m.q.IncludeTopicAuthorizedOperations && named && t.ErrorCode != kerr.TopicAuthorizationFailed.Code {
		t.AuthorizedOperations = m.h.operations(m.ctx, m.r, security.Topic, name)
	}
	t.Partitions = []kmsg.MetadataResponseTopicPartition{}
	m.topics = append(m.topics, t)
}

// add adds a topic with its partitions. Kafka 3.9 ZkMetadataCache.getPartitionMetadata.
func (m *metadataAnswer) add(topic *metadata.Topic) {
	t := kmsg.NewMetadataResponseTopic()
	t.Topic, t.TopicID, t.IsInternal = &topic.Name, topic.ID, topics.IsInternal(topic.Name)
	t.AuthorizedOperations = noOperations
	if m.r.Version >= 8 && m.q.IncludeTopicAuthorizedOperations {
		t.AuthorizedOperations = m.h.operations(m.ctx, m.r, security.Topic, topic.Name)
	}
	t.Partitions = make([]kmsg.MetadataResponseTopicPartition, 0, len(topic.Partitions))
	for _, p := range topic.Partitions {
		t.Partitions = append(t.Partitions, m.partition(p))
	}
	m.topics = append(m.topics, t)
}

func (m *metadataAnswer) partition(p *metadata.Partition) kmsg.MetadataResponseTopicPartition {
	out := kmsg.NewMetadataResponseTopicPartition()
	out.Partition, out.Leader, out.LeaderEpoch = p.Index, p.Leader, p.LeaderEpoch
	out.Replicas, out.ISR, out.OfflineReplicas = m.filter(p.Replicas), m.filter(p.ISR), nonNil(p.OfflineReplicas)
	if _, ok := endpoint(m.im, p.Leader, m.r.Conn.Listener); !ok {
		out.Leader = -1
		out.ErrorCode = kerr.LeaderNotAvailable.Code
		if m.im.Broker(p.Leader) != nil && m.r.Version >= 6 {
			out.ErrorCode = kerr.ListenerNotFound.Code
		}
		return out
	}
	if len(out.Replicas) < len(p.Replicas) || len(out.ISR) < len(p.ISR) {
		out.ErrorCode = kerr.ReplicaNotAvailable.Code
	}
	return out
}

// filter leaves out brokers that the client could not find, in version 0, which tells of them by an error.
func (m *metadataAnswer) filter(ids []int32) []int32 {
	if m.r.Version > 0 {
		return nonNil(ids)
	}
	kept := make([]int32, 0, len(ids))
	for _, id := range ids {
		if _, ok := endpoint(m.im, id, m.r.Conn.Listener); ok {
			kept = append(kept, id)
		}
	}
	return kept
}

func nonNil(ids []int32) []int32 {
	if ids == nil {
		return []int32{}
	}
	return ids
}
