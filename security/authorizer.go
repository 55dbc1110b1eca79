// Package security says who may do what. Until ACLs are served there is one Authorizer, which allows all; every request
// asks it nevertheless, so that a second one changes no handler.
package security

import "context"

// ResourceType is what an operation is done to, by its number in Kafka's ACL protocol.
type ResourceType int8

// The resource types.
const (
	Topic           ResourceType = 2
	Group           ResourceType = 3
	Cluster         ResourceType = 4
	TransactionalID ResourceType = 5
)

// ClusterName is the name of the only resource of type Cluster.
const ClusterName = "kafka-cluster"

// Operation is what is done, by its number in Kafka's ACL protocol.
type Operation int8

// The operations. None marks an API that needs no permission.
const (
	None            Operation = 0
	All             Operation = 2
	Read            Operation = 3
	Write           Operation = 4
	Create          Operation = 5
	Delete          Operation = 6
	Alter           Operation = 7
	Describe        Operation = 8
	ClusterAction   Operation = 9
	DescribeConfigs Operation = 10
	AlterConfigs    Operation = 11
	IdempotentWrite Operation = 12
)

// Principal is who is connected.
type Principal struct {
	Type string // "User"
	Name string
}

// Anonymous is who comes over a listener without authentication.
var Anonymous = Principal{Type: "User", Name: "ANONYMOUS"}

// String is "Type:Name".
func (p Principal) String() string { return p.Type + ":" + p.Name }

// Authorizer decides. Implementations are safe for concurrent use and do not block on I/O.
type Authorizer interface {
	// Authorize says whether principal, connected from host, may do op to the named resource.
	Authorize(ctx context.Context, principal Principal, host string, op Operation, resource ResourceType, name string) bool
}

// AllowAll is the Authorizer of a broker without ACLs.
type AllowAll struct{}

// Authorize implements Authorizer.
func (AllowAll) Authorize(context.Context, Principal, string, Operation, ResourceType, string) bool {
	return true
}
