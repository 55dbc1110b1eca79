package controller

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/coordination/znode"
	"gokafka/metadata"
)

func TestJudgeFeature(t *testing.T) {
	s := newCluster()
	s.brokers[1] = &liveBroker{Broker: metadata.Broker{ID: 1}, features: map[string]versionRange{"f": {1, 3}, "g": {0, 1}}}
	s.brokers[2] = &liveBroker{Broker: metadata.Broker{ID: 2}, features: map[string]versionRange{"f": {1, 3}}}
	supported := map[string]FeatureRange{"f": {1, 4}, "g": {0, 1}}
	current := map[string]int16{"f": 2}
	for _, tc := range []struct {
		u     FeatureUpdate
		level int16
		ok    bool
	}{
		{FeatureUpdate{"f", 3, FeatureOnlyUpgrade}, 3, true},
		{FeatureUpdate{"f", 4, FeatureOnlyUpgrade}, 0, false}, // the brokers stop at 3
		{FeatureUpdate{"f", 2, FeatureOnlyUpgrade}, 0, false},
		{FeatureUpdate{"f", 1, FeatureOnlyUpgrade}, 0, false},
		{FeatureUpdate{"f", 1, FeatureSafeDowngrade}, 1, true},
		{FeatureUpdate{"f", 1, FeatureUnsafeDowngrade}, 0, false},
		{FeatureUpdate{"f", 3, FeatureSafeDowngrade}, 0, false},
		{FeatureUpdate{"f", 0, FeatureSafeDowngrade}, 0, true}, // deletes it
		{FeatureUpdate{"f", 0, FeatureOnlyUpgrade}, 0, false},
		{FeatureUpdate{"h", 0, FeatureSafeDowngrade}, 0, false},
		{FeatureUpdate{"g", 1, FeatureOnlyUpgrade}, 0, false}, // broker 2 would exit
		{FeatureUpdate{"h", 1, FeatureOnlyUpgrade}, 0, false},
		{FeatureUpdate{"", 1, FeatureOnlyUpgrade}, 0, false},
		{FeatureUpdate{"f", 3, FeatureUpgradeUnknown}, 0, false},
	} {
		level, err := s.judgeFeature(tc.u, current, supported)
		if (err == nil) != tc.ok || level != tc.level || err != nil && !errors.Is(err, kerr.InvalidRequest) {
			t.Errorf("%+v: level %d, %v", tc.u, level, err)
		}
	}
}

func TestFeatureNodeIsKeptAsApacheKeepsIt(t *testing.T) {
	tc := newTestCluster(t)
	tc.start(1)
	c := tc.brokers[1].control(func(o *Options) { o.SupportedFeatures = map[string]FeatureRange{"f": {1, 1}} })
	tc.awaitController()
	eventually(t, "the node is there", func() bool { st, err := tc.g().Exists(t.Context(), znode.FeaturePath); return err == nil && st != nil })
	data, stat, err := tc.g().Get(t.Context(), znode.FeaturePath)
	if err != nil || string(data) != `{"features":{},"version":2,"status":1}` || stat.Version != 0 {
		t.Fatalf("%s version %d, %v", data, stat.Version, err)
	}
	rs, epoch, err := c.UpdateFeatures(t.Context(), []FeatureUpdate{{"f", 1, FeatureOnlyUpgrade}}, false, false)
	if err != nil || !errors.Is(rs["f"], kerr.InvalidRequest) || epoch != -1 {
		t.Errorf("a feature that the registered broker lacks: %v, epoch %d, %v", rs, epoch, err)
	}
}
