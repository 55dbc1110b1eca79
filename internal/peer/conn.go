package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The errors of a connection. None says whether the peer has acted upon the request.
var (
	ErrTimeout     = errors.New("no answer within the request timeout")
	ErrDialTimeout = errors.New("no connection within the connect timeout")
	ErrProtocol    = errors.New("answer breaks the protocol")
	ErrClosed      = errors.New("closed")
)

const (
	keyApiVersions = 18
	// readStepBytes bounds what is allocated ahead of the bytes that came.
	readStepBytes = 64 << 10
)

// Conn is a connection to a broker. It is used by one goroutine at a time, except Close. Any error of Request ends it.
type Conn struct {
	nc     net.Conn
	addr   string
	opt    Options
	format *kmsg.RequestFormatter
	corr   int32
	out    []byte
	in     []byte
	broken atomic.Bool
	ranges map[int16]versionRange // nil until ApiVersions was asked
}

// Dial connects to addr and runs the handshake.
func Dial(ctx context.Context, addr string, opt Options) (*Conn, error) {
	opt = opt.withDefaults()
	ctx, cancel := withTimeout(ctx, opt.Clock, opt.ConnectTimeout, ErrDialTimeout)
	defer cancel()
	nc, err := opt.Dial(ctx, addr)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	c := &Conn{nc: nc, addr: addr, opt: opt, format: kmsg.NewRequestFormatter(kmsg.FormatterClientID(opt.ClientID))}
	if opt.Handshake != nil {
		if err := opt.Handshake(ctx, c); err != nil {
			nc.Close()
			return nil, fmt.Errorf("handshake with %s: %w", addr, err)
		}
	}
	return c, nil
}

// Close closes the connection and fails a request in flight.
func (c *Conn) Close() error {
	c.broken.Store(true)
	return c.nc.Close()
}

// Request sends req in the version set in it and returns the answer.
func (c *Conn) Request(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	if c.broken.Load() {
		return nil, fmt.Errorf("%s to %s: %w", kmsg.NameForKey(req.Key()), c.addr, ErrClosed)
	}
	ctx, cancel := withTimeout(ctx, c.opt.Clock, c.opt.RequestTimeout, ErrTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.nc.Close() })
	defer stop()
	resp, err := c.roundTrip(req)
	if err != nil {
		c.Close()
		if ctx.Err() != nil { // closed by us: say why instead of "use of closed network connection"
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("%s to %s: %w", kmsg.NameForKey(req.Key()), c.addr, err)
	}
	return resp, nil
}

func (c *Conn) roundTrip(req kmsg.Request) (kmsg.Response, error) {
	c.corr++
	c.out = c.format.AppendRequest(c.out[:0], req, c.corr)
	if _, err := c.nc.Write(c.out); err != nil {
		return nil, err
	}
	if cap(c.out) > readStepBytes { // do not hold the memory of one large request
		c.out = nil
	}
	body, err := c.readFrame()
	if err != nil {
		return nil, err
	}
	return decode(req, c.corr, body)
}

// readFrame reads one length-prefixed answer. Memory grows with what arrives.
func (c *Conn) readFrame() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.nc, head[:]); err != nil {
		return nil, err
	}
	size := int(int32(binary.BigEndian.Uint32(head[:])))
	if size < 4 || size > c.opt.MaxResponseBytes {
		return nil, fmt.Errorf("%w: length %d, bound %d", ErrProtocol, size, c.opt.MaxResponseBytes)
	}
	var buf []byte
	if c.opt.ReuseBuffer {
		buf = c.in[:0]
	}
	for len(buf) < size {
		step := min(size-len(buf), max(readStepBytes, len(buf)))
		if cap(buf)-len(buf) < step {
			grown := make([]byte, len(buf), len(buf)+step)
			copy(grown, buf)
			buf = grown
		}
		n := len(buf)
		buf = buf[:n+step]
		if _, err := io.ReadFull(c.nc, buf[n:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	if c.opt.ReuseBuffer {
		c.in = buf
	}
	return buf, nil
}

// decode reads an answer: correlation id, the tag section of a flexible header (never for ApiVersions, KIP-511), body.
func decode(req kmsg.Request, corr int32, frame []byte) (kmsg.Response, error) {
	if len(frame) < 4 {
		return nil, fmt.Errorf("%w: %d bytes", ErrProtocol, len(frame))
	}
	if got := int32(binary.BigEndian.Uint32(frame)); got != corr {
		return nil, fmt.Errorf("%w: correlation id %d, want %d", ErrProtocol, got, corr)
	}
	body := frame[4:]
	resp := req.ResponseKind()
	if resp.IsFlexible() && resp.Key() != keyApiVersions {
		var ok bool
		if body, ok = skipTags(body); !ok {
			return nil, fmt.Errorf("%w: header tags", ErrProtocol)
		}
	}
	if resp.Key() == keyApiVersions {
		resp.SetVersion(apiVersionsAnswered(resp.GetVersion(), body))
	}
	if err := resp.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return resp, nil
}

func skipTags(b []byte) ([]byte, bool) {
	n, k := binary.Uvarint(b)
	if k <= 0 {
		return nil, false
	}
	b = b[k:]
	for ; n > 0; n-- {
		if _, k = binary.Uvarint(b); k <= 0 {
			return nil, false
		}
		b = b[k:]
		size, k := binary.Uvarint(b)
		if k <= 0 || size > uint64(len(b)-k) {
			return nil, false
		}
		b = b[k+int(size):]
	}
	return b, true
}
