package embedded

import (
	"bytes"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/go-zookeeper/zk"
)

func contractMulti() map[string]func(*testing.T, *target) {
	return map[string]func(*testing.T, *target){
		"15 multi": func(t *testing.T, tg *target) {
			c := rawSession(t, tg, longTimeout)
			r := rawRoot(c)
			p := c.call(opMulti,
				multiOp(opCreate, createBody(r+"/a", nil, 0)),
				multiOp(opSetData, setBody(r+"/a", []byte("x"), 0)),
				multiOp(opCreate2, createBody(r+"/a/k-", nil, flagSequential)),
				multiOp(opCheck, text(r+"/a"), num(1)),
				multiEnd())
			d := decoder{b: p.body}
			header := func(op int32) {
				if got, done, code := d.i32(), d.bool(), d.i32(); got != op || done || code != 0 {
					t.Fatalf("header %d %v %d, want %d", got, done, code, op)
				}
			}
			header(opCreate)
			if got := d.text(); got != r+"/a" {
				t.Error(got)
			}
			header(opSetData)
			set := readStat(&d)
			if set.version != 1 || set.mzxid != set.czxid || set.numChildren != 0 || set.dataLength != 1 || set.cversion != 0 {
				t.Errorf("%+v", set)
			}
			header(opCreate2)
			if got := d.text(); got != r+"/a/k-0000000000" {
				t.Error(got)
			}
			if st := readStat(&d); st.czxid != set.czxid || st.ctime != set.mtime {
				t.Errorf("%+v", st)
			}
			header(opCheck)
			if got, done, code := d.i32(), d.bool(), d.i32(); got != -1 || !done || code != -1 || len(d.b) != 0 || d.bad {
				t.Error("no end header")
			}
			if p.zxid != set.czxid {
				t.Errorf("reply zxid %d, want %d", p.zxid, set.czxid)
			}
		},
		"16 failing multi": func(t *testing.T, tg *target) {
			c := zkClient(t, tg)
			r := root(t, c)
			mustCreate(t, c, r+"/old", []byte("v"), 0)
			before, beforeOld := mustStat(t, c, r), mustStat(t, c, r+"/old")
			_, _, child, err := c.ChildrenW(r)
			wantErr(t, "children", err, nil)
			res, err := c.Multi(
				&zk.CreateRequest{Path: r + "/new", Acl: open31},
				&zk.SetDataRequest{Path: r + "/old", Data: []byte("w"), Version: 0},
				&zk.DeleteRequest{Path: r + "/old", Version: 1},
				&zk.CheckVersionRequest{Path: r, Version: 9},
				&zk.DeleteRequest{Path: r + "/new", Version: -1},
				&zk.CreateRequest{Path: r + "/other", Acl: open31})
			wantErr(t, "multi", err, zk.ErrBadVersion)
			if len(res) != 6 || res[0].Error != nil || res[2].Error != nil || res[3].Error != zk.ErrBadVersion || res[4].Error == nil || res[5].Error == nil {
				t.Errorf("%+v", res)
			}
			if st := mustStat(t, c, r); st != before {
				t.Errorf("%+v, want %+v", st, before)
			}
			if st := mustStat(t, c, r+"/old"); st != beforeOld {
				t.Errorf("%+v, want %+v", st, beforeOld)
			}
			if d, _, _ := c.Get(r + "/old"); string(d) != "v" {
				t.Errorf("%s", d)
			}
			wantSilence(t, c, child)
			if got := mustCreate(t, c, r+"/s-", nil, zk.FlagSequence); got != r+"/s-0000000001" {
				t.Error(got)
			}
		},
		"17 create and delete, empty, checks only": func(t *testing.T, tg *target) {
			c := zkClient(t, tg)
			r := root(t, c)
			_, _, child, err := c.ChildrenW(r)
			wantErr(t, "children", err, nil)
			_, err = c.Multi(&zk.CreateRequest{Path: r + "/x", Acl: open31}, &zk.DeleteRequest{Path: r + "/x", Version: 0})
			wantErr(t, "multi", err, nil)
			wantEvent(t, child, zk.EventNodeChildrenChanged, r)
			st := mustStat(t, c, r)
			if st.NumChildren != 0 || st.Cversion != 2 {
				t.Errorf("%+v", st)
			}
			if res, err := c.Multi(); err != nil || len(res) != 0 {
				t.Errorf("empty: %v %v", res, err)
			}
			_, err = c.Multi(&zk.CheckVersionRequest{Path: r, Version: 0}, &zk.CheckVersionRequest{Path: r, Version: -1})
			wantErr(t, "checks", err, nil)
			if got := mustStat(t, c, r); got != st {
				t.Errorf("%+v, want %+v", got, st)
			}
		},
		"18 failing multi, bytes": func(t *testing.T, tg *target) {
			c := rawSession(t, tg, longTimeout)
			r := rawRoot(c)
			p := c.wantCode("multi", codeOK, opMulti,
				multiOp(opCheck, text(r), num(0)), multiOp(opDelete, text(r+"/missing"), num(-1)), multiOp(opDelete, text(r), num(-1)), multiEnd())
			want, _ := hex.DecodeString("ffffffff000000000000000000" + "ffffffff00ffffff9bffffff9b" + "ffffffff00fffffffefffffffe" + "ffffffff01ffffffff")
			if !bytes.Equal(p.body, want) {
				t.Errorf("got  %x\nwant %x", p.body, want)
			}
			c.wantCode("unknown sub-op", codeMarshallingError, opMulti, multiOp(77), multiEnd())
			c.wantCode("cut short", codeMarshallingError, opMulti, multiOp(opCheck, text(r)))
			c.wantCode("read in multi", codeMarshallingError, opMulti, multiOp(opSetACL, text(r)), multiEnd())
			c.wantCode("alive", codeOK, opExists, watchBody(r, false))
		},
		"19 create2 and container in multi": func(t *testing.T, tg *target) {
			c := rawSession(t, tg, longTimeout)
			r := rawRoot(c)
			p := c.wantCode("multi", codeOK, opMulti,
				multiOp(opCreate2, createBody(r+"/a", nil, 0)), multiOp(opCreateContainer, createBody(r+"/b", nil, flagContainer)), multiEnd())
			d := decoder{b: p.body}
			for _, path := range []string{r + "/a", r + "/b"} {
				op, _, code := d.i32(), d.bool(), d.i32()
				if got := d.text(); op != opCreate2 || code != 0 || got != path {
					t.Errorf("%d %d %s", op, code, got)
				}
				if st := readStat(&d); st.czxid == 0 || st.owner != 0 {
					t.Errorf("%+v", st)
				}
			}
		},
		"20 multiRead": func(t *testing.T, tg *target) {
			c := rawSession(t, tg, longTimeout)
			r := rawRoot(c)
			c.wantCode("create", codeOK, opCreate, createBody(r+"/a", []byte("data"), 0))
			p := c.wantCode("multiRead", codeOK, opMultiRead,
				multiOp(opGetData, watchBody(r+"/a", false)), multiOp(opGetData, watchBody(r+"/x", false)), multiOp(opGetChildren, watchBody(r, false)), multiEnd())
			d := decoder{b: p.body}
			if op, _, code, data := d.i32(), d.bool(), d.i32(), d.buffer(); op != opGetData || code != 0 || string(data) != "data" {
				t.Errorf("%d %d %s", op, code, data)
			}
			readStat(&d)
			if op, _, code, again := d.i32(), d.bool(), d.i32(), d.i32(); op != -1 || code != codeNoNode || again != codeNoNode {
				t.Errorf("%d %d %d", op, code, again)
			}
			if op, _, code, names := d.i32(), d.bool(), d.i32(), d.texts(); op != opGetChildren || code != 0 || !slices.Equal(names, []string{"a"}) {
				t.Errorf("%d %d %v", op, code, names)
			}
			if !bytes.Equal(d.b, multiEnd()) {
				t.Errorf("end %x", d.b)
			}
		},
	}
}
