package config

import "strings"

// outsideKeys are keys of a broker that Kafka's ConfigDef does not define: plug-ins read them.
var outsideKeys = map[string]Status{
	"super.users":                          refused("authorization is not supported yet"),
	"allow.everyone.if.no.acl.found":       noEffect("authorization is not supported yet"),
	"config.providers":                     refused("config providers are not supported"),
	"zookeeper.ssl.context.supplier.class": noClass,
}

// outsidePrefixes are the same for whole families.
var outsidePrefixes = map[string]Status{
	"authorizer.":       noEffect("authorization is not supported yet"),
	"config.providers.": refused("config providers are not supported"),
	"rsm.config.":       noTiered,
	"rlmm.config.":      noTiered,
}

// StatusOf is what gokafka does with a broker config; known is false for a name that neither Kafka nor its plug-ins
// know. A listener config has the status of its base.
func StatusOf(name string) (status Status, known bool) {
	if k := BrokerKey(name); k != nil {
		return k.Status, true
	}
	if s, ok := outsideKeys[name]; ok {
		return s, true
	}
	if quotaTable.byName[name] != nil {
		return noEffect("it can only be set while the broker runs"), true
	}
	if base, ok := listenerBase(name); ok {
		if prefix := strings.TrimSuffix(name, base); prefix != strings.ToLower(prefix) {
			return Status{}, false // Kafka looks for the listener in lower case only
		}
		return listenerStatus(base)
	}
	for prefix, s := range outsidePrefixes {
		if strings.HasPrefix(name, prefix) {
			return s, true
		}
	}
	return Status{}, false
}

// listenerStatus is the status of base behind listener.name.NAME.; a SASL mechanism may come before the key.
func listenerStatus(base string) (Status, bool) {
	k := BrokerKey(base)
	if _, afterMechanism, ok := strings.Cut(base, "."); k == nil && ok {
		k = BrokerKey(afterMechanism)
	}
	if k == nil {
		return Status{}, false
	}
	switch k.Name {
	case "max.connections", "max.connection.creation.rate":
		return noEffect("not served yet for a single listener"), true
	}
	if k.Status.Effect == Used {
		return noEffect("it is no config of a single listener"), true
	}
	return k.Status, true
}

// KeyStatus is one line of the account of what gokafka does with Kafka's configs.
type KeyStatus struct {
	Name   string
	Topic  bool // a topic config, else a broker config
	Status Status
}

// Statuses lists the status of every broker config, then of every topic config, in the order of the table.
func Statuses() []KeyStatus {
	out := make([]KeyStatus, 0, len(brokerTable.keys)+len(topicTable.keys))
	for i := range brokerTable.keys {
		out = append(out, KeyStatus{Name: brokerTable.keys[i].Name, Status: brokerTable.keys[i].Status})
	}
	for i := range topicTable.keys {
		out = append(out, KeyStatus{Name: topicTable.keys[i].Name, Topic: true, Status: topicTable.keys[i].Status})
	}
	return out
}
