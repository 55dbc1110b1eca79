package znode

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"

	"gokafka/metadata"
)

// FeatureRange is what a broker supports of a feature.
type FeatureRange struct {
	Min int16 `json:"min_version"`
	Max int16 `json:"max_version"`
}

// Registration is the znode of a live broker.
type Registration struct {
	Broker      metadata.Broker // Epoch is the czxid, when read
	JMXPort     int32           // -1 = none
	Features    map[string]FeatureRange
	TimestampMs int64
	Version     int // of the JSON, when read; 5 is written
}

type brokerJSON struct {
	Features  map[string]FeatureRange `json:"features"`
	Protocols map[string]string       `json:"listener_security_protocol_map"`
	Endpoints []string                `json:"endpoints"`
	Rack      string                  `json:"rack,omitempty"`
	JMXPort   int32                   `json:"jmx_port"`
	Port      int32                   `json:"port"`
	Host      *string                 `json:"host"`
	Version   int                     `json:"version"`
	Timestamp string                  `json:"timestamp"`
}

// EncodeBroker is the data of a broker's registration (version 5). Every key is needed: a reader that misses one fails
// to list the brokers of the whole cluster.
func EncodeBroker(r Registration) []byte {
	v := brokerJSON{
		Features: r.Features, Protocols: make(map[string]string), Endpoints: []string{}, Rack: r.Broker.Rack,
		JMXPort: r.JMXPort, Port: -1, Version: 5, Timestamp: strconv.FormatInt(r.TimestampMs, 10),
	}
	if v.Features == nil {
		v.Features = map[string]FeatureRange{}
	}
	for _, e := range r.Broker.Endpoints {
		v.Protocols[e.Listener] = e.Protocol.String()
		v.Endpoints = append(v.Endpoints, connectionString(e))
		if e.Protocol == metadata.Plaintext && v.Host == nil { // for readers of version 1
			v.Host, v.Port = &e.Host, e.Port
		}
	}
	return encode(v)
}

func connectionString(e metadata.Endpoint) string {
	return e.Listener + "://" + net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
}

// endpointPattern is Apache's (SocketServerConfigs.URI_PARSE_REGEXP).
var endpointPattern = regexp.MustCompile(`^(.*)://\[?([0-9a-zA-Z\-%._:]*)\]?:(-?[0-9]+)$`)

// DecodeBroker reads a registration of any version.
func DecodeBroker(id int32, data []byte, czxid int64) (Registration, error) {
	r := Registration{Broker: metadata.Broker{ID: id, Epoch: czxid}}
	var v struct {
		Features  map[string]FeatureRange `json:"features"`
		Protocols map[string]string       `json:"listener_security_protocol_map"`
		Endpoints *[]string               `json:"endpoints"`
		Rack      *string                 `json:"rack"`
		JMXPort   *int32                  `json:"jmx_port"`
		Port      *int32                  `json:"port"`
		Host      *string                 `json:"host"`
		Version   *int                    `json:"version"`
		Timestamp string                  `json:"timestamp"`
	}
	path := BrokerPath(id)
	err := decode(path, data, &v)
	if err != nil {
		return Registration{}, err
	}
	err = missing(map[string]bool{"version": v.Version != nil, "jmx_port": v.JMXPort != nil})
	switch {
	case err != nil:
	case *v.Version < 1:
		err = fmt.Errorf("unsupported version %d", *v.Version)
	case *v.Version == 1 && (v.Host == nil || v.Port == nil):
		err = errors.New("host or port is missing")
	case *v.Version == 1:
		r.Broker.Endpoints = []metadata.Endpoint{{Listener: "PLAINTEXT", Host: *v.Host, Port: *v.Port}}
	case v.Endpoints == nil:
		err = errors.New(`key "endpoints" is missing`)
	default:
		r.Broker.Endpoints, err = parseEndpoints(*v.Endpoints, v.Protocols)
	}
	if err != nil {
		return Registration{}, malformed(path, data, err)
	}
	if v.Rack != nil {
		r.Broker.Rack = *v.Rack
	}
	r.Version, r.JMXPort, r.Features = *v.Version, *v.JMXPort, v.Features
	r.TimestampMs, _ = strconv.ParseInt(v.Timestamp, 10, 64) // for people only
	return r, nil
}

func parseEndpoints(endpoints []string, protocols map[string]string) ([]metadata.Endpoint, error) {
	byListener := make(map[string]string, len(protocols))
	for l, p := range protocols {
		byListener[strings.ToUpper(l)] = p
	}
	out := make([]metadata.Endpoint, 0, len(endpoints))
	for _, s := range endpoints {
		m := endpointPattern.FindStringSubmatch(strings.TrimSpace(s))
		if m == nil {
			return nil, fmt.Errorf("%q is not an endpoint", s)
		}
		port, err := strconv.ParseInt(m[3], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("endpoint %q: %w", s, err)
		}
		listener := strings.ToUpper(m[1])
		name, ok := byListener[listener]
		switch {
		case ok:
		case protocols == nil: // before version 4 a listener was named after its protocol
			name = listener
		default:
			return nil, fmt.Errorf("no security protocol defined for listener %s", listener)
		}
		p, err := metadata.ParseSecurityProtocol(name)
		if err != nil {
			return nil, fmt.Errorf("endpoint %q: %w", s, err)
		}
		out = append(out, metadata.Endpoint{Listener: listener, Protocol: p, Host: m[2], Port: int32(port)})
	}
	return out, nil
}
