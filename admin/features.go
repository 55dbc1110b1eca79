package admin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/internal/show"
)

// Feature is a feature as a broker tells it.
type Feature struct {
	Name      string `json:"name"`
	Min       int16  `json:"supportedMinVersion"`
	Max       int16  `json:"supportedMaxVersion"`
	Finalized int16  `json:"finalizedVersionLevel"` // 0: it is not
}

// Features are the features of a cluster.
type Features []Feature

// Table is a show.View.
func (fs Features) Table() show.Table {
	t := show.Table{Header: []string{"FEATURE", "SUPPORTED", "FINALIZED"}}
	for _, f := range fs {
		level := "-"
		if f.Finalized > 0 {
			level = itoa(int32(f.Finalized))
		}
		t.Add(f.Name, itoa(int32(f.Min))+" to "+itoa(int32(f.Max)), level)
	}
	return t
}

// DescribeFeatures lists the features that a broker supports or has heard of.
func DescribeFeatures(ctx context.Context, o Options) (Features, error) {
	return do(ctx, o, func(ctx context.Context, c conn) (Features, error) {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = clientID, "1"
		resp, err := req.RequestWith(ctx, c.requests)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if err != nil {
			return nil, err
		}
		found := map[string]Feature{}
		for _, s := range resp.SupportedFeatures {
			found[s.Name] = Feature{Name: s.Name, Min: s.MinVersion, Max: s.MaxVersion}
		}
		for _, s := range resp.FinalizedFeatures {
			f := found[s.Name]
			f.Name, f.Finalized = s.Name, s.MaxVersionLevel
			found[s.Name] = f
		}
		out := Features{}
		for _, name := range slices.Sorted(maps.Keys(found)) {
			out = append(out, found[name])
		}
		return out, nil
	})
}

// FeatureUpdate sets the level of a feature; level 0 takes it back.
type FeatureUpdate struct {
	Name      string
	Level     int16
	Downgrade bool
}

// ParseFeatureUpgrade reads NAME=LEVEL.
func ParseFeatureUpgrade(text string) (FeatureUpdate, error) {
	name, level, ok := strings.Cut(text, "=")
	n, err := strconv.ParseInt(level, 10, 16)
	if !ok || err != nil || name == "" || n < 1 {
		return FeatureUpdate{}, fmt.Errorf("%q: want a feature and its level, such as transaction.version=2", text)
	}
	return FeatureUpdate{Name: name, Level: int16(n)}, nil
}

// UpdateFeature sets the level of a feature, or only says whether it could.
func UpdateFeature(ctx context.Context, o Options, u FeatureUpdate, dryRun bool) (Results, error) {
	return do(ctx, o, func(ctx context.Context, c conn) (Results, error) {
		req := kmsg.NewPtrUpdateFeaturesRequest()
		req.TimeoutMillis, req.ValidateOnly = int32(o.Timeout.Milliseconds()), dryRun
		f := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
		f.Feature, f.MaxVersionLevel, f.UpgradeType = u.Name, u.Level, 1
		if u.Downgrade {
			f.UpgradeType = 2
		}
		req.FeatureUpdates = append(req.FeatureUpdates, f)
		resp, err := req.RequestWith(ctx, c.requests)
		if err != nil {
			return nil, err
		}
		code, text := resp.ErrorCode, resp.ErrorMessage
		if code == 0 && len(resp.Results) > 0 { // up to version 1
			code, text = resp.Results[0].ErrorCode, resp.Results[0].ErrorMessage
		}
		done := "finalized at level " + itoa(int32(u.Level))
		switch {
		case dryRun:
			done = "could be done"
		case u.Level == 0:
			done = "taken back"
		}
		return Results{result(u.Name, done, kerr.ErrorForCode(code), deref(text))}, nil
	})
}
