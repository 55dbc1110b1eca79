package broker

import (
	"context"
	"net"
)

// Network is how a broker listens, and connects to other brokers and to ZooKeeper; the HTTP port is not part of it.
type Network interface {
	// Listen opens a listener at host:port.
	Listen(addr string) (net.Listener, error)
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// tcp is the network of the machine.
type tcp struct{}

func (tcp) Listen(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }

func (tcp) Dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}
