package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/security"
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
// While this broker has no coordinators every key answers COORDINATOR_NOT_AVAILABLE, as Apache does before its internal topics exist; clients retry.
func (h *Handlers) FindCoordinator(ctx context.Context, r *Request, q *kmsg.FindCoordinatorRequest) *kmsg.FindCoordinatorResponse {
	resp := q.ResponseKind().(*kmsg.FindCoordinatorResponse)
	if r.Version >= 4 {
		resp.Coordinators = []kmsg.FindCoordinatorResponseCoordinator{}
		for _, key := range q.CoordinatorKeys {
			c := kmsg.NewFindCoordinatorResponseCoordinator()
			c.Key, c.NodeID, c.Port = key, -1, -1
			c.ErrorCode = h.code(h.findCoordinator(ctx, r, q.CoordinatorType, key))
			c.ErrorMessage = new(string) // Apache's, unless the request itself fails
			if q.CoordinatorType < coordinatorGroup || q.CoordinatorType > coordinatorShare {
				c.ErrorMessage = errorText(c.ErrorCode)
			}
			resp.Coordinators = append(resp.Coordinators, c)
		}
		return resp
	}
	err := h.findCoordinator(ctx, r, q.CoordinatorType, q.CoordinatorKey)
	resp.NodeID, resp.Port = -1, -1
	resp.ErrorCode = h.code(err)
	resp.ErrorMessage = errorText(resp.ErrorCode)
	return resp
}

func (h *Handlers) findCoordinator(ctx context.Context, r *Request, keyType int8, key string) error {
	switch keyType {
	case coordinatorGroup:
		if !h.may(ctx, r, security.Describe, security.Group, key) {
			return kerr.GroupAuthorizationFailed
		}
	case coordinatorTransaction:
		if !h.may(ctx, r, security.Describe, security.TransactionalID, key) {
			return kerr.TransactionalIDAuthorizationFailed
		}
	case coordinatorShare:
		if r.Version < 6 {
			return kerr.InvalidRequest
		}
		if !h.mayCluster(ctx, r, security.ClusterAction) {
			return kerr.ClusterAuthorizationFailed
		}
	default:
		return kerr.InvalidRequest
	}
	return kerr.CoordinatorNotAvailable
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
