package embedded

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

const longTimeout = 30 * time.Second

// rawRoot makes a fresh node.
func rawRoot(c *raw) string {
	c.t.Helper()
	p := c.wantCode("root", codeOK, opCreate, createBody(fmt.Sprintf("/c%06d-", rootCount.Add(1)), nil, flagSequential))
	d := decoder{b: p.body}
	return d.text()
}

func contractRaw() map[string]func(*testing.T, *target) {
	return map[string]func(*testing.T, *target){
		"10 bad paths": func(t *testing.T, tg *target) {
			c := rawSession(t, tg, longTimeout)
			r := rawRoot(c)
			for path, code := range map[string]int32{
				r + "/a/": codeNoNode, r + "//b": codeNoNode, r + "/": codeBadArguments, r + "/.": codeBadArguments, r + "/..": codeBadArguments,
				r + "/../b": codeNoNode, r + "/a\x01": codeBadArguments, r + "/a\x00": codeBadArguments, "a": codeBadArguments, "": codeBadArguments, r + "/\x7f": codeBadArguments,
				r + "/\ufffd": codeBadArguments, r + "/\ue000": codeBadArguments, r + "/\xff": codeBadArguments, r + "/\U0001f600": codeBadArguments,
				"/": codeNodeExists, "a/b": codeNoNode,
			} {
				c.wantCode(fmt.Sprintf("create %q", path), code, opCreate, createBody(path, nil, 0))
				if path == r+"/a\x00" { // exists alone looks for it
					c.wantCode("exists with NUL", codeBadArguments, opExists, watchBody(path, false))
				} else if path != "/" && path != "" && path != "a" {
					c.wantCode(fmt.Sprintf("exists %q", path), codeNoNode, opExists, watchBody(path, false))
				}
			}
			c.wantCode("set", codeBadArguments, opSetData, setBody(r+"/", nil, -1))
			c.wantCode("exists of empty path", codeOK, opExists, watchBody("", false))
			c.wantCode("umlaut", codeOK, opCreate, createBody(r+"/ä€ a", nil, 0))
		},
		"11 flags": func(t *testing.T, tg *target) {
			c := rawSession(t, tg, longTimeout)
			r := rawRoot(c)
			for flags, code := range map[int32]int32{9: codeBadArguments, -1: codeBadArguments, 7: codeBadArguments, 4: codeOK} {
				c.wantCode(fmt.Sprint("flags ", flags), code, opCreate, createBody(r+"/x", nil, flags))
			}
			c.wantCode("TTL", codeUnimplemented, opCreateTTL, createBody(r+"/y", nil, flagTTL), long(1000))
			c.wantCode("alive", codeOK, opExists, watchBody(r, false))
			c.wantCode("container without flag", codeOK, opCreateContainer, createBody(r+"/z", nil, 0))
		},
		"13b check at top level": func(t *testing.T, tg *target) {
			c := rawSession(t, tg, longTimeout)
			r := rawRoot(c)
			c.wantCode("bad version", codeBadVersion, opCheck, text(r), num(4))
			c.wantCode("missing", codeNoNode, opCheck, text(r+"/x"), num(4))
			if tg.embedded {
				c.wantCode("good", codeOK, opCheck, text(r), num(0))
			}
		},
		"21 undecodable and unknown": func(t *testing.T, tg *target) {
			c := rawSession(t, tg, longTimeout)
			c.wantCode("cut short", codeMarshallingError, opGetData, num(100))
			c.wantCode("negative length", codeMarshallingError, opGetData, num(-5))
			c.wantCode("alive", codeOK, opExists, watchBody("/", false))
			c.wantCode("reconfig", codeReconfigDisabled, opReconfig, text(""), text(""), text(""), long(-1))
			c.wantCode("unknown type", codeUnimplemented, 77)
			c.wantEOF()
		},
		"28b replies in request order": func(t *testing.T, tg *target) {
			c := rawSession(t, tg, longTimeout)
			r := rawRoot(c)
			const n = 500
			var all []byte
			for i := range int32(n) {
				path := fmt.Sprintf("%s/%d", r, i)
				all = append(all, rawRequest(10+2*i, opCreate, createBody(path, nil, 0))...)
				all = append(all, rawRequest(11+2*i, opExists, watchBody(path, false))...)
			}
			go c.nc.Write(all)
			for xid := int32(10); xid < 10+2*n; xid++ {
				if p := c.reply(); p.xid != xid || p.code != codeOK {
					t.Fatalf("xid %d: %+v", xid, p)
				}
			}
		},
		"31 counting and naming": func(t *testing.T, tg *target) {
			c := rawSession(t, tg, longTimeout)
			r := rawRoot(c)
			for _, path := range []string{"/a", "/a/b", "/a/b/c", "/d"} {
				c.wantCode("create", codeOK, opCreate, createBody(r+path, nil, 0))
			}
			c.wantCode("create", codeOK, opCreate, createBody(r+"/a/e", nil, flagEphemeral))
			c.wantCode("create", codeOK, opCreate, createBody(r+"/f", nil, flagEphemeral))
			p := c.wantCode("count", codeOK, opGetAllChildrenNumber, text(r))
			if !bytes.Equal(p.body, num(6)) {
				t.Errorf("%x", p.body)
			}
			c.wantCode("count missing", codeNoNode, opGetAllChildrenNumber, text(r+"/x"))
			for prefix, want := range map[string][]string{"/": {r + "/a/e", r + "/f"}, r + "/a": {r + "/a/e"}, "": {r + "/a/e", r + "/f"}, r + "/x": {}} {
				p := c.wantCode("ephemerals", codeOK, opGetEphemerals, text(prefix))
				d := decoder{b: p.body}
				got := d.texts()
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("%q: %v", prefix, got)
				}
			}
			p = c.wantCode("whoAmI", codeOK, opWhoAmI)
			if want := slices.Concat(num(1), text("ip"), text("127.0.0.1")); !bytes.Equal(p.body, want) {
				t.Errorf("%x", p.body)
			}
			c.wantCode("auth", codeOK, opAuth, num(0), text("digest"), buffer([]byte("joe:pw")))
			p = c.wantCode("whoAmI", codeOK, opWhoAmI)
			d := decoder{b: p.body}
			var got []string
			for i := d.i32(); i > 0; i-- {
				got = append(got, d.text()+":"+d.text())
			}
			slices.Sort(got)
			if !slices.Equal(got, []string{"digest:joe", "ip:127.0.0.1"}) {
				t.Errorf("%v", got)
			}
		},
		"42 sizes": func(t *testing.T, tg *target) {
			c := rawSession(t, tg, longTimeout)
			r := rawRoot(c)
			data := bytes.Repeat([]byte{7}, 1_000_000)
			c.wantCode("big node", codeOK, opCreate, createBody(r+"/big", data, 0))
			p := c.wantCode("get", codeOK, opGetData, watchBody(r+"/big", false))
			if !bytes.Equal(p.body[4:4+len(data)], data) {
				t.Error("data differ")
			}
			c.write(num(2 << 20))
			c.wantEOF()
			neg := rawSession(t, tg, longTimeout)
			neg.write(num(-1))
			neg.wantEOF()
		},
		"43 auth": func(t *testing.T, tg *target) {
			c := rawSession(t, tg, longTimeout)
			for _, scheme := range []string{"ip", "digest"} {
				c.write(rawRequest(-4, opAuth, num(0), text(scheme), buffer([]byte("a:b"))))
				if p := c.reply(); p.xid != -4 || p.code != 0 || p.zxid != 0 {
					t.Errorf("%s: %+v", scheme, p)
				}
			}
			c.write(rawRequest(-4, opAuth, num(0), text("nope"), buffer(nil)))
			if p := c.reply(); p.xid != -4 || p.code != codeAuthFailed {
				t.Errorf("%+v", p)
			}
			c.wantEOF()
			world := rawSession(t, tg, longTimeout)
			world.wantCode("world", codeAuthFailed, opAuth, num(0), text("world"), buffer([]byte("anyone")))
			world.wantEOF()
		},
		"44 words": func(t *testing.T, tg *target) {
			owner := rawSession(t, tg, longTimeout)
			rawRoot(owner)
			for word, want := range map[string]string{
				"ruok": "imok", "isro": "rw", "srvr": "Mode: standalone\nNode count: ", "stat": "Clients:\n", "cons": "sid=0x", "mntr": "zk_znode_count\t",
				"conf": "tickTime=200\n", "envi": "Environment:\n", "dump": "Sessions with Ephemerals", "wchs": "Total watches:", "wchp": "", "wchc": "",
			} {
				c := dialRaw(t, tg)
				c.write([]byte(word))
				c.nc.SetReadDeadline(time.Now().Add(20 * time.Second))
				got, err := io.ReadAll(c.nc)
				if err != nil || !strings.Contains(string(got), want) {
					t.Errorf("%s: %q %v", word, got, err)
				}
			}
			if stats, ok := zk.FLWSrvr([]string{tg.addr}, 20*time.Second); tg.embedded && (!ok || stats[0].Error != nil || stats[0].Mode != zk.ModeStandalone) {
				t.Errorf("FLWSrvr: %+v", stats[0]) // it cannot read the date of 3.8.4
			}
			half := dialRaw(t, tg)
			half.write([]byte("ru"))
			half.nc.Close()
			after := rawSession(t, tg, longTimeout)
			after.write([]byte("ruok"))
			after.wantEOF()
		},
	}
}
