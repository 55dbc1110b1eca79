package embedded

import (
	"slices"
	"testing"

	"github.com/go-zookeeper/zk"
)

func contractWatches() map[string]func(*testing.T, *target) {
	return map[string]func(*testing.T, *target){
		"22 exists watch": func(t *testing.T, tg *target) {
			c := zkClient(t, tg)
			r := root(t, c)
			_, _, ch, err := c.ExistsW(r + "/x")
			wantErr(t, "exists", err, nil)
			mustCreate(t, c, r+"/x", nil, 0)
			wantEvent(t, ch, zk.EventNodeCreated, r+"/x")
			_, _, ch, err = c.ExistsW(r + "/x")
			wantErr(t, "exists", err, nil)
			_, err = c.Set(r+"/x", nil, -1)
			wantErr(t, "set", err, nil)
			wantEvent(t, ch, zk.EventNodeDataChanged, r+"/x")
			_, err = c.Set(r+"/x", nil, -1)
			wantErr(t, "set", err, nil)
			wantSilence(t, c, ch)
		},
		"23 get watch on a missing node": func(t *testing.T, tg *target) {
			c := rawSession(t, tg, longTimeout)
			r := rawRoot(c)
			c.wantCode("get", codeNoNode, opGetData, watchBody(r+"/x", true))
			c.wantCode("children", codeNoNode, opGetChildren2, watchBody(r+"/x", true))
			c.wantCode("create", codeOK, opCreate, createBody(r+"/x", nil, 0)) // call fails on an event
			c.wantCode("create", codeOK, opCreate, createBody(r+"/x/y", nil, 0))
		},
		"24 children watch": func(t *testing.T, tg *target) {
			c := zkClient(t, tg)
			r := root(t, c)
			watch := func() <-chan zk.Event {
				_, _, ch, err := c.ChildrenW(r)
				wantErr(t, "children", err, nil)
				return ch
			}
			ch := watch()
			mustCreate(t, c, r+"/x", nil, 0)
			wantEvent(t, ch, zk.EventNodeChildrenChanged, r)
			ch = watch()
			mustCreate(t, c, r+"/x/y", nil, 0)
			_, err := c.Set(r+"/x", []byte("v"), -1)
			wantErr(t, "set", err, nil)
			_, err = c.Set(r, []byte("v"), -1)
			wantErr(t, "set own data", err, nil)
			wantErr(t, "delete", c.Delete(r+"/x/y", -1), nil)
			wantSilence(t, c, ch)
			wantErr(t, "delete", c.Delete(r+"/x", -1), nil)
			wantEvent(t, ch, zk.EventNodeChildrenChanged, r)
		},
		"25 delete under both watches": func(t *testing.T, tg *target) {
			c := zkClient(t, tg)
			r := root(t, c)
			mustCreate(t, c, r+"/x", nil, 0)
			_, _, data, err := c.GetW(r + "/x")
			wantErr(t, "get", err, nil)
			_, _, child, err := c.ChildrenW(r + "/x")
			wantErr(t, "children", err, nil)
			_, _, parent, err := c.ChildrenW(r)
			wantErr(t, "children", err, nil)
			wantErr(t, "delete", c.Delete(r+"/x", -1), nil)
			wantEvent(t, data, zk.EventNodeDeleted, r+"/x")
			wantEvent(t, child, zk.EventNodeDeleted, r+"/x")
			wantEvent(t, parent, zk.EventNodeChildrenChanged, r)
		},
		"25b one frame for both": func(t *testing.T, tg *target) {
			c := rawSession(t, tg, longTimeout)
			r := rawRoot(c)
			c.wantCode("create", codeOK, opCreate, createBody(r+"/x", nil, 0))
			c.wantCode("get", codeOK, opGetData, watchBody(r+"/x", true))
			c.wantCode("children", codeOK, opGetChildren, watchBody(r+"/x", true))
			c.write(rawRequest(50, opDelete, text(r+"/x"), num(-1)))
			c.wantRawEvent(eventDeleted, r+"/x")
			if p := c.reply(); p.xid != 50 {
				t.Errorf("%+v", p)
			}
		},
		"26 event before the reply to its cause": func(t *testing.T, tg *target) {
			c := rawSession(t, tg, longTimeout)
			r := rawRoot(c)
			c.write(slices.Concat(rawRequest(10, opGetData, watchBody(r, true)), rawRequest(11, opSetData, setBody(r, nil, -1))))
			if p := c.reply(); p.xid != 10 || p.code != 0 {
				t.Fatalf("%+v", p)
			}
			c.wantRawEvent(eventDataChanged, r)
			if p := c.reply(); p.xid != 11 || p.code != 0 {
				t.Fatalf("%+v", p)
			}
		},
		"27 event before a read that shows it": func(t *testing.T, tg *target) {
			a, b := rawSession(t, tg, longTimeout), rawSession(t, tg, longTimeout)
			r := rawRoot(a)
			for version := int32(0); version < 30; version++ {
				a.wantCode("watch", codeOK, opGetData, watchBody(r, true))
				b.write(rawRequest(version+1, opSetData, setBody(r, nil, version)))
				for seen := false; ; {
					a.xid++
					a.write(rawRequest(a.xid, opExists, watchBody(r, false)))
					p := a.reply()
					if p.xid == xidEvent {
						seen = true
						p = a.reply()
					}
					d := decoder{b: p.body}
					shows := readStat(&d).version == version+1
					if shows && !seen {
						t.Fatal("a read shows the change before its event came")
					}
					if shows {
						break
					}
				}
				if p := b.reply(); p.code != 0 {
					t.Fatalf("%+v", p)
				}
			}
		},
		"29 the same watch twice": func(t *testing.T, tg *target) {
			c := rawSession(t, tg, longTimeout)
			r := rawRoot(c)
			c.wantCode("get", codeOK, opGetData, watchBody(r, true))
			c.wantCode("exists", codeOK, opExists, watchBody(r, true))
			c.write(rawRequest(50, opSetData, setBody(r, nil, -1)))
			c.wantRawEvent(eventDataChanged, r)
			if p := c.reply(); p.xid != 50 {
				t.Errorf("%+v", p)
			}
		},
		"30 persistent": func(t *testing.T, tg *target) {
			c, w := rawSession(t, tg, longTimeout), rawSession(t, tg, longTimeout)
			r := rawRoot(c)
			p := c.wantCode("addWatch", codeOK, opAddWatch, text(r), num(0))
			if string(p.body) != string(num(0)) {
				t.Errorf("body %x", p.body)
			}
			for range 2 {
				w.wantCode("set", codeOK, opSetData, setBody(r, nil, -1))
				c.wantRawEvent(eventDataChanged, r)
			}
			w.wantCode("create", codeOK, opCreate, createBody(r+"/a", nil, 0))
			c.wantRawEvent(eventChildrenChanged, r)
			w.wantCode("create", codeOK, opCreate, createBody(r+"/a/b", nil, 0))
			w.wantCode("delete", codeOK, opDelete, text(r+"/a/b"), num(-1))
			w.wantCode("delete", codeOK, opDelete, text(r+"/a"), num(-1))
			c.wantRawEvent(eventChildrenChanged, r)
			c.wantCode("check", codeOK, opCheckWatches, text(r), num(3))
			c.wantCode("remove", codeOK, opRemoveWatches, text(r), num(3))
			c.wantCode("remove again", codeNoWatcher, opRemoveWatches, text(r), num(3))
			c.wantCode("check again", codeNoWatcher, opCheckWatches, text(r), num(3))
			c.wantCode("check none", codeNoWatcher, opCheckWatches, text(r+"/x"), num(1))
			w.wantCode("set", codeOK, opSetData, setBody(r, nil, -1))
			c.wantCode("silent", codeOK, opSync, text(r))
		},
		"30b recursive": func(t *testing.T, tg *target) {
			c, w := rawSession(t, tg, longTimeout), rawSession(t, tg, longTimeout)
			r := rawRoot(c)
			c.wantCode("addWatch", codeOK, opAddWatch, text(r), num(1))
			for _, path := range []string{r + "/a", r + "/a/b"} {
				w.wantCode("create", codeOK, opCreate, createBody(path, nil, 0))
				c.wantRawEvent(eventCreated, path)
				w.wantCode("set", codeOK, opSetData, setBody(path, nil, -1))
				c.wantRawEvent(eventDataChanged, path)
			}
			w.wantCode("set root", codeOK, opSetData, setBody(r, nil, -1))
			c.wantRawEvent(eventDataChanged, r)
			w.wantCode("delete", codeOK, opDelete, text(r+"/a/b"), num(-1))
			c.wantRawEvent(eventDeleted, r+"/a/b")
			c.wantCode("remove", codeOK, opRemoveWatches, text(r), num(3))
			w.wantCode("delete", codeOK, opDelete, text(r+"/a"), num(-1))
			c.wantCode("silent", codeOK, opSync, text(r))
		},
		"30c removal by type": func(t *testing.T, tg *target) {
			c := rawSession(t, tg, longTimeout)
			r := rawRoot(c)
			c.wantCode("get", codeOK, opGetData, watchBody(r, true))
			c.wantCode("children", codeOK, opGetChildren, watchBody(r, true))
			c.wantCode("remove children", codeOK, opRemoveWatches, text(r), num(1))
			c.wantCode("again", codeNoWatcher, opRemoveWatches, text(r), num(1))
			c.wantCode("remove data", codeOK, opRemoveWatches, text(r), num(2))
			c.wantCode("create", codeOK, opCreate, createBody(r+"/x", nil, 0))
			c.wantCode("set", codeOK, opSetData, setBody(r, nil, -1))
			c.wantCode("bad type", codeMarshallingError, opRemoveWatches, text(r), num(9))
			c.wantCode("bad mode", codeMarshallingError, opAddWatch, text(r), num(9))
		},
		"32 setWatches": func(t *testing.T, tg *target) {
			c := rawSession(t, tg, longTimeout)
			r := rawRoot(c)
			c.wantCode("create", codeOK, opCreate, createBody(r+"/a", nil, 0))
			list := func(v ...string) []byte { return appendTexts(nil, v) }
			c.write(rawRequest(-8, opSetWatches, long(0), list(r+"/gone", r+"/a"), list(r+"/a"), list(r, r+"/gone2")))
			want := []rawReply{{kind: eventDeleted, path: r + "/gone"}, {kind: eventDataChanged, path: r + "/a"}, {kind: eventCreated, path: r + "/a"},
				{kind: eventChildrenChanged, path: r}, {kind: eventDeleted, path: r + "/gone2"}}
			for _, e := range want {
				c.wantRawEvent(e.kind, e.path)
			}
			p := c.reply()
			if p.xid != -8 || p.code != 0 || len(p.body) != 0 || p.zxid <= 0 {
				t.Errorf("%+v", p)
			}
			// Up to date: silence, then each fires once.
			c.write(rawRequest(7, opSetWatches, long(p.zxid), list(r+"/a"), list(r+"/new"), list(r)))
			if p := c.reply(); p.xid != 7 {
				t.Errorf("%+v", p)
			}
			w := rawSession(t, tg, longTimeout)
			w.wantCode("set", codeOK, opSetData, setBody(r+"/a", nil, -1))
			w.wantCode("create", codeOK, opCreate, createBody(r+"/new", nil, 0))
			c.wantRawEvent(eventDataChanged, r+"/a")
			c.wantRawEvent(eventCreated, r+"/new")
			c.wantRawEvent(eventChildrenChanged, r)
			c.wantCode("silent", codeOK, opSync, text(r))
		},
		"32b setWatches2": func(t *testing.T, tg *target) {
			c, w := rawSession(t, tg, longTimeout), rawSession(t, tg, longTimeout)
			r := rawRoot(c)
			list := func(v ...string) []byte { return appendTexts(nil, v) }
			c.write(rawRequest(-8, opSetWatches2, long(0), list(), list(), list(), list(r+"/p"), list(r+"/q")))
			if p := c.reply(); p.xid != -8 {
				t.Errorf("%+v", p)
			}
			w.wantCode("create", codeOK, opCreate, createBody(r+"/p", nil, 0))
			c.wantRawEvent(eventCreated, r+"/p")
			w.wantCode("create", codeOK, opCreate, createBody(r+"/p/c", nil, 0))
			c.wantRawEvent(eventChildrenChanged, r+"/p")
			w.wantCode("create", codeOK, opCreate, createBody(r+"/q", nil, 0))
			c.wantRawEvent(eventCreated, r+"/q")
			w.wantCode("create", codeOK, opCreate, createBody(r+"/q/c", nil, 0))
			c.wantRawEvent(eventCreated, r+"/q/c")
		},
		"3.4 events need READ": func(t *testing.T, tg *target) {
			c, w := rawSession(t, tg, longTimeout), rawSession(t, tg, longTimeout)
			r := rawRoot(c)
			w.wantCode("auth", codeOK, opAuth, num(0), text("digest"), buffer([]byte("w:w")))
			c.wantCode("exists", codeNoNode, opExists, watchBody(r+"/x", true))
			c.wantCode("children", codeOK, opGetChildren, watchBody(r, true))
			acl := appendACL(nil, []aclEntry{{permAll, "auth", ""}})
			w.wantCode("create", codeOK, opCreate, text(r+"/x"), buffer(nil), acl, num(0))
			c.wantRawEvent(eventChildrenChanged, r)
			c.wantCode("no created event", codeOK, opSync, text(r))
		},
	}
}
