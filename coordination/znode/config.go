package znode

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/coordination"
)

// Reasons why an entity's config cannot be written now. Both are STALE_CONTROLLER_EPOCH on the wire, as in Apache.
var (
	ErrNoController    = fmt.Errorf("cannot set entity configs when there is no controller: %w", kerr.StaleControllerEpoch)
	ErrKRaftController = fmt.Errorf("cannot set entity configs directly when there is a KRaft controller: %w",
		kerr.StaleControllerEpoch)
)

// EncodeConfig is the data of a config entity.
func EncodeConfig(config map[string]string) []byte {
	if config == nil {
		config = map[string]string{}
	}
	return encode(struct {
		Version int               `json:"version"`
		Config  map[string]string `json:"config"`
	}{1, config})
}

// DecodeConfig reads it; no data, or data that are no JSON, are an empty config. Values must be strings.
func DecodeConfig(path string, data []byte) (map[string]string, error) {
	var v struct {
		Config map[string]string `json:"config"`
	}
	if json.Valid(data) {
		if err := decode(path, data, &v); err != nil {
			return nil, err
		}
	}
	if v.Config == nil {
		v.Config = map[string]string{}
	}
	return v.Config, nil
}

// ReadConfig reads an entity; one that does not exist is empty.
func ReadConfig(ctx context.Context, g *coordination.Generation, entityType, name string) (map[string]string, error) {
	path := EntityPath(entityType, name)
	data, _, err := g.Get(ctx, path)
	if errors.Is(err, coordination.ErrNoNode) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, err
	}
	return DecodeConfig(path, data)
}

// ReadAllConfigs reads every entity of a type, and for users also users/U/clients/C (named "U/clients/C"). Malformed
// ones are left out and reported in bad.
func ReadAllConfigs(ctx context.Context, g *coordination.Generation, entityType string) (
	all map[string]map[string]string, bad []error, err error,
) {
	names, err := list(ctx, g, ConfigPath+"/"+entityType, false)
	if err != nil {
		return nil, nil, fmt.Errorf("list configs of %s: %w", entityType, err)
	}
	if entityType == UserEntity {
		clients := make([][]string, len(names))
		err := g.Each(ctx, len(names), func(ctx context.Context, i int) (err error) {
			clients[i], err = list(ctx, g, EntityPath(UserEntity, names[i]+"/"+ClientEntity), false)
			return err
		})
		if err != nil {
			return nil, nil, fmt.Errorf("list configs of %s: %w", entityType, err)
		}
		for i, user := range names[:len(clients):len(clients)] {
			for _, c := range clients[i] {
				names = append(names, user+"/"+ClientEntity+"/"+c)
			}
		}
	}
	paths := make([]string, len(names))
	for i, n := range names {
		paths[i] = EntityPath(entityType, n)
	}
	data, err := g.GetMany(ctx, paths, false)
	if err != nil {
		return nil, nil, fmt.Errorf("read configs of %s: %w", entityType, err)
	}
	all = make(map[string]map[string]string, len(names))
	for i, d := range data {
		if d.Err != nil {
			continue
		}
		c, err := DecodeConfig(paths[i], d.Data)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		all[names[i]] = c
	}
	return all, bad, nil
}

// configTries bounds the rounds of WriteConfig against a controller that keeps changing.
const configTries = 10

// Absent as an expected version means that the entity does not exist.
const Absent int32 = -2

// ReadConfigVersion is ReadConfig with the version for WriteConfigIf, Absent if the entity does not exist.
func ReadConfigVersion(ctx context.Context, g *coordination.Generation, entityType, name string) (
	config map[string]string, zkVersion int32, err error,
) {
	path := EntityPath(entityType, name)
	data, stat, err := g.Get(ctx, path)
	if errors.Is(err, coordination.ErrNoNode) {
		return map[string]string{}, Absent, nil
	}
	if err != nil {
		return nil, 0, err
	}
	config, err = DecodeConfig(path, data)
	return config, stat.Version, err
}

// WriteConfig sets or makes an entity, whatever it held. It is refused while there is no controller or a KRaft one, and
// checked against that controller's znode in the same transaction, so that nothing is written behind a migration's
// back. It sends no notification.
// Source: Kafka 3.9 KafkaZkClient.setOrCreateEntityConfigs. (Apache lets a write fail when one broker takes the
// controllership from another in between; here it is tried again.)
func WriteConfig(ctx context.Context, g *coordination.Generation, entityType, name string, config map[string]string) error {
	return writeConfig(ctx, g, entityType, name, config, coordination.AnyVersion)
}

// WriteConfigIf is WriteConfig on condition that the entity still has the version that ReadConfigVersion told. The
// error is coordination.ErrBadVersion if somebody else wrote it.
func WriteConfigIf(ctx context.Context, g *coordination.Generation, entityType, name string, config map[string]string,
	zkVersion int32,
) error {
	return writeConfig(ctx, g, entityType, name, config, zkVersion)
}

func writeConfig(ctx context.Context, g *coordination.Generation, entityType, name string, config map[string]string,
	version int32,
) (err error) {
	path, data := EntityPath(entityType, name), EncodeConfig(config)
	defer func() {
		if err != nil {
			err = fmt.Errorf("write config of %s/%s: %w", entityType, name, err)
		}
	}()
	for range configTries {
		c, ok, rerr := ReadController(ctx, g, false)
		switch {
		case rerr != nil:
			return rerr
		case !ok:
			return ErrNoController
		case c.IsKRaft():
			return ErrKRaftController
		}
		if version == Absent {
			err = g.CreateAll(ctx, path, data)
		} else {
			_, err = g.Multi(ctx, coordination.CheckOp(ControllerPath, c.ZkVersion), coordination.SetOp(path, data, version))
			if coordination.FailedOp(err) == 0 {
				continue // the controller changed
			}
		}
		switch {
		case errors.Is(err, coordination.ErrNoNode) && version == coordination.AnyVersion:
			if err = g.CreateAll(ctx, path, data); errors.Is(err, coordination.ErrNodeExists) {
				continue // somebody made it, perhaps an own sending without a reply: set it
			}
		case errors.Is(err, coordination.ErrBadVersion), errors.Is(err, coordination.ErrNodeExists),
			errors.Is(err, coordination.ErrNoNode):
			if coordination.MaybeApplied(err) && holds(ctx, g, path, data, version) {
				return nil
			}
			return coordination.ErrBadVersion
		}
		return err
	}
	return err
}

// holds says whether the node is as a write on condition of version, whose reply was lost, would have left it.
func holds(ctx context.Context, g *coordination.Generation, path string, data []byte, version int32) bool {
	cur, stat, err := g.Get(ctx, path)
	return err == nil && bytes.Equal(cur, data) && stat.Version == max(version, -1)+1
}

// DeleteEntity deletes an entity's node and all below it, if it exists.
func DeleteEntity(ctx context.Context, g *coordination.Generation, entityType, name string) error {
	return deleteAll(ctx, g, EntityPath(entityType, name))
}

func deleteAll(ctx context.Context, g *coordination.Generation, path string) error {
	names, err := list(ctx, g, path, false)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := deleteAll(ctx, g, path+"/"+n); err != nil {
			return err
		}
	}
	if err := g.Delete(ctx, path, coordination.AnyVersion); err != nil && !errors.Is(err, coordination.ErrNoNode) {
		return err
	}
	return nil
}

// Entity names a config entity as in notifications: "topics/demo", "users/bob/clients/app1", "brokers/<default>".
type Entity struct{ Type, Name string }

func (e Entity) String() string { return e.Type + "/" + e.Name }

// EncodeConfigChange is the data of a notification (version 2).
func EncodeConfigChange(e Entity) []byte {
	return encode(struct {
		Version    int    `json:"version"`
		EntityPath string `json:"entity_path"`
	}{2, e.String()})
}

// DecodeConfigChange reads a notification of either version.
func DecodeConfigChange(path string, data []byte) (Entity, error) {
	var v struct {
		Version    *int   `json:"version"`
		EntityPath string `json:"entity_path"`
		EntityType string `json:"entity_type"`
		EntityName string `json:"entity_name"`
	}
	if err := decode(path, data, &v); err != nil {
		return Entity{}, err
	}
	if v.Version == nil {
		return Entity{}, malformed(path, data, errors.New(`key "version" is missing`))
	}
	var e Entity
	switch *v.Version {
	case 1:
		e = Entity{v.EntityType, v.EntityName}
		if e.Type != TopicEntity && e.Type != ClientEntity {
			return Entity{}, malformed(path, data, errors.New("version 1 is for topics and clients"))
		}
	case 2:
		e.Type, e.Name, _ = strings.Cut(v.EntityPath, "/")
	default:
		return Entity{}, malformed(path, data, fmt.Errorf("unsupported version %d", *v.Version))
	}
	switch e.Type {
	case TopicEntity, ClientEntity, UserEntity, BrokerEntity, IPEntity:
	default:
		return Entity{}, malformed(path, data, errors.New("no known entity type"))
	}
	if e.Name == "" {
		return Entity{}, malformed(path, data, errors.New("no entity name"))
	}
	return e, nil
}

// NotifyConfigChange tells all brokers that the entity's config was written. A lost reply may notify twice: harmless.
func NotifyConfigChange(ctx context.Context, g *coordination.Generation, e Entity) error {
	for {
		_, err := g.Create(ctx, ConfigChangesPath+"/"+configChangePrefix, EncodeConfigChange(e), coordination.PersistentSequential)
		if !errors.Is(err, coordination.ErrNoNode) {
			return err
		}
		if err := g.EnsurePath(ctx, ConfigChangesPath); err != nil {
			return err
		}
	}
}
