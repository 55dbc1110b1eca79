package embedded

import (
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// shortTimeout is for sessions that are to expire, or are kept by a client that does nothing else.
const shortTimeout = 5 * contractTick

func contractSessions() map[string]func(*testing.T, *target) {
	return map[string]func(*testing.T, *target){
		"33 connection cut": func(t *testing.T, tg *target) {
			notShort(t)
			p := newProxy(t, tg.addr)
			c := zkClient(t, &target{addr: p.addr})
			w := zkClient(t, tg)
			r := root(t, w)
			for _, name := range []string{"/d", "/c", "/same"} {
				mustCreate(t, w, r+name, nil, 0)
			}
			mustCreate(t, c, r+"/e", nil, zk.FlagEphemeral)
			session := c.SessionID()
			_, _, data, err := c.GetW(r + "/d")
			wantErr(t, "get", err, nil)
			_, _, child, err := c.ChildrenW(r + "/c")
			wantErr(t, "children", err, nil)
			_, _, exists, err := c.ExistsW(r + "/x")
			wantErr(t, "exists", err, nil)
			_, _, same, err := c.GetW(r + "/same")
			wantErr(t, "get", err, nil)
			p.cut()
			_, err = w.Set(r+"/d", nil, -1)
			wantErr(t, "set", err, nil)
			mustCreate(t, w, r+"/c/x", nil, 0)
			mustCreate(t, w, r+"/x", nil, 0)
			p.allow()
			wantEvent(t, data, zk.EventNodeDataChanged, r+"/d")
			wantEvent(t, child, zk.EventNodeChildrenChanged, r+"/c")
			wantEvent(t, exists, zk.EventNodeCreated, r+"/x")
			eventually(t, "client back", func() bool { _, _, err := c.Exists(r); return err == nil })
			wantSilence(t, c, same)
			if c.SessionID() != session {
				t.Error("another session")
			}
			mustStat(t, c, r+"/e")
		},
		"34 close": func(t *testing.T, tg *target) {
			c := rawSession(t, tg, longTimeout)
			w := zkClient(t, tg)
			r := root(t, w)
			for _, name := range []string{"/a", "/b"} {
				mustCreate(t, w, r+name, nil, 0)
				c.wantCode("create", codeOK, opCreate, createBody(r+name+"/e", nil, flagEphemeral))
			}
			_, _, ch, err := w.ExistsW(r + "/a/e")
			wantErr(t, "exists", err, nil)
			p := c.call(opCloseSession)
			if p.code != 0 || len(p.body) != 0 {
				t.Errorf("%+v", p)
			}
			c.wantEOF()
			wantEvent(t, ch, zk.EventNodeDeleted, r+"/a/e")
			a, b := mustStat(t, w, r+"/a"), mustStat(t, w, r+"/b")
			if a.Pzxid != b.Pzxid || a.Pzxid != p.zxid || a.NumChildren != 0 || b.NumChildren != 0 {
				t.Errorf("%+v %+v %d", a, b, p.zxid)
			}
			again := dialRaw(t, tg)
			again.connect(longTimeout, c.session, c.password)
			if again.session != 0 {
				t.Error("a closed session is alive")
			}
		},
		"35 expiry": func(t *testing.T, tg *target) {
			notShort(t)
			w := zkClient(t, tg)
			r := root(t, w)
			c := rawSession(t, tg, shortTimeout)
			c.wantCode("create", codeOK, opCreate, createBody(r+"/e", nil, flagEphemeral))
			there, _, ch, err := w.ExistsW(r + "/e")
			wantErr(t, "exists", err, nil)
			if !there {
				t.Skip("this machine is too slow for the test")
			}
			start := time.Now()
			c.nc.Close()
			wantEvent(t, ch, zk.EventNodeDeleted, r+"/e")
			if after := time.Since(start); after < shortTimeout-tg.tick {
				t.Errorf("gone after %v", after)
			}
			again := dialRaw(t, tg)
			again.connect(longTimeout, c.session, c.password)
			if again.session != 0 || again.timeout != 0 || !slices.Equal(again.password, make([]byte, 16)) {
				t.Errorf("%+v", again)
			}
			again.wantEOF()
		},
		"36 pings": func(t *testing.T, tg *target) {
			notShort(t)
			c := rawSession(t, tg, shortTimeout)
			r := rawRoot(c)
			c.wantCode("create", codeOK, opCreate, createBody(r+"/e", nil, flagEphemeral))
			lastSent := time.Now()
			for start := time.Now(); time.Since(start) < 3*shortTimeout; time.Sleep(contractTick / 2) {
				if time.Since(lastSent) > shortTimeout/2 {
					t.Skip("this machine is too slow for the test")
				}
				c.write(rawRequest(-2, opPing))
				lastSent = time.Now()
				if p := c.reply(); p.xid != -2 || p.code != 0 || len(p.body) != 0 {
					t.Fatalf("%+v", p)
				}
			}
			c.wantCode("exists", codeOK, opExists, watchBody(r+"/e", false))
			c.wantEOF() // silence ends it
		},
		"37 timeouts": func(t *testing.T, tg *target) {
			for ask, want := range map[time.Duration]time.Duration{
				time.Millisecond: 2 * contractTick, 1 << 30 * time.Millisecond: time.Minute, 12345 * time.Millisecond: 12345 * time.Millisecond,
			} {
				if c := rawSession(t, tg, ask); c.timeout != int32(want.Milliseconds()) {
					t.Errorf("asked %v, got %d", ask, c.timeout)
				}
			}
		},
		"38 connect forms": func(t *testing.T, tg *target) {
			c := dialRaw(t, tg)
			body := connectBody(0, longTimeout, 0, nil)
			c.write(frame(body[:len(body)-1]))
			if b := c.read(); len(b) != 36 {
				t.Errorf("%d bytes", len(b))
			}
			c = dialRaw(t, tg)
			c.write(frame(body))
			if b := c.read(); len(b) != 37 || b[36] != 0 {
				t.Errorf("%d bytes", len(b))
			}
		},
		"39 unknown session, wrong password": func(t *testing.T, tg *target) {
			c := dialRaw(t, tg)
			c.connect(longTimeout, 0x1234567890, make([]byte, 16))
			if c.session != 0 || c.timeout != 0 {
				t.Errorf("%+v", c)
			}
			c.wantEOF()
			owner := rawSession(t, tg, longTimeout)
			thief := dialRaw(t, tg)
			thief.connect(longTimeout, owner.session, make([]byte, 16))
			if thief.session != 0 || thief.timeout != 0 {
				t.Errorf("%+v", thief)
			}
			thief.wantEOF()
			if tg.embedded {
				owner.wantCode("owner", codeOK, opExists, watchBody("/", false))
			}
		},
		"40 takeover": func(t *testing.T, tg *target) {
			c := rawSession(t, tg, longTimeout)
			r := rawRoot(c)
			c.wantCode("create", codeOK, opCreate, createBody(r+"/e", nil, flagEphemeral))
			c.wantCode("watch", codeOK, opGetData, watchBody(r, true))
			second := dialRaw(t, tg)
			second.connect(longTimeout, c.session, c.password)
			if second.session != c.session || !slices.Equal(second.password, c.password) {
				t.Errorf("%+v", second)
			}
			c.wantEOF()
			second.wantCode("ephemeral", codeOK, opExists, watchBody(r+"/e", false))
			second.wantCode("set", codeOK, opSetData, setBody(r, nil, -1)) // call fails on an event
		},
		"41 requests behind the connect request": func(t *testing.T, tg *target) {
			c := dialRaw(t, tg)
			path := fmt.Sprintf("/c%d-%s", rootCount.Add(1), t.Name()[len(t.Name())-3:])
			c.write(slices.Concat(frame(connectBody(0, longTimeout, 0, make([]byte, 16))),
				rawRequest(1, opCreate, createBody(path, nil, flagEphemeral)), rawRequest(2, opExists, watchBody(path, false))))
			c.connected()
			for xid := int32(1); xid <= 2; xid++ {
				if p := c.reply(); p.xid != xid || p.code != 0 {
					t.Errorf("%+v", p)
				}
			}
		},
		"48 many sessions expire at once": func(t *testing.T, tg *target) {
			notShort(t)
			const n = 200
			w := zkClient(t, tg)
			r := root(t, w)
			sessions := make([]*raw, n)
			chans := make([]<-chan zk.Event, n)
			for i := range n {
				parent := mustCreate(t, w, fmt.Sprintf("%s/%d", r, i), nil, 0)
				sessions[i] = rawSession(t, tg, 2*time.Second)
				sessions[i].wantCode("create", codeOK, opCreate, createBody(parent+"/e", nil, flagEphemeral))
				names, _, ch, err := w.ChildrenW(parent)
				wantErr(t, "children", err, nil)
				if len(names) > 0 { // else it took so long that the session is gone already
					chans[i] = ch
				}
			}
			for _, c := range sessions {
				c.nc.Close()
			}
			for i, ch := range chans {
				if ch != nil {
					wantEvent(t, ch, zk.EventNodeChildrenChanged, fmt.Sprintf("%s/%d", r, i))
				}
				if st := mustStat(t, w, fmt.Sprintf("%s/%d", r, i)); st.NumChildren != 0 {
					t.Errorf("%d: %+v", i, st)
				}
			}
		},
		"51b container": func(t *testing.T, tg *target) {
			c := rawSession(t, tg, longTimeout)
			r := rawRoot(c)
			c.wantCode("create", codeOK, opCreateContainer, createBody(r+"/unused", nil, flagContainer))
			p := c.wantCode("create", codeOK, opCreateContainer, createBody(r+"/used", nil, flagContainer))
			d := decoder{b: p.body}
			d.text()
			if st := readStat(&d); st.owner != 0 {
				t.Errorf("%+v", st)
			}
			c.wantCode("create", codeOK, opCreate, createBody(r+"/used/x", nil, 0))
			c.wantCode("delete", codeOK, opDelete, text(r+"/used/x"), num(-1))
			c.write(rawRequest(500, opExists, watchBody(r+"/used", true)))
			if p := c.reply(); p.xid == 500 && p.code == 0 {
				c.wantRawEvent(eventDeleted, r+"/used")
			} else if p.code != codeNoNode {
				t.Errorf("%+v", p)
			}
			c.wantCode("unused stays", codeOK, opExists, watchBody(r+"/unused", false))
		},
	}
}

func contractRestarts() map[string]func(*testing.T, *target) {
	return map[string]func(*testing.T, *target){
		"46 restart": func(t *testing.T, tg *target) {
			w := rawSession(t, tg, longTimeout)
			r := rawRoot(w)
			w.wantCode("create", codeOK, opCreate, createBody(r+"/e", []byte("x"), flagEphemeral))
			w.wantCode("create", codeOK, opCreate, createBody(r+"/s-", nil, flagSequential))
			w.wantCode("set", codeOK, opSetData, setBody(r, []byte("y"), -1))
			w.wantCode("setACL", codeOK, opSetACL, text(r+"/e"), appendACL(nil, []aclEntry{{permRead | permAdmin, "world", "anyone"}}), num(-1))
			before := w.wantCode("get", codeOK, opGetData, watchBody(r, false))
			beforeE := w.wantCode("get", codeOK, opGetACL, text(r+"/e"))
			tg.restart(t, 0)
			again := dialRaw(t, tg)
			again.connect(longTimeout, w.session, w.password)
			if again.session != w.session {
				t.Fatal("session lost")
			}
			after, afterE := again.wantCode("get", codeOK, opGetData, watchBody(r, false)), again.wantCode("get", codeOK, opGetACL, text(r+"/e"))
			if !slices.Equal(before.body, after.body) || !slices.Equal(beforeE.body, afterE.body) {
				t.Errorf("%x\n%x\n%x\n%x", before.body, after.body, beforeE.body, afterE.body)
			}
			if after.zxid < before.zxid {
				t.Errorf("zxid fell from %d to %d", before.zxid, after.zxid)
			}
			p := again.wantCode("create", codeOK, opCreate, createBody(r+"/s-", nil, flagSequential))
			if d := (decoder{b: p.body}); d.text() != r+"/s-0000000002" {
				t.Errorf("%s", p.body)
			}
		},
		"47 restart after more than the timeout": func(t *testing.T, tg *target) {
			w := rawSession(t, tg, shortTimeout)
			keep := rawSession(t, tg, longTimeout)
			r := rawRoot(keep)
			w.wantCode("create", codeOK, opCreate, createBody(r+"/e", nil, flagEphemeral))
			keep.wantCode("create", codeOK, opCreate, createBody(r+"/k", nil, flagEphemeral))
			start := time.Now()
			tg.restart(t, 2*shortTimeout)
			again := dialRaw(t, tg)
			again.connect(longTimeout, keep.session, keep.password)
			if again.session != keep.session {
				t.Fatal("session lost")
			}
			p := again.call(opExists, watchBody(r+"/e", true))
			// The outage and half a timeout: what took longer than that, a slow start of the server included, says nothing.
			if time.Since(start) < 2*shortTimeout+shortTimeout/2 && p.code != 0 {
				t.Error("the other session did not get its full timeout")
			}
			if p.code == 0 {
				again.wantRawEvent(eventDeleted, r+"/e")
			}
			again.wantCode("own", codeOK, opExists, watchBody(r+"/k", false))
		},
	}
}

func notShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("waits for timeouts")
	}
}

// proxy forwards TCP connections and can cut them.
type proxy struct {
	addr    string
	mu      sync.Mutex
	blocked bool
	open    []net.Conn
}

func newProxy(t *testing.T, to string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String()}
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil || !p.add(in, out) {
				in.Close()
				if out != nil {
					out.Close()
				}
				continue
			}
			wg.Add(2)
			for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
				go func() {
					defer wg.Done()
					io.Copy(pair[0], pair[1])
					pair[0].Close()
				}()
			}
		}
	}()
	t.Cleanup(func() {
		l.Close()
		p.cut()
		wg.Wait()
	})
	return p
}

func (p *proxy) add(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.blocked {
		return false
	}
	p.open = append(p.open, conns...)
	return true
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.blocked = true
	for _, c := range p.open {
		c.Close()
	}
	p.open = nil
}

func (p *proxy) allow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.blocked = false
}
