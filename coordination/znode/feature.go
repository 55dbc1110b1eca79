package znode

import (
	"context"
	"errors"
	"fmt"

	"gokafka/coordination"
)

// Features is /feature: the features that are finalized for the cluster.
type Features struct {
	Enabled   bool             // status 1
	Finalized map[string]int16 // max version levels
	Version   int              // of the JSON: 1 (IBP below 3.3) or 2
	ZkVersion int32            // the "finalized features epoch" of ApiVersions
}

type featureLevels struct {
	Max int16 `json:"max_version_level"`
	Min int16 `json:"min_version_level,omitempty"` // version 1 only
}

// EncodeFeatures is the data of /feature, in the version that f says, or 2.
func EncodeFeatures(f Features) []byte {
	v := struct {
		Features map[string]featureLevels `json:"features"`
		Version  int                      `json:"version"`
		Status   int                      `json:"status"`
	}{make(map[string]featureLevels, len(f.Finalized)), f.Version, 0}
	if v.Version == 0 {
		v.Version = 2
	}
	if f.Enabled {
		v.Status = 1
	}
	for name, level := range f.Finalized {
		l := featureLevels{Max: level}
		if v.Version == 1 {
			l.Min = level
		}
		v.Features[name] = l
	}
	return encode(v)
}

// DecodeFeatures reads it.
func DecodeFeatures(data []byte, zkVersion int32) (Features, error) {
	var v struct {
		Features *map[string]struct {
			Max *int16 `json:"max_version_level"`
			Min *int16 `json:"min_version_level"`
		} `json:"features"`
		Version *int `json:"version"`
		Status  *int `json:"status"`
	}
	if err := decode(FeaturePath, data, &v); err != nil {
		return Features{}, err
	}
	if err := missing(map[string]bool{"features": v.Features != nil, "version": v.Version != nil,
		"status": v.Status != nil}); err != nil {
		return Features{}, malformed(FeaturePath, data, err)
	}
	if *v.Version < 1 || *v.Version > 2 || *v.Status < 0 || *v.Status > 1 {
		return Features{}, malformed(FeaturePath, data, errors.New("unsupported version or status"))
	}
	f := Features{Enabled: *v.Status == 1, Version: *v.Version, ZkVersion: zkVersion,
		Finalized: make(map[string]int16, len(*v.Features))}
	for name, l := range *v.Features {
		bad := l.Max == nil || *l.Max < 1 || *v.Version == 1 && (l.Min == nil || *l.Min < 1 || *l.Max < *l.Min)
		if bad {
			return Features{}, malformed(FeaturePath, data, fmt.Errorf("levels of feature %q", name))
		}
		f.Finalized[name] = *l.Max
	}
	return f, nil
}

// ReadFeatures reads /feature; ok is false if there is none. watch arms its WatchData in both cases.
func ReadFeatures(ctx context.Context, g *coordination.Generation, watch bool) (f Features, ok bool, err error) {
	if watch {
		stat, err := g.ExistsW(ctx, FeaturePath)
		if err != nil || stat == nil {
			return Features{}, false, err
		}
	}
	data, stat, err := g.Get(ctx, FeaturePath)
	if errors.Is(err, coordination.ErrNoNode) {
		return Features{}, false, nil
	}
	if err != nil {
		return Features{}, false, err
	}
	f, err = DecodeFeatures(data, stat.Version)
	return f, err == nil, err
}

// CreateFeatures makes /feature. An existing one is coordination.ErrNodeExists; the caller reads and compares.
func CreateFeatures(ctx context.Context, g *coordination.Generation, f Features) error {
	_, err := g.Create(ctx, FeaturePath, EncodeFeatures(f), coordination.Persistent)
	return err
}

// WriteFeatures replaces /feature if f.ZkVersion is its version, and returns the new one.
func WriteFeatures(ctx context.Context, g *coordination.Generation, f Features) (zkVersion int32, err error) {
	stat, err := g.Set(ctx, FeaturePath, EncodeFeatures(f), f.ZkVersion)
	if err != nil {
		return 0, fmt.Errorf("write the finalized features: %w", err)
	}
	return stat.Version, nil
}
