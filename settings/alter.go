package settings

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/config"
	"gokafka/coordination"
	"gokafka/coordination/znode"
)

// Error is a refusal for the client: its text is Apache's message, and it unwraps to the kerr value.
type Error struct {
	Code    *kerr.Error
	Message string
}

// Error is the text for the client.
func (e *Error) Error() string { return e.Message }

// Unwrap is the kerr value.
func (e *Error) Unwrap() error { return e.Code }

func refuse(code *kerr.Error, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// OpKind is what IncrementalAlterConfigs does with a config (KIP-339).
type OpKind int8

// The kinds, by their numbers on the wire. Append and Subtract are for lists.
const (
	Set      OpKind = 0
	Delete   OpKind = 1
	Append   OpKind = 2
	Subtract OpKind = 3
)

// Op is one change of IncrementalAlterConfigs, or, with Kind Set, one entry of AlterConfigs.
type Op struct {
	Name  string
	Value *string // nil is refused, except for Delete
	Kind  OpKind
}

// alterTries bounds the rounds against others who alter the same entity.
const alterTries = 20

// AlterTopic changes the configs of a topic, or with validateOnly says whether it could.
func (m *Manager) AlterTopic(ctx context.Context, name string, ops []Op, validateOnly bool) error {
	return m.alterTopic(ctx, name, ops, true, validateOnly)
}

// ReplaceTopic makes entries all the configs that a topic has.
func (m *Manager) ReplaceTopic(ctx context.Context, name string, entries []Op, validateOnly bool) error {
	return m.alterTopic(ctx, name, entries, false, validateOnly)
}

// AlterBroker changes the dynamic configs of this broker, named by its id, or with an empty name those of the cluster.
func (m *Manager) AlterBroker(ctx context.Context, name string, ops []Op, validateOnly bool) error {
	return m.alterBroker(ctx, name, ops, true, validateOnly)
}

// ReplaceBroker makes entries all the dynamic configs that this broker or the cluster has.
func (m *Manager) ReplaceBroker(ctx context.Context, name string, entries []Op, validateOnly bool) error {
	return m.alterBroker(ctx, name, entries, false, validateOnly)
}

// Source: Kafka 3.9 ConfigAdminManager.preprocess, ZkAdminManager.incrementalAlterConfigs and alterTopicConfigs.
func (m *Manager) alterTopic(ctx context.Context, name string, ops []Op, incremental, validateOnly bool) error {
	if err := CheckOps(ops); err != nil {
		return err
	}
	if name == "" {
		return refuse(kerr.InvalidRequest, "Default topic resources are not allowed.")
	}
	e := Entity{Type: znode.TopicEntity, Name: name}
	exists := m.o.TopicExists != nil && m.o.TopicExists(name)
	if exists {
		var err error
		if exists, err = m.topicInZooKeeper(ctx, name); err != nil {
			return fmt.Errorf("alter config of %s: %w", e, err)
		}
	}
	return m.alter(ctx, e, exists, validateOnly, func(stored map[string]string) (map[string]string, error) {
		next := replaced(ops)
		if incremental {
			var err error
			if next, err = apply(stored, ops, config.TopicKey); err != nil {
				return nil, err
			}
		}
		if !exists {
			return nil, refuse(kerr.UnknownTopicOrPartition, "The topic '%s' does not exist.", name)
		}
		return next, resourceError("TOPIC", name, m.Broker().ValidateTopic(next))
	})
}

// topicInZooKeeper keeps a topic that the broker does not yet know to be deleted from getting a config.
func (m *Manager) topicInZooKeeper(ctx context.Context, name string) (bool, error) {
	g, err := m.o.Session.Await(ctx)
	if err != nil {
		return false, err
	}
	stat, err := g.Exists(ctx, znode.TopicPath(name))
	return stat != nil, err
}

// Source: Kafka 3.9 ConfigAdminManager.validateBrokerConfigChange, ZkAdminManager.alterBrokerConfigs.
func (m *Manager) alterBroker(ctx context.Context, name string, ops []Op, incremental, validateOnly bool) error {
	if err := CheckOps(ops); err != nil {
		return err
	}
	e := Entity{Type: znode.BrokerEntity, Name: znode.DefaultEntity}
	if name != "" {
		id, err := strconv.ParseInt(name, 10, 32)
		if err != nil {
			return refuse(kerr.InvalidRequest, "Node id must be an integer, but it is: %s", name)
		}
		if e.Name = strconv.Itoa(int(id)); e.Name != m.id {
			return refuse(kerr.InvalidRequest, "Unexpected broker id, expected %s, but received %s", m.id, name)
		}
	}
	perBroker := name != ""
	return m.alter(ctx, e, true, validateOnly, func(stored map[string]string) (map[string]string, error) {
		next := replaced(ops)
		valid, _ := config.FilterDynamic(stored, perBroker)
		secret := maps.Clone(stored) // encrypted by an Apache broker: cannot be read here, and is not to be lost
		maps.DeleteFunc(secret, func(name, _ string) bool { return !config.IsPassword(name) })
		maps.DeleteFunc(valid, func(name, _ string) bool { return config.IsPassword(name) })
		if incremental {
			var err error
			if next, err = apply(valid, ops, config.BrokerKey); err != nil {
				return nil, err
			}
		}
		if err := m.Broker().ValidateDynamic(next, perBroker); err != nil {
			return nil, err
		}
		if !validateOnly && setsPassword(ops) { // only the storing of it fails
			return nil, resourceError("BROKER", name, &config.Error{Plain: true, Code: kerr.InvalidConfig,
				Message: "Password encoder secret not configured"})
		}
		if incremental {
			for _, op := range ops {
				delete(secret, op.Name)
			}
			maps.Copy(next, secret)
		}
		return next, nil
	})
}

func setsPassword(ops []Op) bool {
	return slices.ContainsFunc(ops, func(op Op) bool { return op.Kind != Delete && config.IsPassword(op.Name) })
}

// alter reads an entity, lets change make its new content and writes it with a notification. A content that somebody
// else changed in between is read anew, so that of two changes at once none is lost. (Apache lets the last writer win.)
// With read false the entity is taken as empty, because its name may not be one.
func (m *Manager) alter(ctx context.Context, e Entity, read, validateOnly bool,
	change func(stored map[string]string) (map[string]string, error),
) error {
	g, err := m.o.Session.Await(ctx)
	if err != nil {
		return err
	}
	for range alterTries {
		stored, version := map[string]string{}, znode.Absent
		if read {
			if stored, version, err = znode.ReadConfigVersion(ctx, g, e.Type, e.Name); err != nil {
				return fmt.Errorf("alter config of %s: %w", e, err)
			}
		}
		next, err := change(stored)
		if err != nil || validateOnly {
			return err
		}
		err = znode.WriteConfigIf(ctx, g, e.Type, e.Name, next, version)
		if errors.Is(err, coordination.ErrBadVersion) {
			continue
		}
		return m.written(ctx, g, e, err)
	}
	return fmt.Errorf("alter config of %s: %w", e, coordination.ErrBadVersion)
}

// written notifies all brokers of a write, unless it failed.
func (m *Manager) written(ctx context.Context, g *coordination.Generation, e Entity, err error) error {
	switch {
	case errors.Is(err, coordination.ErrTooLarge):
		return refuse(kerr.InvalidRequest, "The configs of %s do not fit into a ZooKeeper request: %v", e, err)
	case err == nil:
		err = znode.NotifyConfigChange(ctx, g, e)
	}
	if err != nil {
		return fmt.Errorf("alter config of %s: %w", e, err)
	}
	return nil
}

// CheckOps refuses changes that name a config twice, set one to null, or are of an unknown kind.
func CheckOps(ops []Op) error {
	seen := make(map[string]bool, len(ops))
	var null []string
	for _, op := range ops {
		if seen[op.Name] {
			return refuse(kerr.InvalidRequest, "Error due to duplicate config keys")
		}
		seen[op.Name] = true
		if op.Value == nil && op.Kind != Delete {
			null = append(null, op.Name)
		}
	}
	if null != nil {
		return refuse(kerr.InvalidRequest, "Null value not supported for : %s", strings.Join(null, ", "))
	}
	for _, op := range ops {
		if op.Kind < Set || op.Kind > Subtract {
			return refuse(kerr.InvalidRequest, "Unknown operations type %d", op.Kind)
		}
	}
	return nil
}

func replaced(ops []Op) map[string]string {
	out := make(map[string]string, len(ops))
	for _, op := range ops {
		if op.Value != nil {
			out[op.Name] = *op.Value
		}
	}
	return out
}

// apply returns stored after ops. Append and Subtract begin with the default where nothing is stored.
// Source: Kafka 3.9 ConfigAdminManager.prepareIncrementalConfigs.
func apply(stored map[string]string, ops []Op, key func(name string) *config.Key) (map[string]string, error) {
	out := maps.Clone(stored)
	if out == nil {
		out = make(map[string]string)
	}
	for _, op := range ops {
		switch op.Kind {
		case Set:
			out[op.Name] = *op.Value
		case Delete:
			delete(out, op.Name)
		default:
			list, err := listValue(out, op, key)
			if err != nil {
				return nil, err
			}
			out[op.Name] = strings.Join(list, ",")
		}
	}
	return out, nil
}

func listValue(stored map[string]string, op Op, key func(name string) *config.Key) ([]string, error) {
	k := key(op.Name)
	verb := "append"
	if op.Kind == Subtract {
		verb = "subtract"
	}
	if k == nil {
		return nil, refuse(kerr.InvalidConfig, "Unknown config name: %s", op.Name)
	}
	if k.Type != config.TypeList {
		return nil, refuse(kerr.InvalidConfig, "Config value %s is not allowed for config key: %s", verb, op.Name)
	}
	value, ok := stored[op.Name]
	if !ok && !k.Unset {
		value = k.Default
	}
	var old []string
	if value != "" {
		old = strings.Split(value, ",")
	}
	for v := range strings.SplitSeq(*op.Value, ",") {
		i := slices.Index(old, v)
		switch {
		case op.Kind == Append && i < 0:
			old = append(old, v)
		case op.Kind == Subtract && i >= 0:
			old = slices.Delete(old, i, i+1)
		}
	}
	return old, nil
}

// resourceError gives an error of config the words that Apache puts before a ConfigException.
func resourceError(kind, name string, err error) error {
	var e *config.Error
	if !errors.As(err, &e) || !e.Plain {
		return err
	}
	return refuse(kerr.InvalidConfig, "Invalid config value for resource ConfigResource(type=%s, name='%s'): %s",
		kind, name, e.Message)
}
