package handlers

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/controller"
	"gokafka/security"
)

// UpdateFeatures finalizes features for the cluster (KIP-584), versions 0 to 2. v1 has the type of upgrade and may only validate (KIP-778), v2 makes all updates or none, and
// has one error for them (KIP-1022).
//
// Only the controller's broker serves it. The answer waits until this broker has heard of the new levels. Source: Kafka 3.9 KafkaApis.handleUpdateFeatures; for v2 Kafka 4.0
// FeatureControlManager.
func (h *Handlers) UpdateFeatures(ctx context.Context, r *Request, q *kmsg.UpdateFeaturesRequest) *kmsg.UpdateFeaturesResponse {
	resp := q.ResponseKind().(*kmsg.UpdateFeaturesResponse)
	refuse := func(err error) *kmsg.UpdateFeaturesResponse {
		resp.ErrorCode, resp.ErrorMessage = h.code(err), message(err)
		return resp
	}
	if !h.mayCluster(ctx, r, security.Alter) {
		return refuse(kerr.ClusterAuthorizationFailed)
	}
	var updates []controller.FeatureUpdate
	at := map[string]int{}
	for _, qu := range q.FeatureUpdates {
		u := controller.FeatureUpdate{Name: qu.Feature, Level: qu.MaxVersionLevel, Upgrade: controller.FeatureUpgrade(qu.UpgradeType)}
		if r.Version == 0 {
			u.Upgrade = controller.FeatureOnlyUpgrade
			if qu.AllowDowngrade {
				u.Upgrade = controller.FeatureSafeDowngrade
			}
		}
		if _, twice := at[u.Name]; !twice { // the first one counts, as in Apache's collection
			at[u.Name] = len(updates)
			updates = append(updates, u)
		}
	}
	results, epoch, err := h.Controller.UpdateFeatures(ctx, updates, r.Version >= 2, q.ValidateOnly)
	if err != nil {
		return refuse(err)
	}
	if epoch >= 0 {
		ctx, cancel := context.WithCancel(ctx)
		late := h.Clock.AfterFunc(time.Duration(q.TimeoutMillis)*time.Millisecond, cancel)
		err := h.AwaitFeatures(ctx, int64(epoch))
		late.Stop()
		cancel()
		if err != nil {
			for name, err := range results {
				if err == nil {
					results[name] = kerr.FeatureUpdateFailed // Apache's word for it, though the levels are written
				}
			}
		}
	}
	for _, u := range updates {
		err := results[u.Name]
		if r.Version >= 2 {
			if err != nil {
				text := "The update failed for all features since the following feature had an error: "
				if m := message(err); m != nil {
					text += *m
				}
				resp.ErrorCode, resp.ErrorMessage = h.code(err), &text
				return resp
			}
			continue
		}
		rr := kmsg.NewUpdateFeaturesResponseResult()
		rr.Feature, rr.ErrorCode, rr.ErrorMessage = u.Name, h.code(err), message(err)
		resp.Results = append(resp.Results, rr)
	}
	return resp
}
