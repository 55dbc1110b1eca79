package broker

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"

	"gokafka/config"
	"gokafka/metadata"
	"gokafka/server"
)

// bound is a listener whose sockets are open.
type bound struct {
	config.Listener
	sockets []net.Listener
	port    int32 // that was bound; differs from the configured one if that is 0
}

// bind opens the sockets of all listeners. Connections wait in their backlogs until they are served.
func (b *Broker) bind() error {
	for _, l := range b.cfg.Listeners {
		bl := bound{Listener: l, port: l.Port}
		for _, host := range bindHosts(l.Host) {
			ln, err := b.server.Bind(server.Listener{Name: l.Name, Host: host, Port: bl.port})
			if err != nil {
				if len(bl.sockets) > 0 && errors.Is(err, syscall.EADDRNOTAVAIL) {
					continue // a machine without IPv6
				}
				return bindError(l, bl.port, err)
			}
			bl.sockets = append(bl.sockets, ln)
			if a, ok := ln.Addr().(*net.TCPAddr); ok {
				bl.port = int32(a.Port)
			}
		}
		b.bound = append(b.bound, bl)
	}
	return nil
}

// TryListeners reports the first listener of cfg whose port cannot be had, before a broker has opened or logged
// anything. The ports are free again when it returns: Start may still lose one to another process, and says so.
func TryListeners(cfg *config.Broker) error {
	for _, l := range cfg.Listeners {
		for i, host := range bindHosts(l.Host) {
			ln, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(int(l.Port))))
			if err != nil {
				if i > 0 && errors.Is(err, syscall.EADDRNOTAVAIL) {
					continue // a machine without IPv6
				}
				return bindError(l, l.Port, err)
			}
			if err := ln.Close(); err != nil {
				return bindError(l, l.Port, err)
			}
		}
	}
	return nil
}

// bindHosts are the addresses to listen on: localhost means both loopbacks, as some clients try the one first and some the other.
func bindHosts(host string) []string {
	if host == "localhost" {
		return []string{"127.0.0.1", "::1"}
	}
	return []string{host}
}

func bindError(l config.Listener, port int32, err error) error {
	why := err.Error()
	var errno syscall.Errno
	if errors.As(err, &errno) {
		why = errno.Error()
	}
	return fmt.Errorf("cannot listen on %s://%s: %s", l.Name, net.JoinHostPort(l.Host, strconv.Itoa(int(port))), why)
}

// endpoints are the advertised listeners, with the ports that were bound where none was given.
func (b *Broker) endpoints() ([]metadata.Endpoint, error) {
	var out []metadata.Endpoint
	for _, a := range b.cfg.AdvertisedListeners {
		proto, err := metadata.ParseSecurityProtocol(a.Protocol)
		if err != nil {
			return nil, err
		}
		e := metadata.Endpoint{Listener: a.Name, Protocol: proto, Host: a.Host, Port: a.Port}
		for i := range b.bound {
			if b.bound[i].Name == a.Name && e.Port == 0 {
				e.Port = b.bound[i].port
			}
		}
		if e.Host == "" || e.Host == "0.0.0.0" {
			if e.Host, err = os.Hostname(); err != nil {
				return nil, fmt.Errorf("advertised.listeners: listener %s has no host and the machine's name is not known: %w", a.Name, err)
			}
		}
		out = append(out, e)
	}
	return out, nil
}
