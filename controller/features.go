package controller

import (
	"context"
	"fmt"
	"maps"

	"github.com/twmb/franz-go/pkg/kerr"
)

// FeatureUpgrade is what an UpdateFeatures request allows to happen to a level, by its number on the wire.
type FeatureUpgrade int8

// The kinds of upgrade.
const (
	FeatureUpgradeUnknown  FeatureUpgrade = 0
	FeatureOnlyUpgrade     FeatureUpgrade = 1
	FeatureSafeDowngrade   FeatureUpgrade = 2
	FeatureUnsafeDowngrade FeatureUpgrade = 3
)

// FeatureUpdate asks for a finalized level. A level below 1 with a downgrade deletes the feature.
type FeatureUpdate struct {
	Name    string
	Level   int16
	Upgrade FeatureUpgrade
}

// FeatureRange is what this broker supports of a feature.
type FeatureRange struct{ Min, Max int16 }

// UpdateFeatures finalizes features in /feature, those of the updates that are lawful, and says for each what came of
// it; with all, either every update or none. With validateOnly nothing is written. The client is answered when the broker's own view of /feature has reached the returned epoch (Kafka 3.9
// processFeatureUpdates). An Apache 3.9 broker exits when a feature is finalized that it does not know, so a feature
// that a registered broker lacks is refused here.
func (c *Controller) UpdateFeatures(ctx context.Context, updates []FeatureUpdate, all, validateOnly bool) (results map[string]error, epoch int32, err error) {
	epoch = -1
	results, err = ask(ctx, c, "UpdateFeatures", func(ctx context.Context) (map[string]error, error) {
		out := map[string]error{}
		current, err := c.store.ensureFeature(ctx, c.opt.BirthFeatures)
		if err != nil {
			return nil, err
		}
		target := maps.Clone(current)
		if target == nil {
			target = map[string]int16{}
		}
		for _, u := range updates {
			level, err := c.s.judgeFeature(u, current, c.opt.SupportedFeatures)
			out[u.Name] = err
			if err == nil && level == 0 {
				delete(target, u.Name)
			} else if err == nil {
				target[u.Name] = level
			}
		}
		refused := false
		for _, err := range out {
			refused = refused || err != nil
		}
		if maps.Equal(current, target) || validateOnly || all && refused {
			return out, nil
		}
		if epoch, err = c.store.setFeatures(ctx, target); err != nil {
			if isOver(ctx, err) {
				return nil, err
			}
			c.log.Warn("finalized features cannot be stored", "error", err)
			for name, e := range out {
				if e == nil {
					out[name] = fmt.Errorf("feature %s: %w", name, kerr.FeatureUpdateFailed)
				}
			}
			return out, nil
		}
		c.s.finalized = target
		c.log.Info("finalized features changed", "features", target, "epoch", epoch)
		return out, nil
	})
	return results, epoch, err
}

// judgeFeature returns the level that u sets, 0 for "deleted". Pure (Kafka 3.9 validateFeatureUpdate).
func (s *cluster) judgeFeature(u FeatureUpdate, current map[string]int16, supported map[string]FeatureRange) (int16, error) {
	refuse := func(format string, args ...any) (int16, error) {
		return 0, &Error{Code: kerr.InvalidRequest, Message: fmt.Sprintf(format, args...)}
	}
	old, exists := current[u.Name]
	switch {
	case u.Name == "":
		return refuse("Feature name can not be empty.")
	case u.Upgrade < FeatureOnlyUpgrade || u.Upgrade > FeatureUnsafeDowngrade:
		return refuse("Received unknown upgrade type.")
	case u.Level < 1 && u.Upgrade != FeatureOnlyUpgrade:
		if !exists {
			return refuse("Can not delete non-existing finalized feature.")
		}
		return 0, nil
	case u.Level < 1:
		return refuse("Can not provide versionLevel: %d less than 1 without setting the SAFE downgradeType in the request.", u.Level)
	case exists && u.Level == old:
		verb := "upgrade"
		if u.Upgrade == FeatureSafeDowngrade {
			verb = "downgrade"
		}
		return refuse("Can not %s a finalized feature from existing versionLevel:%d to the same value.", verb, old)
	case exists && u.Level < old && u.Upgrade != FeatureSafeDowngrade:
		return refuse("Can not downgrade finalized feature from existing versionLevel:%d to provided versionLevel:%d without setting the downgradeType to SAFE in the request.",
			old, u.Level)
	case exists && u.Level > old && u.Upgrade != FeatureOnlyUpgrade:
		return refuse("When the downgradeType is set to SAFE in the request, the provided versionLevel:%d can not be greater than existing versionLevel:%d.", u.Level, old)
	}
	r, known := supported[u.Name]
	switch {
	case !known:
		return refuse("Could not apply finalized feature update because the provided feature is not supported.")
	case u.Level < r.Min:
		return refuse("Could not apply finalized feature update because the provided versionLevel:%d is lower than the supported minVersion:%d.", u.Level, r.Min)
	case u.Level > r.Max:
		return refuse("Could not apply finalized feature update because the provided versionLevel:%d is higher than the supported maxVersion:%d.", u.Level, r.Max)
	}
	for _, id := range s.brokerIDs() {
		if r, ok := s.brokers[id].features[u.Name]; !ok || u.Level < r.min || u.Level > r.max {
			return refuse("Could not apply finalized feature update because brokers were found to have incompatible versions for the feature.")
		}
	}
	return u.Level, nil
}
