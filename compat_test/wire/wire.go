// Package wire sends single Kafka requests over a plain connection and reads the answers, byte for byte: no retries, no
// version negotiation, no pooling. A client library would hide what the suite wants to see.
//
// Central type: Conn. It is for one goroutine. Invariant: an answer's correlation id is that of the oldest unanswered
// request, else the read fails.
package wire

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxFrameBytes bounds what an answer may claim; the broker under test may be wrong.
const maxFrameBytes = 128 << 20

// ErrClosed says that the broker closed the connection instead of answering; ErrSilent that it did neither in time.
var (
	ErrClosed = errors.New("connection closed by the broker")
	ErrSilent = errors.New("no answer in time")
)

// Conn is a connection to a broker.
type Conn struct {
	// Timeout bounds one read of an answer; 10 s unless set.
	Timeout time.Duration
	// ClientID is sent in every request header.
	ClientID string
	conn     net.Conn
	next     int32
	waiting  []waiting // requests without their answer yet, oldest first
}

type waiting struct {
	id  int32
	req kmsg.Request
}

// Answer is a response with the facts that its decoded form does not show.
type Answer struct {
	Resp kmsg.Response
	// Body is the response after its header.
	Body []byte
	// Canonical says that encoding Resp again gives exactly Body.
	Canonical bool
}

// Dial connects to addr.
func Dial(ctx context.Context, addr string) (*Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &Conn{Timeout: 10 * time.Second, ClientID: "probe", conn: c}, nil
}

// Close closes the connection.
func (c *Conn) Close() error { return c.conn.Close() }

// Frame encodes a request with its header and size.
func (c *Conn) Frame(req kmsg.Request, version int16, correlationID int32) []byte {
	req.SetVersion(version)
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID(c.ClientID))
	return f.AppendRequest(nil, req, correlationID)
}

// Send writes a request; Receive reads the answers in the same order.
func (c *Conn) Send(req kmsg.Request, version int16) error {
	c.next++
	if err := c.Write(c.Frame(req, version, c.next)); err != nil {
		return err
	}
	c.waiting = append(c.waiting, waiting{c.next, req})
	return nil
}

// Write sends raw bytes.
func (c *Conn) Write(b []byte) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.Timeout)); err != nil {
		return err
	}
	if _, err := c.conn.Write(b); err != nil {
		return fmt.Errorf("%w: %v", ErrClosed, err)
	}
	return nil
}

// ReadFrame reads one frame without its size. Its error is ErrClosed or ErrSilent.
func (c *Conn) ReadFrame() ([]byte, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(c.Timeout)); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(c.conn, size[:]); err != nil {
		return nil, readError(err)
	}
	n := int32(binary.BigEndian.Uint32(size[:]))
	if n < 0 || n > maxFrameBytes {
		return nil, fmt.Errorf("answer claims %d bytes", n)
	}
	var frame bytes.Buffer // grows with what arrives, whatever the claim
	if _, err := io.CopyN(&frame, c.conn, int64(n)); err != nil {
		return nil, readError(err)
	}
	return frame.Bytes(), nil
}

func readError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrSilent
	}
	return fmt.Errorf("%w: %v", ErrClosed, err)
}

// Receive reads the answer to the oldest request.
func (c *Conn) Receive() (*Answer, error) {
	if len(c.waiting) == 0 {
		return nil, errors.New("no request waits for an answer")
	}
	w := c.waiting[0]
	c.waiting = c.waiting[1:]
	frame, err := c.ReadFrame()
	if err != nil {
		return nil, err
	}
	return Decode(frame, w.req, w.id)
}

// Decode parses an answer frame to req.
func Decode(frame []byte, req kmsg.Request, correlationID int32) (*Answer, error) {
	if len(frame) < 4 {
		return nil, fmt.Errorf("answer of %d bytes", len(frame))
	}
	if got := int32(binary.BigEndian.Uint32(frame)); got != correlationID {
		return nil, fmt.Errorf("answer to request %d, expected %d", got, correlationID)
	}
	body := frame[4:]
	resp := req.ResponseKind()
	if resp.IsFlexible() && req.Key() != 18 { // ApiVersions keeps response header v0 (KIP-511)
		if len(body) == 0 || body[0] != 0 {
			return nil, errors.New("response header has tagged fields, or is missing")
		}
		body = body[1:]
	}
	if v, ok := resp.(*kmsg.ApiVersionsResponse); ok && len(body) > 1 && binary.BigEndian.Uint16(body) == 35 {
		v.Version = 0 // an unknown version is answered in the oldest form
	}
	if err := resp.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("decode %s v%d answer: %w", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	return &Answer{Resp: resp, Body: body, Canonical: bytes.Equal(resp.AppendTo(nil), body)}, nil
}

// Exchange sends a request and reads its answer.
func (c *Conn) Exchange(req kmsg.Request, version int16) (*Answer, error) {
	if err := c.Send(req, version); err != nil {
		return nil, err
	}
	return c.Receive()
}

// Ask is Exchange for callers that only want the decoded answer.
func (c *Conn) Ask(req kmsg.Request, version int16) (kmsg.Response, error) {
	a, err := c.Exchange(req, version)
	if err != nil {
		return nil, fmt.Errorf("%s v%d: %w", kmsg.NameForKey(req.Key()), version, err)
	}
	return a.Resp, nil
}
