package config

import (
	"slices"
	"strings"
)

// synonymGroups are the broker configs that say the same in different units, the strongest first.
var synonymGroups = [][]string{
	{"log.roll.ms", "log.roll.hours"},
	{"log.roll.jitter.ms", "log.roll.jitter.hours"},
	{"log.retention.ms", "log.retention.minutes", "log.retention.hours"},
}

// mechanismKeys may stand behind a listener and a SASL mechanism.
var mechanismKeys = []string{
	"sasl.jaas.config", "sasl.login.callback.handler.class", "sasl.login.class",
	"sasl.server.callback.handler.class", "connections.max.reauth.ms",
}

// brokerSynonyms is DynamicBrokerConfig.brokerConfigSynonyms: the names that may set name, the strongest first. With
// listeners, the base of listener.name.NAME.base is one of them.
func brokerSynonyms(name string, listeners bool) []string {
	for _, g := range synonymGroups {
		if slices.Contains(g, name) {
			return g
		}
	}
	if name == "log.flush.interval.ms" {
		return []string{name, "log.flush.scheduler.interval.ms"}
	}
	if base, ok := listenerBase(name); ok && listeners {
		for _, m := range mechanismKeys {
			if strings.HasSuffix(base, m) {
				return []string{name, m}
			}
		}
		return []string{name, base}
	}
	return []string{name}
}

// listenerBase is what follows listener.name.NAME. in a key, NAME being without dots.
func listenerBase(name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, "listener.name.")
	if !ok {
		return "", false
	}
	_, base, ok := strings.Cut(rest, ".")
	return base, ok
}

// listenerPrefix is ListenerName.configPrefix.
func listenerPrefix(listener string) string {
	return "listener.name." + strings.ToLower(listener) + "."
}

// brokerType is KafkaConfig.configType: the type of a broker config, that of its base for a listener config.
func brokerType(name string) Type {
	if k := BrokerKey(name); k != nil {
		return k.Type
	}
	if k := quotaTable.byName[name]; k != nil {
		return k.Type
	}
	for _, s := range brokerSynonyms(name, true) {
		if k := BrokerKey(s); k != nil {
			return k.Type
		}
	}
	return TypeUnknown
}
