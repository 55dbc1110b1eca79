package znode

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"gokafka/coordination"
)

// EncodeClusterID is the data of /cluster/id; its version is a string.
func EncodeClusterID(id string) []byte {
	return encode(struct {
		Version string `json:"version"`
		ID      string `json:"id"`
	}{"1", id})
}

// DecodeClusterID reads it.
func DecodeClusterID(data []byte) (string, error) {
	var v struct {
		ID *string `json:"id"`
	}
	if err := decode(ClusterIDPath, data, &v); err != nil {
		return "", err
	}
	if v.ID == nil {
		return "", malformed(ClusterIDPath, data, errors.New(`key "id" is missing`))
	}
	return *v.ID, nil
}

// ClusterID returns the id of the cluster, and makes a random one if there is none.
func ClusterID(ctx context.Context, g *coordination.Generation) (string, error) {
	for {
		data, _, err := g.Get(ctx, ClusterIDPath)
		if err == nil {
			return DecodeClusterID(data)
		}
		if !errors.Is(err, coordination.ErrNoNode) {
			return "", fmt.Errorf("read the cluster id: %w", err)
		}
		id := newClusterID()
		err = g.CreateAll(ctx, ClusterIDPath, EncodeClusterID(id))
		if err == nil {
			return id, nil
		}
		if !errors.Is(err, coordination.ErrNodeExists) {
			return "", fmt.Errorf("make the cluster id: %w", err)
		}
	}
}

// newClusterID is a version 4 UUID in URL-safe base64 without padding, 22 characters.
func newClusterID() string {
	var id [16]byte
	rand.Read(id[:])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return base64.RawURLEncoding.EncodeToString(id[:])
}
