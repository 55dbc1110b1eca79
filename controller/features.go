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
// it. The client is answered when the broker's own view of /feature has reached the returned epoch (Kafka 3.9
// processFeatureUpdates). An Apache 3.9 broker exits when a feature is finalized that it does not know, so a feature
// that a registered broker lacks is refused here.
func (c *Controller) UpdateFeatures(ctx context.Context, updates []FeatureUpdate) (results map[string]error, epoch int32, err error) {
	epoch = -1
	results, err = ask(ctx, c, "UpdateFeatures", func(ctx context.Context) (map[string]error, error) {
		out := map[string]error{}
		current, err := c.store.ensureFeature(ctx)
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
		if maps.Equal(current, target) {
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
	refuse := func(why string) (int16, error) {
		return 0, fmt.Errorf("feature %q to level %d: %s: %w", u.Name, u.Level, why, kerr.InvalidRequest)
	}
	old, exists := current[u.Name]
	switch {
	case u.Name == "":
		return refuse("empty name")
	case u.Upgrade < FeatureOnlyUpgrade || u.Upgrade > FeatureUnsafeDowngrade:
		return refuse("unknown type of upgrade")
	case u.Level < 1 && u.Upgrade != FeatureOnlyUpgrade:
		if !exists {
			return refuse("it is not finalized, so it cannot be deleted")
		}
		return 0, nil
	case u.Level < 1:
		return refuse("levels below 1 need a safe downgrade")
	case exists && u.Level == old:
		return refuse("it has this level already")
	case exists && u.Level < old && u.Upgrade != FeatureSafeDowngrade:
		return refuse(fmt.Sprintf("below the finalized level %d, which needs a safe downgrade", old))
	case exists && u.Level > old && u.Upgrade != FeatureOnlyUpgrade:
		return refuse(fmt.Sprintf("above the finalized level %d, but a downgrade was asked for", old))
	}
	if r, ok := supported[u.Name]; !ok || u.Level < r.Min || u.Level > r.Max {
		return refuse("not supported by the controller")
	}
	for _, id := range s.brokerIDs() {
		if r, ok := s.brokers[id].features[u.Name]; !ok || u.Level < r.min || u.Level > r.max {
			return refuse(fmt.Sprintf("not supported by broker %d", id))
		}
	}
	return u.Level, nil
}
