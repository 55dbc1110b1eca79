package config

import (
	"fmt"
	"slices"
	"strings"
)

// setMode decides between a real ZooKeeper and the embedded coordination server. KRaft keys, which today's compose
// files set, ask for the latter: a node that is broker and controller at once, alone.
func (b *Broker) setMode() error {
	v := b.values
	b.Embedded = v.isNull("zookeeper.connect")
	if !b.Embedded {
		var err error
		if b.ZooKeeperServers, b.ZooKeeperChroot, err = parseConnect(b.ZooKeeperConnect); err != nil {
			return b.wrong("zookeeper.connect", err.Error())
		}
	}
	b.ControllerListeners = controllerNames(v)
	if broker, node := v.int("broker.id"), v.int("node.id"); broker != node {
		return b.wrong("node.id", fmt.Sprintf("must be the same as broker.id, which is %d", broker))
	}
	roles := v.list("process.roles")
	if len(roles) == 0 {
		return b.checkZooKeeperMode()
	}
	if err := b.checkRoles(roles); err != nil {
		return err
	}
	if b.ID < 0 {
		return b.wrong("node.id", "is required when process.roles is set")
	}
	return nil
}

func (b *Broker) checkZooKeeperMode() error {
	if len(b.ControllerListeners) > 0 && !b.Embedded {
		return b.wrong("controller.listener.names", "must be empty without process.roles, in ZooKeeper mode")
	}
	if b.values.bool("broker.id.generation.enable") {
		if b.ID < -1 || b.ID > b.MaxReservedID {
			return b.wrong("broker.id", fmt.Sprintf("must be at least -1 and not above reserved.broker.max.id, which is %d",
				b.MaxReservedID))
		}
		return nil
	}
	if b.ID < 0 {
		return b.wrong("broker.id", "must be at least 0 when broker.id.generation.enable is false")
	}
	return nil
}

// checkRoles refuses what the embedded coordination cannot stand in for.
func (b *Broker) checkRoles(roles []string) error {
	const key = "process.roles"
	sorted := slices.Sorted(slices.Values(roles))
	if len(slices.Compact(sorted)) != len(roles) {
		return b.wrong(key, "a role is named twice")
	}
	switch {
	case !b.Embedded:
		return b.wrong(key, "it cannot be set together with zookeeper.connect: the cluster has either one or the other")
	case !slices.Contains(roles, "controller"):
		return b.wrong(key, "a broker of a KRaft cluster is not supported; set zookeeper.connect, or let this broker be "+
			"controller too by process.roles=broker,controller with no other voter")
	case !slices.Contains(roles, "broker"):
		return b.wrong(key, "a node that is only a controller is not supported; use process.roles=broker,controller")
	case b.ControlPlaneSet():
		return b.wrong("control.plane.listener.name", "it is not supported when process.roles is set")
	}
	return b.checkVoters()
}

// ControlPlaneSet says whether requests of the controller have a listener of their own.
func (b *Broker) ControlPlaneSet() bool { return !b.values.isNull("control.plane.listener.name") }

func (b *Broker) checkVoters() error {
	voters := b.values.list("controller.quorum.voters")
	if len(voters) > 1 {
		return b.wrong("controller.quorum.voters",
			"a KRaft quorum of several controllers is not supported; set zookeeper.connect, or name this node alone")
	}
	if servers := b.values.list("controller.quorum.bootstrap.servers"); len(servers) > 1 {
		return b.wrong("controller.quorum.bootstrap.servers",
			"a KRaft quorum of several controllers is not supported; set zookeeper.connect, or name this node alone")
	}
	for _, voter := range voters {
		id, err := parseVoter(voter)
		if err != nil {
			return err
		}
		if id != b.ID {
			return b.wrong("controller.quorum.voters", fmt.Sprintf("the only voter must be this node, %d", b.ID))
		}
	}
	return nil
}

// wrong is an error that names the key, its value and the reason in one line.
func (b *Broker) wrong(key, why string) error {
	return invalid(key, b.values[key], why)
}

// setListeners derives the listeners (Kafka 3.9 KafkaConfig.listeners, dataPlaneListeners,
// effectiveAdvertisedBrokerListeners, getInterBrokerListenerNameAndSecurityProtocol).
func (b *Broker) setListeners() error {
	_, explicit := b.props["listener.security.protocol.map"]
	var err error
	if b.ListenerProtocols, err = protocolMap(b.values, explicit); err != nil {
		return err
	}
	all, err := parseListeners("listeners", b.values.string("listeners"), b.ListenerProtocols, true)
	if err != nil {
		return err
	}
	advertised := all
	if !b.values.isNull("advertised.listeners") {
		advertised, err = parseListeners("advertised.listeners", b.values.string("advertised.listeners"),
			b.ListenerProtocols, false)
		if err != nil {
			return err
		}
	}
	b.Listeners = b.withoutControllers(all)
	b.AdvertisedListeners = b.withoutControllers(advertised)
	if err := b.setListenerLimits(); err != nil {
		return err
	}
	if err := b.setInterBroker(); err != nil {
		return err
	}
	return b.checkListeners()
}

func (b *Broker) withoutControllers(in []Listener) []Listener {
	return slices.DeleteFunc(slices.Clone(in), func(l Listener) bool {
		return slices.Contains(b.ControllerListeners, l.Name)
	})
}

// setListenerLimits reads the limits of each listener (SocketServer.ListenerConnectionQuota): those of the broker
// unless it has its own.
func (b *Broker) setListenerLimits() error {
	for i := range b.Listeners {
		l := &b.Listeners[i]
		var err error
		if l.MaxConnections, err = b.listenerInt(l.Name, "max.connections"); err != nil {
			return err
		}
		if l.MaxConnectionCreationRate, err = b.listenerInt(l.Name, "max.connection.creation.rate"); err != nil {
			return err
		}
	}
	return nil
}

func (b *Broker) listenerInt(listener, key string) (int32, error) {
	raw, ok := b.props[listenerPrefix(listener)+key]
	if !ok {
		return b.values.int(key), nil
	}
	v, err := BrokerKey(key).Parse(raw)
	if err != nil {
		return 0, err
	}
	return v.(int32), nil
}

func (b *Broker) setInterBroker() error {
	const nameKey, protocolKey = "inter.broker.listener.name", "security.inter.broker.protocol"
	if b.values.isNull(nameKey) {
		p, err := securityProtocol(b.values.string(protocolKey), protocolKey)
		b.InterBrokerListener, b.InterBrokerProtocol = p, p
		return err
	}
	if _, both := b.props[protocolKey]; both {
		return b.wrong(nameKey, "only one of it and "+protocolKey+" may be set")
	}
	var err error
	b.InterBrokerListener, b.InterBrokerProtocol, err = b.named(nameKey)
	return err
}

// named is a config that names a listener of the security protocol map.
func (b *Broker) named(key string) (name, protocol string, err error) {
	name = strings.ToUpper(b.values.string(key))
	if name == "" {
		return "", "", b.wrong(key, "the listener name is empty")
	}
	protocol, ok := b.ListenerProtocols[name]
	if !ok {
		return "", "", b.wrong(key, "no such listener in listener.security.protocol.map")
	}
	return name, protocol, nil
}

func (b *Broker) checkListeners() error {
	opened, advertised := listenerNames(b.Listeners), listenerNames(b.AdvertisedListeners)
	if len(advertised) == 0 {
		return b.wrong("listeners", "no listener for brokers and clients remains; "+
			"perhaps all of them are in controller.listener.names")
	}
	if !slices.Contains(advertised, b.InterBrokerListener) {
		key := "inter.broker.listener.name"
		if b.values.isNull(key) {
			key = "security.inter.broker.protocol"
		}
		return b.wrong(key, "the listener between brokers must be one of the advertised ones: "+
			strings.Join(advertised, ","))
	}
	for _, l := range b.AdvertisedListeners {
		if !slices.Contains(opened, l.Name) {
			return b.wrong("advertised.listeners", l.Name+" is not one of listeners: "+strings.Join(opened, ","))
		}
		if l.Host == "0.0.0.0" {
			key := "advertised.listeners"
			if b.values.isNull(key) {
				key = "listeners"
			}
			return b.wrong(key, "clients cannot be told to connect to 0.0.0.0; set advertised.listeners to an address "+
				"they can reach")
		}
	}
	return b.setControlPlane(advertised)
}

func (b *Broker) setControlPlane(advertised []string) error {
	const key = "control.plane.listener.name"
	if !b.ControlPlaneSet() {
		return nil
	}
	var err error
	if b.ControlPlane, _, err = b.named(key); err != nil {
		return err
	}
	switch {
	case !slices.Contains(advertised, b.ControlPlane):
		return b.wrong(key, "it must be one of the advertised listeners: "+strings.Join(advertised, ","))
	case b.ControlPlane == b.InterBrokerListener:
		return b.wrong(key, "it must differ from the listener between brokers")
	}
	return nil
}

func listenerNames(in []Listener) []string {
	names := make([]string, len(in))
	for i, l := range in {
		names[i] = l.Name
	}
	return names
}
