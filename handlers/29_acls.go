package handlers

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/protocol"
	"gokafka/security"
)

// DescribeACLs, CreateACLs and DeleteACLs are about access control lists (KIP-140), versions 0 to 3: v1 adds the pattern type (KIP-290), v2 is flexible, v3 adds users as
// resources (KIP-373). There is no authorizer yet: SECURITY_DISABLED, as from Apache without one. What is said to be of an unknown kind breaks the request, and the connection is
// closed. Source: Kafka 3.9 AclApis, DescribeAclsRequest, CreateAclsRequest, DeleteAclsRequest.

// unknownACL is the kind of a resource, pattern, operation or permission that nobody may send.
const unknownACL = 0

// soundACL refuses a filter, or a list entry, that says it is of an unknown kind. Version 0 has no pattern type.
func soundACL(version int16, resource kmsg.ACLResourceType, pattern kmsg.ACLResourcePatternType, op kmsg.ACLOperation, permission kmsg.ACLPermissionType) error {
	if resource == unknownACL || op == unknownACL || permission == unknownACL || version >= 1 && pattern == unknownACL {
		return fmt.Errorf("%w: a kind that is unknown", protocol.ErrMalformed)
	}
	return nil
}

// noAuthorizer is the outcome of a change, and what to say of it.
func (h *Handlers) noAuthorizer(ctx context.Context, r *Request) (code int16, message *string) {
	if !h.mayCluster(ctx, r, security.Alter) {
		return kerr.ClusterAuthorizationFailed.Code, optional(kerr.ClusterAuthorizationFailed.Description)
	}
	return kerr.SecurityDisabled.Code, optional("No Authorizer is configured.")
}

// DescribeACLs lists access control lists.
func (h *Handlers) DescribeACLs(ctx context.Context, r *Request) (Answer, error) {
	decoded, err := protocol.Decode(r.Key, r.Version, r.Body)
	if err != nil {
		return Answer{}, err
	}
	q := decoded.(*kmsg.DescribeACLsRequest)
	if err := soundACL(r.Version, q.ResourceType, q.ResourcePatternType, q.Operation, q.PermissionType); err != nil {
		return Answer{}, err
	}
	resp := q.ResponseKind().(*kmsg.DescribeACLsResponse)
	if resp.ErrorCode, resp.ErrorMessage = kerr.SecurityDisabled.Code, optional("No Authorizer is configured on the broker"); !h.mayCluster(ctx, r, security.Describe) {
		resp.ErrorCode, resp.ErrorMessage = kerr.ClusterAuthorizationFailed.Code, optional(kerr.ClusterAuthorizationFailed.Description)
	}
	return Answer{Body: resp}, nil
}

// CreateACLs adds to access control lists.
func (h *Handlers) CreateACLs(ctx context.Context, r *Request) (Answer, error) {
	decoded, err := protocol.Decode(r.Key, r.Version, r.Body)
	if err != nil {
		return Answer{}, err
	}
	q := decoded.(*kmsg.CreateACLsRequest)
	resp := q.ResponseKind().(*kmsg.CreateACLsResponse)
	code, message := h.noAuthorizer(ctx, r)
	for _, c := range q.Creations {
		if err := soundACL(r.Version, c.ResourceType, c.ResourcePatternType, c.Operation, c.PermissionType); err != nil {
			return Answer{}, err
		}
		x := kmsg.NewCreateACLsResponseResult()
		x.ErrorCode, x.ErrorMessage = code, message
		resp.Results = append(resp.Results, x)
	}
	return Answer{Body: resp}, nil
}

// DeleteACLs takes away from access control lists.
func (h *Handlers) DeleteACLs(ctx context.Context, r *Request) (Answer, error) {
	decoded, err := protocol.Decode(r.Key, r.Version, r.Body)
	if err != nil {
		return Answer{}, err
	}
	q := decoded.(*kmsg.DeleteACLsRequest)
	resp := q.ResponseKind().(*kmsg.DeleteACLsResponse)
	code, message := h.noAuthorizer(ctx, r)
	for _, f := range q.Filters {
		if err := soundACL(r.Version, f.ResourceType, f.ResourcePatternType, f.Operation, f.PermissionType); err != nil {
			return Answer{}, err
		}
		x := kmsg.NewDeleteACLsResponseResult()
		x.ErrorCode, x.ErrorMessage = code, message
		resp.Results = append(resp.Results, x)
	}
	return Answer{Body: resp}, nil
}
