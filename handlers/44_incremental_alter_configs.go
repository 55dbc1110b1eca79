package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/security"
	"gokafka/settings"
)

// IncrementalAlterConfigs sets, deletes, appends to and subtracts from configs of topics, of this broker, and of all brokers under an empty name (KIP-339),
// versions 0 and 1. v1 is flexible.
//
// Any broker serves topics and the defaults of all brokers; a broker's own configs it serves itself.
func (h *Handlers) IncrementalAlterConfigs(ctx context.Context, r *Request, q *kmsg.IncrementalAlterConfigsRequest) *kmsg.IncrementalAlterConfigsResponse {
	resp := q.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	changes := make([]configChange, len(q.Resources))
	for i := range q.Resources {
		res := &q.Resources[i]
		changes[i] = configChange{kind: res.ResourceType, name: res.ResourceName, alterTopic: h.Settings.AlterTopic, alterBroker: h.Settings.AlterBroker}
		for _, c := range res.Configs {
			changes[i].ops = append(changes[i].ops, settings.Op{Name: c.Name, Value: c.Value, Kind: settings.OpKind(c.Op)})
		}
	}
	for i, err := range h.alterConfigs(ctx, r, changes, q.ValidateOnly) {
		out := kmsg.NewIncrementalAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName, out.ErrorCode, out.ErrorMessage = changes[i].kind, changes[i].name, h.code(err), text(err)
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}

// configChange is what a request wants of one resource.
type configChange struct {
	kind kmsg.ConfigResourceType
	name string
	ops  []settings.Op
	// How it is done: by changing what is there, or by replacing it.
	alterTopic, alterBroker func(ctx context.Context, name string, ops []settings.Op, validateOnly bool) error
}

// resource names what a change is about.
type resource struct {
	kind kmsg.ConfigResourceType
	name string
}

// alterConfigs carries out changes, each on its own, and returns their errors by index. What a request says in a wrong way is refused before it is asked whether
// the requester may. Source: Kafka 3.9 ConfigAdminManager.preprocess, KafkaApis.processIncrementalAlterConfigsRequest and processAlterConfigsRequest.
func (h *Handlers) alterConfigs(ctx context.Context, r *Request, changes []configChange, validateOnly bool) []error {
	errs := make([]error, len(changes))
	seen := map[resource]int{}
	for i := range changes {
		seen[resource{changes[i].kind, changes[i].name}]++
	}
	for i := range changes {
		c := &changes[i]
		if seen[resource{c.kind, c.name}] > 1 {
			errs[i] = invalidRequest("Each resource must appear at most once.")
			continue
		}
		errs[i] = h.alterConfig(ctx, r, c, validateOnly)
	}
	return errs
}

func (h *Handlers) alterConfig(ctx context.Context, r *Request, c *configChange, validateOnly bool) error {
	if err := settings.CheckOps(c.ops); err != nil {
		return err
	}
	switch c.kind {
	case kmsg.ConfigResourceTypeTopic:
		if !h.may(ctx, r, security.AlterConfigs, security.Topic, c.name) {
			return kerr.TopicAuthorizationFailed
		}
		return c.alterTopic(ctx, c.name, c.ops, validateOnly)
	case kmsg.ConfigResourceTypeBroker:
		if !h.mayCluster(ctx, r, security.AlterConfigs) {
			if err := c.alterBroker(ctx, c.name, c.ops, true); err != nil {
				return err
			}
			return kerr.ClusterAuthorizationFailed
		}
		return c.alterBroker(ctx, c.name, c.ops, validateOnly)
	}
	return invalidRequest("Unknown resource type %d", c.kind)
}
