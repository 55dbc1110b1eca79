package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Proxy stands between clients and a broker that advertises the proxy's address, and may look at each request before it passes.
type Proxy struct {
	listener net.Listener
	target   string
	see      func(frame []byte) bool
	wg       sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

// NewProxy listens on a free port of the loopback and passes on to target. see gets each request without its size, before it passes; it may wait. If it
// says false, the request does not pass and its connection is closed.
func NewProxy(target string, see func(frame []byte) bool) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: l, target: target, see: see, conns: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is host:port to connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Close ends the proxy and its connections, and waits for them.
func (p *Proxy) Close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(c) })
	}
}

// keep remembers a connection for Close; it says false after Close.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.conns[c] = true
	return true
}

func (p *Proxy) end(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

func (p *Proxy) serve(client net.Conn) {
	defer p.end(client)
	broker, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer p.end(broker)
	if !p.keep(client) || !p.keep(broker) {
		return
	}
	p.wg.Go(func() {
		_, _ = io.Copy(client, broker)
		_, _ = client.Close(), broker.Close()
	})
	for {
		var size [4]byte
		if _, err := io.ReadFull(client, size[:]); err != nil {
			return
		}
		n := int32(binary.BigEndian.Uint32(size[:]))
		if n < 0 || n > maxFrameBytes {
			return
		}
		frame := bytes.NewBuffer(size[:])
		if _, err := io.CopyN(frame, client, int64(n)); err != nil {
			return
		}
		if !p.see(frame.Bytes()[4:]) {
			return
		}
		if _, err := broker.Write(frame.Bytes()); err != nil {
			return
		}
	}
}

// ParseRequest decodes a request frame without its size.
func ParseRequest(frame []byte) (kmsg.Request, error) {
	if len(frame) < 10 {
		return nil, fmt.Errorf("request of %d bytes", len(frame))
	}
	req := kmsg.RequestForKey(int16(binary.BigEndian.Uint16(frame)))
	if req == nil {
		return nil, fmt.Errorf("unknown key %d", binary.BigEndian.Uint16(frame))
	}
	req.SetVersion(int16(binary.BigEndian.Uint16(frame[2:])))
	body := frame[10:]
	if n := int16(binary.BigEndian.Uint16(frame[8:])); n > 0 {
		if int(n) > len(body) {
			return nil, fmt.Errorf("client id of %d bytes in %d", n, len(body))
		}
		body = body[n:]
	}
	if req.IsFlexible() {
		if len(body) == 0 || body[0] != 0 {
			return nil, fmt.Errorf("%s: its header has tagged fields, or is missing", kmsg.NameForKey(req.Key()))
		}
		body = body[1:]
	}
	return req, req.ReadFrom(body)
}
