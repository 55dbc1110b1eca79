package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/settings"
)

// AlterConfigs replaces all the configs that a topic, this broker or, under an empty name, all brokers have (KIP-133), versions 0 to 2. v2 is flexible.
// IncrementalAlterConfigs is its successor.
func (h *Handlers) AlterConfigs(ctx context.Context, r *Request, q *kmsg.AlterConfigsRequest) *kmsg.AlterConfigsResponse {
	resp := q.ResponseKind().(*kmsg.AlterConfigsResponse)
	changes := make([]configChange, len(q.Resources))
	for i := range q.Resources {
		res := &q.Resources[i]
		changes[i] = configChange{kind: res.ResourceType, name: res.ResourceName, alterTopic: h.Settings.ReplaceTopic, alterBroker: h.Settings.ReplaceBroker}
		for _, c := range res.Configs {
			changes[i].ops = append(changes[i].ops, settings.Op{Name: c.Name, Value: c.Value})
		}
	}
	for i, err := range h.alterConfigs(ctx, r, changes, q.ValidateOnly) {
		out := kmsg.NewAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName, out.ErrorCode, out.ErrorMessage = changes[i].kind, changes[i].name, h.code(err), text(err)
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}
