package probe

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// securityCases are the requests about SASL, ACLs and delegation tokens, to a broker that has none of them.
func securityCases() []Case {
	return group("security",
		named("sasl", func(r *Run) {
			for v := range int16(2) {
				req := kmsg.NewPtrSASLHandshakeRequest()
				req.Mechanism = "PLAIN"
				r.Do("handshake", req, v)
			}
			for v := range int16(3) {
				req := kmsg.NewPtrSASLAuthenticateRequest()
				req.SASLAuthBytes = []byte("\x00user\x00password")
				r.Do("authenticate", req, v)
			}
		}),
		named("describe acls", func(r *Run) {
			for v := range int16(4) {
				r.Do("of all topics", describeACLs(2, 3, 2), v)
			}
			for _, x := range [][3]int8{{0, 3, 2}, {2, 0, 2}, {2, 3, 0}, {2, 99, 2}, {99, 3, 2}, {2, 3, 99}, {1, 1, 1}} {
				r.Do(fmt.Sprintf("resource type %d, operation %d, permission %d", x[0], x[1], x[2]), describeACLs(x[0], x[1], x[2]), 1)
			}
			req := describeACLs(2, 3, 2)
			req.ResourcePatternType = 0
			r.Do("pattern type 0", req, 1)
		}),
		named("create acls", func(r *Run) {
			for v := range int16(4) {
				r.Do("two", createACLs(2, 3, 2, 2), v)
			}
			r.Do("none", createACLs(2, 3, 2, 0), 1)
			for _, x := range [][3]int8{{0, 3, 3}, {2, 0, 3}, {2, 3, 0}, {2, 99, 3}, {1, 3, 3}, {2, 1, 3}} {
				r.Do(fmt.Sprintf("resource type %d, operation %d, permission %d", x[0], x[1], x[2]), createACLs(x[0], x[1], x[2], 1), 1)
			}
		}),
		named("delete acls", func(r *Run) {
			for v := range int16(4) {
				r.Do("two", deleteACLs(2, 3, 2, 2), v)
			}
			r.Do("none", deleteACLs(2, 3, 2, 0), 1)
			for _, x := range [][3]int8{{0, 3, 3}, {2, 0, 3}, {2, 3, 0}, {2, 99, 3}, {1, 1, 1}} {
				r.Do(fmt.Sprintf("resource type %d, operation %d, permission %d", x[0], x[1], x[2]), deleteACLs(x[0], x[1], x[2], 1), 1)
			}
		}),
		named("delegation tokens", func(r *Run) {
			for v := range int16(4) {
				req := kmsg.NewPtrCreateDelegationTokenRequest()
				req.MaxLifetimeMillis = -1
				r.Do("create", req, v)
				req.Renewers = []kmsg.CreateDelegationTokenRequestRenewer{{PrincipalType: "Nobody", PrincipalName: "x"}}
				kind, name := "User", "other"
				if v >= 3 {
					req.OwnerPrincipalType, req.OwnerPrincipalName = &kind, &name
				}
				r.Do("create for another", req, v)
				r.Do("describe", kmsg.NewPtrDescribeDelegationTokenRequest(), v)
			}
			for v := range int16(3) {
				renew := kmsg.NewPtrRenewDelegationTokenRequest()
				renew.HMAC, renew.RenewTimeMillis = []byte{1}, 5
				r.Do("renew", renew, v)
				expire := kmsg.NewPtrExpireDelegationTokenRequest()
				expire.HMAC, expire.ExpiryPeriodMillis = []byte{1}, 5
				r.Do("expire", expire, v)
			}
		}),
	)
}

func describeACLs(resource, operation, permission int8) *kmsg.DescribeACLsRequest {
	req := kmsg.NewPtrDescribeACLsRequest()
	req.ResourceType, req.ResourcePatternType = kmsg.ACLResourceType(resource), 3
	req.Operation, req.PermissionType = kmsg.ACLOperation(operation), kmsg.ACLPermissionType(permission)
	return req
}

func createACLs(resource, operation, permission int8, n int) *kmsg.CreateACLsRequest {
	req := kmsg.NewPtrCreateACLsRequest()
	for range n {
		c := kmsg.NewCreateACLsRequestCreation()
		c.ResourceType, c.ResourceName, c.ResourcePatternType, c.Principal, c.Host = kmsg.ACLResourceType(resource), "t", 3, "User:u", "*"
		c.Operation, c.PermissionType = kmsg.ACLOperation(operation), kmsg.ACLPermissionType(permission)
		req.Creations = append(req.Creations, c)
	}
	return req
}

func deleteACLs(resource, operation, permission int8, n int) *kmsg.DeleteACLsRequest {
	req := kmsg.NewPtrDeleteACLsRequest()
	for range n {
		f := kmsg.NewDeleteACLsRequestFilter()
		f.ResourceType, f.ResourcePatternType = kmsg.ACLResourceType(resource), 3
		f.Operation, f.PermissionType = kmsg.ACLOperation(operation), kmsg.ACLPermissionType(permission)
		req.Filters = append(req.Filters, f)
	}
	return req
}
