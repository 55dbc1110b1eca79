package settings

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gokafka/coordination"
	"gokafka/coordination/znode"
)

// malformed returns err if it is about data that Kafka would not have written.
func malformed(err error) (error, bool) {
	var e *znode.MalformedError
	if errors.As(err, &e) {
		return e, true
	}
	return nil, false
}

// WriteEntity replaces the config of a user, client or IP address and notifies all brokers. With an empty config the
// entity is deleted, and with it parents that are left without config and children, so that they do not pile up.
// Source: Kafka 3.9 AdminZkClient.changeEntityConfig, tryCleanQuotaNodes.
func (m *Manager) WriteEntity(ctx context.Context, e Entity, conf map[string]string) error {
	g, err := m.o.Session.Await(ctx)
	if err != nil {
		return err
	}
	if len(conf) == 0 {
		deleted, err := deleteIfLeaf(ctx, g, e)
		if err != nil {
			return fmt.Errorf("delete config of %s: %w", e, err)
		}
		if deleted {
			return m.written(ctx, g, e, nil)
		}
	}
	return m.written(ctx, g, e, znode.WriteConfig(ctx, g, e.Type, e.Name, conf))
}

// deleteIfLeaf deletes an entity that has no children. One of users/U/clients/C takes U/clients with it when it was the
// last client of U, and U when that has no config either.
func deleteIfLeaf(ctx context.Context, g *coordination.Generation, e Entity) (bool, error) {
	path := znode.EntityPath(e.Type, e.Name)
	names, err := g.Children(ctx, path)
	if err != nil && !errors.Is(err, coordination.ErrNoNode) {
		return false, err
	}
	if len(names) > 0 {
		return false, nil
	}
	if err := ignoreGone(g.Delete(ctx, path, coordination.AnyVersion)); err != nil {
		return false, err
	}
	user, _, ok := strings.Cut(e.Name, "/"+znode.ClientEntity+"/")
	if e.Type != znode.UserEntity || !ok {
		return true, nil
	}
	// A parent that got a child or a config meanwhile stays: NotEmpty and BadVersion.
	if err := ignoreGone(g.Delete(ctx, znode.EntityPath(e.Type, user+"/"+znode.ClientEntity), coordination.AnyVersion)); err != nil {
		return true, ignoreUsed(err)
	}
	parent, version, err := znode.ReadConfigVersion(ctx, g, e.Type, user)
	if err != nil || version == znode.Absent || len(parent) > 0 {
		return true, err
	}
	return true, ignoreUsed(ignoreGone(g.Delete(ctx, znode.EntityPath(e.Type, user), version)))
}

func ignoreGone(err error) error {
	if errors.Is(err, coordination.ErrNoNode) {
		return nil
	}
	return err
}

func ignoreUsed(err error) error {
	if errors.Is(err, coordination.ErrNotEmpty) || errors.Is(err, coordination.ErrBadVersion) {
		return nil
	}
	return err
}
