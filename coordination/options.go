package coordination

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"gokafka/internal/clock"
)

const (
	defaultSessionTimeout = 18 * time.Second // zookeeper.session.timeout.ms
	defaultMaxInFlight    = 10               // zookeeper.max.in.flight.requests
	// defaultMaxRequestBytes is jute.maxbuffer of a ZooKeeper 3.5+ server that was not told otherwise (0xfffff).
	defaultMaxRequestBytes = 1<<20 - 1
	// maxSendBytes bounds Options.MaxRequestBytes: the send buffer is allocated once per Generation. 4 MiB is what
	// Apache's client uses.
	maxSendBytes = 4 << 20
	// maxAnswerBytes bounds an answer (a list of 500,000 topic names fits).
	maxAnswerBytes = 64 << 20
	defaultPort    = 2181
)

// Dialer opens a connection to a server. It must give up when ctx ends.
type Dialer func(ctx context.Context, address string) (net.Conn, error)

// Options say where ZooKeeper is and how to talk to it.
type Options struct {
	Servers []string // host:port each; not empty
	Chroot  string   // "" or "/a/b": prefix of every path, created by Open

	SessionTimeout  time.Duration // asked for; the server may change it. 0 = 18 s
	MaxInFlight     int           // requests without an answer, over all callers of a Generation. 0 = 10
	MaxRequestBytes int           // jute.maxbuffer of the servers, at most 4 MiB. 0 = 1 MiB - 1

	Dial   Dialer // nil = TCP
	Clock  *clock.Clock
	Logger *slog.Logger
}

// ParseConnect splits zookeeper.connect, "host1:port1,host2:port2/chroot". A missing port is 2181.
func ParseConnect(connect string) (servers []string, chroot string, err error) {
	hosts := connect
	if i := strings.IndexByte(connect, '/'); i >= 0 {
		hosts, chroot = connect[:i], strings.TrimRight(connect[i:], "/")
	}
	if strings.Contains(chroot, "//") {
		return nil, "", fmt.Errorf("zookeeper.connect %q: the chroot has an empty path element", connect)
	}
	for h := range strings.SplitSeq(hosts, ",") {
		if h = strings.TrimSpace(h); h == "" {
			continue
		}
		server, err := withPort(h)
		if err != nil {
			return nil, "", fmt.Errorf("zookeeper.connect %q: %w", connect, err)
		}
		servers = append(servers, server)
	}
	if len(servers) == 0 {
		return nil, "", fmt.Errorf("zookeeper.connect %q names no server", connect)
	}
	return servers, chroot, nil
}

func withPort(h string) (string, error) {
	host, port, err := net.SplitHostPort(h)
	if err != nil {
		host, port = strings.Trim(h, "[]"), strconv.Itoa(defaultPort)
		if strings.Contains(host, ":") && net.ParseIP(host) == nil {
			return "", fmt.Errorf("server %q is not host:port", h)
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || host == "" {
		return "", fmt.Errorf("server %q is not host:port", h)
	}
	return net.JoinHostPort(host, port), nil
}

func (o *Options) setDefaults() error {
	if len(o.Servers) == 0 {
		return errors.New("coordination: no servers")
	}
	if o.Chroot != "" && (o.Chroot[0] != '/' || strings.HasSuffix(o.Chroot, "/")) {
		return fmt.Errorf("coordination: chroot %q does not begin with a slash, or ends with one", o.Chroot)
	}
	if o.SessionTimeout == 0 {
		o.SessionTimeout = defaultSessionTimeout
	}
	if o.SessionTimeout < time.Millisecond || o.SessionTimeout > time.Hour*24 {
		return fmt.Errorf("coordination: session timeout %v is out of range", o.SessionTimeout)
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = defaultMaxInFlight
	}
	if o.MaxRequestBytes <= 0 {
		o.MaxRequestBytes = defaultMaxRequestBytes
	}
	o.MaxRequestBytes = min(o.MaxRequestBytes, maxSendBytes)
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", address)
		}
	}
	if o.Clock == nil {
		o.Clock = clock.New()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}
