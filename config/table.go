package config

import "slices"

// table is a list of keys in Kafka's order, and its index by name.
type table struct {
	keys   []Key
	byName map[string]*Key
	// defaults are the parsed defaults, null ones included.
	defaults values
}

func newTable(parts ...[]Key) *table {
	t := &table{keys: slices.Concat(parts...)}
	t.byName = make(map[string]*Key, len(t.keys))
	t.defaults = make(values, len(t.keys))
	for i := range t.keys {
		k := &t.keys[i]
		t.byName[k.Name] = k
		t.defaults[k.Name] = k.defaultValue()
	}
	return t
}

// The tables. Kafka merges its classes in this order (AbstractKafkaConfig.CONFIG_DEF). They are never written after
// they are made.
var (
	brokerTable = newTable(tieredKeys, zookeeperKeys, serverKeys, kraftKeys, socketKeys, replicationKeys, groupKeys,
		logKeys, shareKeys, transactionKeys, quorumKeys, metricsKeys, securityKeys, tokenKeys, ownKeys)
	topicTable = newTable(topicKeys)
)

// BrokerKeys are the rows of all broker configs, in Kafka's order.
func BrokerKeys() []Key { return slices.Clone(brokerTable.keys) }

// TopicKeys are the rows of all topic configs, in Kafka's order.
func TopicKeys() []Key { return slices.Clone(topicTable.keys) }

// BrokerKey is the row of a broker config, nil if there is none.
func BrokerKey(name string) *Key { return brokerTable.byName[name] }

// TopicKey is the row of a topic config, nil if there is none.
func TopicKey(name string) *Key { return topicTable.byName[name] }

// values are parsed values by name.
type values map[string]any

// parse is ConfigDef.parse: every key of the table is parsed from props or takes its default, in the order of the
// table; names outside of it are left out.
func (t *table) parse(props map[string]string) (values, error) {
	return t.parseOver(t.defaults, props)
}

// parseOver is parse with base, parsed values of any key, in place of the defaults. They are checked too.
func (t *table) parseOver(base values, props map[string]string) (values, error) {
	out := make(values, len(t.keys))
	for i := range t.keys {
		k := &t.keys[i]
		raw, set := props[k.Name]
		v, err := k.value(raw, set, base)
		if err != nil {
			return nil, err
		}
		out[k.Name] = v
	}
	return out, nil
}

func (k *Key) value(raw string, set bool, base values) (any, error) {
	if set {
		return k.Parse(raw)
	}
	v := base[k.Name]
	if k.Valid != nil {
		if err := k.Valid.Check(k.Name, v); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// The getters return the zero value for null.

func (v values) bool(name string) bool      { x, _ := v[name].(bool); return x }
func (v values) string(name string) string  { x, _ := v[name].(string); return x }
func (v values) int(name string) int32      { x, _ := v[name].(int32); return x }
func (v values) short(name string) int16    { x, _ := v[name].(int16); return x }
func (v values) long(name string) int64     { x, _ := v[name].(int64); return x }
func (v values) double(name string) float64 { x, _ := v[name].(float64); return x }
func (v values) list(name string) []string  { x, _ := v[name].([]string); return slices.Clone(x) }
func (v values) isNull(name string) bool    { return v[name] == nil }
