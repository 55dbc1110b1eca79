package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// clusterListenerKeys may be set for a listener on the level of the cluster.
var clusterListenerKeys = []string{"max.connections", "max.connection.creation.rate", "num.network.threads"}

// onlyPerListener are the configs of DynamicBrokerConfig.DynamicSecurityConfigs (SslConfigs.RECONFIGURABLE_CONFIGS).
var onlyPerListener = []string{
	"ssl.keystore.type", "ssl.keystore.location", "ssl.keystore.password", "ssl.key.password", "ssl.truststore.type",
	"ssl.truststore.location", "ssl.truststore.password", "ssl.keystore.certificate.chain", "ssl.keystore.key",
	"ssl.truststore.certificates",
}

// DynamicScope is where a broker config may be changed while the broker runs. Names outside of the table, such as
// configs of plug-ins, may be changed anywhere.
func DynamicScope(name string) Scope {
	if k := BrokerKey(name); k != nil {
		if slices.Contains(onlyPerListener, name) {
			return ReadOnly
		}
		return k.Dynamic
	}
	if base, ok := listenerBase(name); ok && !slices.Contains(clusterListenerKeys, base) {
		return PerBroker
	}
	return ClusterWide
}

// IsPassword says whether a dynamic config holds a password, which is encrypted in ZooKeeper
// (DynamicBrokerConfig.isPasswordConfig).
func IsPassword(name string) bool {
	for i := range brokerTable.keys {
		k := &brokerTable.keys[i]
		if k.Type == TypePassword && k.Dynamic != ReadOnly && strings.HasSuffix(name, k.Name) {
			return true
		}
	}
	return false
}

// ValidateDynamic checks props as all the dynamic configs of this broker, or of the cluster, as (Incremental)AlterConfigs
// does (Kafka 3.9 DynamicBrokerConfig.validate). The error is an *Error of kerr.InvalidRequest, which is what Kafka
// answers. Beyond Kafka it refuses keys of the status Refused, and values that topics could not inherit, with which
// Kafka would not start again.
func (b *Broker) ValidateDynamic(props map[string]string, perBroker bool) error {
	if err := checkDynamic(props, perBroker); err != nil {
		return badRequest(err)
	}
	cluster, own := b.cluster, b.own
	if perBroker {
		own = props
	} else {
		cluster = props
	}
	next, err := b.WithDynamic(cluster, own)
	if err != nil {
		return badRequest(err)
	}
	if err := b.checkChange(next); err != nil {
		// Kafka passes the cause as if it were a value.
		return badRequest(configError("Invalid value org.apache.kafka.common.config.ConfigException: " + err.Error() +
			" for configuration Invalid dynamic configuration"))
	}
	if err := next.refused(props); err != nil {
		return badRequest(err)
	}
	return nil
}

func badRequest(err error) error {
	return &Error{Message: err.Error(), Plain: true, Code: kerr.InvalidRequest}
}

// checkDynamic is DynamicBrokerConfig.validateConfigs.
func checkDynamic(props map[string]string, perBroker bool) error {
	if err := forbid(props, "Cannot update these configs dynamically: Set", notDynamic); err != nil {
		return err
	}
	if err := forbid(props, "These security configs can be dynamically updated only per-listener using the listener "+
		"prefix: HashSet", withoutListener); err != nil {
		return err
	}
	if err := checkDynamicTypes(props); err != nil {
		return err
	}
	if perBroker {
		return nil
	}
	return forbid(props, "Cannot update these configs at default cluster level, broker id must be specified: Set",
		onlyPerBroker)
}

func notDynamic(name string) bool {
	k := BrokerKey(name)
	return k != nil && k.Dynamic == ReadOnly
}

func withoutListener(name string) bool { return slices.Contains(onlyPerListener, name) }

func onlyPerBroker(name string) bool {
	if base, ok := listenerBase(name); ok {
		return !slices.Contains(clusterListenerKeys, base)
	}
	k := BrokerKey(name)
	return k != nil && k.Dynamic == PerBroker
}

// forbid is an error that lists the names in props for which bad is true, as Scala prints a set.
func forbid(props map[string]string, message string, bad func(string) bool) error {
	var names []string
	for name := range props {
		if bad(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return configError(message + "(" + strings.Join(names, ", ") + ")")
}

// checkDynamicTypes is DynamicBrokerConfig.validateConfigTypes: values of dynamic configs parse; those of a listener as
// their base. Of several errors the first in the alphabet is reported.
func checkDynamicTypes(props map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(props)) {
		base := name
		if b, ok := listenerBase(name); ok {
			base = b
		}
		k := BrokerKey(base)
		if k == nil {
			k = quotaTable.byName[base]
		}
		if k == nil || k.Dynamic == ReadOnly {
			continue
		}
		if _, err := k.Parse(props[name]); err != nil {
			return err
		}
	}
	return nil
}

// FilterDynamic is what a broker takes of the dynamic configs it finds in ZooKeeper: those with valid values that may
// be set on this level (DynamicBrokerConfig.fromPersistentProps). dropped names the others, with the reason, one line
// each. Passwords are not decoded here.
func FilterDynamic(props map[string]string, perBroker bool) (valid map[string]string, dropped []string) {
	valid = maps.Clone(props)
	drop := func(name, why string) {
		delete(valid, name)
		dropped = append(dropped, "dynamic config "+name+" is ignored: "+why)
	}
	for _, name := range slices.Sorted(maps.Keys(props)) {
		switch err := checkDynamicTypes(map[string]string{name: props[name]}); {
		case notDynamic(name):
			drop(name, "it cannot be changed while the broker runs")
		case err != nil && IsPassword(name):
			drop(name, "its value is invalid")
		case err != nil:
			drop(name, err.Error())
		case withoutListener(name):
			drop(name, "it can be set for a listener only")
		case !perBroker && onlyPerBroker(name):
			drop(name, "it can be set for a single broker only")
		}
	}
	return valid, dropped
}

// checkChange applies the rules about a change from b to next (the validateReconfiguration methods of Kafka's
// BrokerReconfigurables).
func (b *Broker) checkChange(next *Broker) error {
	for _, name := range []string{"background.threads", "num.io.threads", "num.recovery.threads.per.data.dir",
		"num.replica.fetchers", "num.network.threads"} {
		if err := checkThreads(name, b.values.int(name), next.values.int(name)); err != nil {
			return err
		}
	}
	if err := checkCleaners(b.LogCleanerThreads, next.LogCleanerThreads); err != nil {
		return err
	}
	if err := next.checkLocalRetention(); err != nil {
		return err
	}
	return b.checkListenerChange(next)
}

// checkThreads is DynamicThreadPool.validateReconfiguration.
func checkThreads(name string, before, after int32) error {
	prefix := fmt.Sprintf("Dynamic thread count update validation failed for %s=%d, value should ", name, after)
	switch {
	case after == before:
		return nil
	case after <= 0:
		return configError(prefix + "be at least 1")
	case after < before/2:
		return configError(fmt.Sprintf("%sbe at least half the current value %d", prefix, before))
	case int64(after) > int64(before)*2:
		return configError(fmt.Sprintf("%snot be greater than double the current value %d", prefix, before))
	}
	return nil
}

// checkCleaners is LogCleaner.validateReconfiguration.
func checkCleaners(before, after int32) error {
	switch {
	case after < 1:
		return configError("Log cleaner threads should be at least 1")
	case after < before/2:
		return configError(fmt.Sprintf(
			"Log cleaner threads cannot be reduced to less than half the current value %d", before))
	case int64(after) > int64(before)*2:
		return configError(fmt.Sprintf(
			"Log cleaner threads cannot be increased to more than double the current value %d", before))
	}
	return nil
}

// checkLocalRetention is DynamicLogConfig.validateReconfiguration.
func (b *Broker) checkLocalRetention() error {
	if err := checkLocal("log.local.retention.ms", b.values.long("log.local.retention.ms"),
		"log.retention.ms", b.retentionMs()); err != nil {
		return err
	}
	return checkLocal("log.local.retention.bytes", b.values.long("log.local.retention.bytes"),
		"log.retention.bytes", b.values.long("log.retention.bytes"))
}

func checkLocal(name string, local int64, totalName string, total int64) error {
	switch {
	case total < 0 || local == -2:
		return nil
	case local == -1:
		return invalid(name, local, fmt.Sprintf("Value must not be -1 as %s value is set as %d.", totalName, total))
	case local > total:
		return invalid(name, local, fmt.Sprintf("Value must not be more than %s property value: %d", totalName, total))
	}
	return nil
}

// checkListenerChange is DynamicListenerConfig.validateReconfiguration: a listener that stays keeps its protocol.
func (b *Broker) checkListenerChange(next *Broker) error {
	for _, l := range next.Listeners {
		i := slices.IndexFunc(b.Listeners, func(o Listener) bool { return o.Name == l.Name })
		if i >= 0 && b.Listeners[i].Protocol != l.Protocol {
			return configError("Security protocol cannot be updated for existing listener ListenerName(" + l.Name + ")")
		}
		if l.MaxConnections <= 0 {
			return configError(fmt.Sprintf("Invalid max.connections %d", l.MaxConnections))
		}
		if l.MaxConnectionCreationRate <= 0 {
			return configError(fmt.Sprintf("Invalid max.connection.creation.rate %d", l.MaxConnectionCreationRate))
		}
	}
	return nil
}
