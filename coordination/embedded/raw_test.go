package embedded

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"
)

// raw is a client that writes frames by hand and sees every byte.
type raw struct {
	t        *testing.T
	nc       net.Conn
	session  int64
	password []byte
	timeout  int32
	xid      int32
}

func dialRaw(t *testing.T, tg *target) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", tg.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &raw{t: t, nc: nc}
}

// rawSession dials and opens a new session.
func rawSession(t *testing.T, tg *target, timeout time.Duration) *raw {
	t.Helper()
	r := dialRaw(t, tg)
	r.connect(timeout, 0, make([]byte, 16))
	if r.session == 0 {
		t.Fatal("no session")
	}
	return r
}

func frame(body []byte) []byte { return append(appendI32(nil, int32(len(body))), body...) }

func connectBody(zxid int64, timeout time.Duration, session int64, pass []byte) []byte {
	b := appendI64(appendI32(nil, 0), zxid)
	b = appendI64(appendI32(b, int32(timeout.Milliseconds())), session)
	return append(appendBuffer(b, pass), 0)
}

func (r *raw) connect(timeout time.Duration, session int64, pass []byte) {
	r.t.Helper()
	r.write(frame(connectBody(0, timeout, session, pass)))
	r.connected()
}

func (r *raw) connected() {
	r.t.Helper()
	d := decoder{b: r.read()}
	d.i32()
	r.timeout, r.session, r.password = d.i32(), d.i64(), d.buffer()
	if d.bad {
		r.t.Fatal("malformed connect reply")
	}
}

func (r *raw) write(b []byte) {
	r.t.Helper()
	if _, err := r.nc.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

func (r *raw) read() []byte {
	r.t.Helper()
	b, err := r.tryRead(20 * time.Second)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

func (r *raw) tryRead(wait time.Duration) ([]byte, error) {
	r.nc.SetReadDeadline(time.Now().Add(wait))
	var head [4]byte
	if _, err := io.ReadFull(r.nc, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(r.nc, b)
	return b, err
}

// wantEOF waits for the server to close the connection, without another frame.
func (r *raw) wantEOF() {
	r.t.Helper()
	if b, err := r.tryRead(20 * time.Second); err == nil {
		r.t.Errorf("got a frame of %d bytes (%x), want the connection closed", len(b), b)
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		r.t.Error("connection stays open")
	}
}

// request is header and body as one frame.
func rawRequest(xid, op int32, body ...[]byte) []byte {
	return frame(append(appendI32(appendI32(nil, xid), op), slices.Concat(body...)...))
}

// rawReply is a parsed reply or event.
type rawReply struct {
	xid  int32
	zxid int64
	code int32
	body []byte
	kind int32 // of an event
	path string
}

func (r *raw) reply() rawReply {
	r.t.Helper()
	return parseReply(r.t, r.read())
}

func parseReply(t *testing.T, b []byte) rawReply {
	t.Helper()
	d := decoder{b: b}
	p := rawReply{xid: d.i32(), zxid: d.i64(), code: d.i32()}
	p.body = d.b
	if p.xid == xidEvent {
		p.kind = d.i32()
		if state := d.i32(); state != stateSyncConnected {
			t.Errorf("event with state %d", state)
		}
		p.path = d.text()
	}
	if d.bad {
		t.Fatalf("malformed reply %x", b)
	}
	if p.code != 0 && len(p.body) > 0 {
		t.Errorf("reply with code %d has a body", p.code)
	}
	return p
}

// call sends one request and returns its reply; an event before it is an error.
func (r *raw) call(op int32, body ...[]byte) rawReply {
	r.t.Helper()
	r.xid++
	r.write(rawRequest(r.xid, op, body...))
	p := r.reply()
	if p.xid != r.xid {
		r.t.Fatalf("got xid %d, want %d (event %d %s)", p.xid, r.xid, p.kind, p.path)
	}
	return p
}

func (r *raw) wantCode(what string, want, op int32, body ...[]byte) rawReply {
	r.t.Helper()
	p := r.call(op, body...)
	if p.code != want {
		r.t.Errorf("%s: code %d, want %d", what, p.code, want)
	}
	return p
}

func (r *raw) wantRawEvent(kind int32, path string) {
	r.t.Helper()
	p := r.reply()
	if p.xid != xidEvent || p.kind != kind || p.path != path || p.zxid != -1 {
		r.t.Errorf("got xid %d event %d %s zxid %d, want event %d %s", p.xid, p.kind, p.path, p.zxid, kind, path)
	}
}

// Bodies.
func text(s string) []byte   { return appendText(nil, s) }
func num(v int32) []byte     { return appendI32(nil, v) }
func long(v int64) []byte    { return appendI64(nil, v) }
func flag(v bool) []byte     { return appendBool(nil, v) }
func buffer(v []byte) []byte { return appendBuffer(nil, v) }

func createBody(path string, data []byte, flags int32) []byte {
	return slices.Concat(text(path), buffer(data), appendACL(nil, openEntries()), num(flags))
}

func setBody(path string, data []byte, version int32) []byte {
	return slices.Concat(text(path), buffer(data), num(version))
}

func watchBody(path string, watch bool) []byte { return slices.Concat(text(path), flag(watch)) }

func multiOp(op int32, body ...[]byte) []byte {
	return slices.Concat(num(op), flag(false), num(-1), slices.Concat(body...))
}

func multiEnd() []byte { return slices.Concat(num(-1), flag(true), num(-1)) }

func readStat(d *decoder) stat {
	return stat{
		czxid: d.i64(), mzxid: d.i64(), ctime: d.i64(), mtime: d.i64(), version: d.i32(), cversion: d.i32(), aversion: d.i32(),
		owner: d.i64(), dataLength: d.i32(), numChildren: d.i32(), pzxid: d.i64(),
	}
}
