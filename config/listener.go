package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Listener is one address of a broker (Kafka 3.9 EndPoint).
type Listener struct {
	// Name is in upper case.
	Name string
	// Protocol is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
	Protocol string
	// Host is a name or an address without brackets. Empty means every interface to listen on, and, advertised, the
	// canonical name of the machine, which the broker finds out (KafkaServer.createBrokerInfo).
	Host string
	// Port 0 takes a free one; advertised, it means the port that was bound.
	Port int32
	// MaxConnections and MaxConnectionCreationRate are listener.name.NAME.max.connections and
	// .max.connection.creation.rate; MaxInt32 is no limit of its own. Advertised listeners have none.
	MaxConnections            int32
	MaxConnectionCreationRate int32
}

// String is NAME://host:port, with brackets around an IPv6 address.
func (l Listener) String() string { return l.Name + "://" + l.Addr() }

// Addr is host:port, fit for net.Listen.
func (l Listener) Addr() string { return net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port))) }

// endpoint is SocketServerConfigs.URI_PARSE_REGEXP.
var endpoint = regexp.MustCompile(`^(.*)://\[?([0-9a-zA-Z\-%._:]*)\]?:(-?[0-9]+)$`)

// securityProtocols are the values of SecurityProtocol.
var securityProtocols = []string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}

// protocolMap is KafkaConfig.effectiveListenerSecurityProtocolMap: listener name to protocol. In KRaft mode the default
// map is extended by the controller listeners, unless something asks for security.
func protocolMap(v values, explicit bool) (map[string]string, error) {
	const key = "listener.security.protocol.map"
	pairs, err := csvMap(key, v.string(key))
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(pairs))
	for name, protocol := range pairs {
		if name == "" {
			return nil, invalid(key, v.string(key), "a listener name is empty")
		}
		p, err := securityProtocol(protocol, key)
		if err != nil {
			return nil, err
		}
		out[strings.ToUpper(name)] = p
	}
	if explicit || len(v.list("process.roles")) == 0 {
		return out, nil
	}
	controllers := controllerNames(v)
	names := slices.Clone(controllers)
	for _, entry := range csvList(v.string("listeners")) {
		name, _, _ := strings.Cut(entry, ":")
		names = append(names, strings.ToUpper(name))
	}
	for _, n := range names {
		if n == "SSL" || n == "SASL_SSL" || n == "SASL_PLAINTEXT" {
			return out, nil
		}
	}
	for _, n := range controllers {
		out[n] = "PLAINTEXT"
	}
	return out, nil
}

func securityProtocol(name, key string) (string, error) {
	// SecurityProtocol.forName ignores case.
	if p := strings.ToUpper(name); slices.Contains(securityProtocols, p) {
		return p, nil
	}
	return "", invalid(key, name, "it must be one of "+strings.Join(securityProtocols, ", "))
}

// controllerNames are the listeners of controller.listener.names.
func controllerNames(v values) []string {
	s := v.string("controller.listener.names")
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// parseListeners is CoreUtils.listenerListToEndPoints. Advertised listeners may share a port.
func parseListeners(key, s string, protocols map[string]string, distinctPorts bool) ([]Listener, error) {
	var out []Listener
	for _, entry := range csvList(javaTrim(s)) {
		l, err := parseListener(entry, protocols)
		if err != nil {
			return nil, invalid(key, s, err.Error())
		}
		if slices.ContainsFunc(out, func(o Listener) bool { return o.Name == l.Name }) {
			return nil, invalid(key, s, "each listener must have a different name, "+l.Name+" occurs twice")
		}
		// Kafka finds this out when it binds.
		if l.Port < 0 || l.Port > math.MaxUint16 {
			return nil, invalid(key, s, fmt.Sprintf("port %d is out of range", l.Port))
		}
		out = append(out, l)
	}
	if !distinctPorts {
		return out, nil
	}
	if why := checkPorts(out); why != "" {
		return nil, invalid(key, s, why)
	}
	return out, nil
}

func parseListener(entry string, protocols map[string]string) (Listener, error) {
	m := endpoint.FindStringSubmatch(entry)
	if m == nil {
		return Listener{}, errors.New("'" + entry + "' is not NAME://host:port")
	}
	if javaTrim(m[1]) == "" {
		return Listener{}, errors.New("'" + entry + "' has no listener name")
	}
	name := strings.ToUpper(m[1])
	port, err := parseInt(m[3], 32)
	if err != nil {
		return Listener{}, errors.New("port " + m[3] + " is out of range")
	}
	protocol, ok := protocols[name]
	if !ok {
		return Listener{}, errors.New("listener " + name + " is not in listener.security.protocol.map")
	}
	return Listener{Name: name, Protocol: protocol, Host: m[2], Port: int32(port),
		MaxConnections: math.MaxInt32, MaxConnectionCreationRate: math.MaxInt32}, nil
}

// checkPorts lets two listeners share a port only if one has an IPv4 and the other an IPv6 address as host. It returns
// what is wrong, or nothing.
func checkPorts(listeners []Listener) string {
	byPort := map[int32][]Listener{}
	for _, l := range listeners {
		if l.Port != 0 {
			byPort[l.Port] = append(byPort[l.Port], l)
		}
	}
	for _, l := range listeners {
		if shared := byPort[l.Port]; len(shared) > 1 && !mayShare(shared) {
			return fmt.Sprintf("each listener must have a different port, unless exactly one listener has an IPv4 address "+
				"and the other an IPv6 address; %d occurs %d times", l.Port, len(shared))
		}
	}
	return ""
}

func mayShare(listeners []Listener) bool {
	var v4, v6 int
	for _, l := range listeners {
		switch a, err := netip.ParseAddr(l.Host); {
		case err != nil:
		case a.Is4():
			v4++
		default:
			v6++
		}
	}
	return len(listeners) == 2 && v4 == 1 && v6 == 1
}

// csvList is Csv.parseCsvList: parts between commas, empty ones dropped.
func csvList(s string) []string {
	return slices.DeleteFunc(commaWithSpace.Split(s, -1), func(p string) bool { return p == "" })
}

// csvMap is Csv.parseCsvMap: key:value,..., split at the last colon, for keys may be IPv6 addresses.
func csvMap(key, s string) (map[string]string, error) {
	out := map[string]string{}
	if s == "" {
		return out, nil
	}
	// Java's split drops empty parts at the end.
	parts := commaWithSpace.Split(s, -1)
	for len(parts) > 1 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	for _, p := range parts {
		i := strings.LastIndexByte(p, ':')
		if i < 0 {
			return nil, invalid(key, s, "there is no colon in '"+p+"'")
		}
		out[javaTrim(p[:i])] = javaTrim(p[i+1:])
	}
	return out, nil
}
