package settings

import (
	"context"
	"strings"

	"gokafka/coordination/znode"
)

// UserConfig is the config of a user as it stands in ZooKeeper; empty if there is none.
func (m *Manager) UserConfig(ctx context.Context, user string) (map[string]string, error) {
	g, err := m.o.Session.Await(ctx)
	if err != nil {
		return nil, err
	}
	return znode.ReadConfig(ctx, g, znode.UserEntity, znode.SanitizeEntity(user))
}

// UserConfigs are the configs of all users as they stand in ZooKeeper. Those that Kafka would not have written are left out.
func (m *Manager) UserConfigs(ctx context.Context) (map[string]map[string]string, error) {
	g, err := m.o.Session.Await(ctx)
	if err != nil {
		return nil, err
	}
	all, _, err := znode.ReadAllConfigs(ctx, g, znode.UserEntity)
	if err != nil {
		return nil, err
	}
	out := map[string]map[string]string{}
	for name, conf := range all {
		user, err := znode.DesanitizeEntity(name)
		if err != nil || strings.Contains(name, "/") { // a client of a user
			continue
		}
		out[user] = conf
	}
	return out, nil
}

// WriteUserConfig replaces the config of a user.
func (m *Manager) WriteUserConfig(ctx context.Context, user string, conf map[string]string) error {
	return m.WriteEntity(ctx, Entity{Type: znode.UserEntity, Name: znode.SanitizeEntity(user)}, conf)
}
