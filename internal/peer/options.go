package peer

import (
	"context"
	"net"
	"time"

	"gokafka/internal/clock"
)

// Options say how to reach brokers. Clock is needed; the rest has defaults.
type Options struct {
	Clock    *clock.Clock
	ClientID string
	// Dial opens a connection; nil = TCP. A dialer may do TLS.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Handshake, if not nil, runs on each fresh connection before anything else is sent (SASL).
	Handshake func(ctx context.Context, c *Conn) error

	ConnectTimeout   time.Duration // dial and handshake; default 30 s (controller.socket.timeout.ms)
	RequestTimeout   time.Duration // write to answer; default 30 s (request.timeout.ms)
	ReconnectBackoff time.Duration // pause after a failed connection before the next try of a Client; default 50 ms
	MaxResponseBytes int           // default 100 MiB
	// ReuseBuffer lets an answer's byte fields live only until the next request of the connection.
	ReuseBuffer bool
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		panic("peer: no clock")
	}
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}
	}
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = 30 * time.Second
	}
	if o.RequestTimeout <= 0 {
		o.RequestTimeout = 30 * time.Second
	}
	if o.ReconnectBackoff <= 0 {
		o.ReconnectBackoff = 50 * time.Millisecond
	}
	if o.MaxResponseBytes <= 0 {
		o.MaxResponseBytes = 100 << 20
	}
	return o
}

// withTimeout is context.WithTimeoutCause on the broker's clock.
func withTimeout(ctx context.Context, c *clock.Clock, d time.Duration, cause error) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	t := c.AfterFunc(d, func() { cancel(cause) })
	return ctx, func() {
		t.Stop()
		cancel(context.Canceled)
	}
}
