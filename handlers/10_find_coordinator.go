package handlers

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/groups"
	"gokafka/metadata"
	"gokafka/security"
	"gokafka/topics"
)

// Key types of FindCoordinator.
const (
	coordinatorGroup       int8 = 0
	coordinatorTransaction int8 = 1
	coordinatorShare       int8 = 2
)

// FindCoordinator tells which broker coordinates a group or a transactional id, versions 0 to 6. v1 adds key types, v3 is flexible, v4 takes many keys (KIP-699),
// v5 may answer TRANSACTION_ABORTABLE, v6 has share groups (KIP-932).
//
// The coordinator of a group is the leader of the group's partition of __consumer_offsets, that of a transactional id the leader of its partition of
// __transaction_state. The topics are created when they are first asked for; until they are there the answer is COORDINATOR_NOT_AVAILABLE, and clients retry. Source: Kafka 3.9 KafkaApis.getCoordinator.
func (h *Handlers) FindCoordinator(ctx context.Context, r *Request, q *kmsg.FindCoordinatorRequest) *kmsg.FindCoordinatorResponse {
	resp := q.ResponseKind().(*kmsg.FindCoordinatorResponse)
	if r.Version >= 4 {
		resp.Coordinators = []kmsg.FindCoordinatorResponseCoordinator{}
		for _, key := range q.CoordinatorKeys {
			c := kmsg.NewFindCoordinatorResponseCoordinator()
			c.Key = key
			var err error
			c.NodeID, c.Host, c.Port, err = h.findCoordinator(ctx, r, q.CoordinatorType, key)
			c.ErrorCode = h.code(err)
			c.ErrorMessage = new(string) // Apache's, unless the request itself fails
			if q.CoordinatorType < coordinatorGroup || q.CoordinatorType > coordinatorShare {
				c.ErrorMessage = errorText(c.ErrorCode)
			}
			resp.Coordinators = append(resp.Coordinators, c)
		}
		return resp
	}
	var err error
	resp.NodeID, resp.Host, resp.Port, err = h.findCoordinator(ctx, r, q.CoordinatorType, q.CoordinatorKey)
	resp.ErrorCode = h.code(err)
	if resp.ErrorMessage = errorText(resp.ErrorCode); err == nil {
		resp.ErrorMessage = kmsg.StringPtr("NONE") // Apache's text of no error
	}
	return resp
}

func (h *Handlers) findCoordinator(ctx context.Context, r *Request, keyType int8, key string) (id int32, host string, port int32, err error) {
	switch keyType {
	case coordinatorGroup:
		if h.may(ctx, r, security.Describe, security.Group, key) {
			return h.coordinatorOf(ctx, r, topics.ConsumerOffsets, key)
		}
		err = kerr.GroupAuthorizationFailed
	case coordinatorTransaction:
		if h.may(ctx, r, security.Describe, security.TransactionalID, key) {
			return h.coordinatorOf(ctx, r, topics.TransactionState, key)
		}
		err = kerr.TransactionalIDAuthorizationFailed
	case coordinatorShare:
		switch {
		case r.Version < 6:
			err = kerr.InvalidRequest
		case !h.mayCluster(ctx, r, security.ClusterAction):
			err = kerr.ClusterAuthorizationFailed
		default:
			err = kerr.CoordinatorNotAvailable
		}
	default:
		err = kerr.InvalidRequest
	}
	return -1, "", -1, err
}

func (h *Handlers) coordinatorOf(ctx context.Context, r *Request, topic, key string) (id int32, host string, port int32, err error) {
	im := h.Cluster.Image()
	t := im.Topic(topic)
	if t == nil {
		if err := h.Topics.AutoCreate(ctx, topic); !errors.Is(err, kerr.LeaderNotAvailable) && !errors.Is(err, kerr.UnknownTopicOrPartition) {
			h.Logger.Warn("The topic of coordinators could not be created", "topic", topic, "error", err)
		}
		return -1, "", -1, kerr.CoordinatorNotAvailable
	}
	p := im.Partition(metadata.TopicPartition{Topic: t.Name, Partition: groups.PartitionFor(key, int32(len(t.Partitions)))})
	if p == nil || p.Leader < 0 {
		return -1, "", -1, kerr.CoordinatorNotAvailable
	}
	e, ok := endpoint(im, p.Leader, r.Conn.Listener)
	if !ok {
		return -1, "", -1, kerr.CoordinatorNotAvailable
	}
	return p.Leader, e.Host, e.Port, nil
}

// errorText is the description of an error code, as Apache puts it where an answer has room for a message but nothing special to say.
func errorText(code int16) *string {
	if code == 0 {
		return nil
	}
	if ke := kerr.TypedErrorForCode(code); ke != nil {
		return kmsg.StringPtr(ke.Description)
	}
	return nil
}
