package handlers

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/protocol"
	"gokafka/security"
)

// Conn is what handlers may know of a connection. Immutable once requests are served, but for Scratch, which belongs to the
// goroutine that serves the connection.
type Conn struct {
	ID        uint64
	Listener  string // name of the listener it came in on
	Host      string // remote address without port
	Principal security.Principal
	Scratch   Scratch
}

// Scratch is memory that one connection's requests reuse, one after another.
type Scratch struct {
	produce produceScratch
}

// Request is one request of a connection.
type Request struct {
	Key           int16
	Version       int16
	CorrelationID int32
	ClientID      string
	Conn          *Conn
	// Body is what follows the client id in the frame. It is valid until Serve returns, also when the answer comes later.
	Body []byte
	// Start is when the request was read, on the broker's monotonic clock.
	Start time.Duration
	// Transport is the connection's side of the request.
	Transport Transport
}

// Transport is what a handler may ask of the connection that a request came on.
type Transport interface {
	// Flush sends the answers that the connection holds back. A handler calls it before it waits.
	Flush()
	// Complete delivers the answer of a request whose Serve returned, or will return, Pending. It may be called from any goroutine, once,
	// with no lock held. It does not block on the network.
	Complete(Answer)
}

// Answer is what Serve has to say.
type Answer struct {
	// Body is the answer, or nil: with Fetch set it is there instead; otherwise nothing is sent (Produce with acks=0).
	Body  protocol.Encoder
	Fetch *protocol.FetchResponse
	// Pending says that Complete will be called.
	Pending bool
	// Close closes the connection once earlier answers are out; Body is not sent.
	Close bool
}

// serve serves one request. An error means that the bytes are not the request they announce; the connection is closed.
type serve func(h *Handlers, ctx context.Context, r *Request) (Answer, error)

// on makes a row of a handler that answers before the next request of the connection begins.
func on[Q kmsg.Request, R protocol.Encoder](f func(h *Handlers, ctx context.Context, r *Request, q Q) R) serve {
	return func(h *Handlers, ctx context.Context, r *Request) (Answer, error) {
		q, err := protocol.Decode(r.Key, r.Version, r.Body)
		if err != nil {
			return Answer{}, err
		}
		return Answer{Body: f(h, ctx, r, q.(Q))}, nil
	}
}

// staged makes a row of a handler whose ordered part runs at once and that decodes and answers by itself.
func staged(f func(h *Handlers, ctx context.Context, r *Request) (Answer, error)) serve { return f }
