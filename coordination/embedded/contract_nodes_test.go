package embedded

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/go-zookeeper/zk"
)

func contractNodes() map[string]func(*testing.T, *target) {
	return map[string]func(*testing.T, *target){
		"01 null and empty data": func(t *testing.T, tg *target) {
			c := zkClient(t, tg)
			r := root(t, c)
			if d, st, err := c.Get(r); d != nil || err != nil || st.DataLength != 0 {
				t.Errorf("null: %v %v %v", d, st, err)
			}
			mustCreate(t, c, r+"/empty", []byte{}, 0)
			if d, _, err := c.Get(r + "/empty"); d == nil || len(d) != 0 || err != nil {
				t.Errorf("empty: %v %v", d, err)
			}
		},
		"02 create errors": func(t *testing.T, tg *target) {
			c := zkClient(t, tg)
			r := root(t, c)
			mustCreate(t, c, r+"/e", nil, zk.FlagEphemeral)
			_, err := c.Create(r, nil, 0, open31)
			wantErr(t, "existing", err, zk.ErrNodeExists)
			_, err = c.Create(r+"/x/y", nil, 0, open31)
			wantErr(t, "no parent", err, zk.ErrNoNode)
			_, err = c.Create(r+"/e/y", nil, 0, open31)
			wantErr(t, "child of ephemeral", err, zk.ErrNoChildrenForEphemerals)
		},
		"03 stat of a new node": func(t *testing.T, tg *target) {
			c := zkClient(t, tg)
			r := root(t, c)
			mustCreate(t, c, r+"/e", []byte("abc"), zk.FlagEphemeral)
			st := mustStat(t, c, r+"/e")
			if st.Czxid != st.Mzxid || st.Czxid != st.Pzxid || st.Czxid == 0 || st.Ctime != st.Mtime || st.Ctime == 0 ||
				st.Version != 0 || st.Cversion != 0 || st.Aversion != 0 || st.DataLength != 3 || st.EphemeralOwner != c.SessionID() {
				t.Errorf("%+v", st)
			}
		},
		"04 set": func(t *testing.T, tg *target) {
			c := zkClient(t, tg)
			r := root(t, c)
			before := mustStat(t, c, r)
			for i := range int32(2) {
				st, err := c.Set(r, []byte("same"), i)
				if err != nil || st.Version != i+1 || st.Mzxid <= before.Mzxid || st.Czxid != before.Czxid || st.Pzxid != before.Pzxid ||
					st.Mtime < before.Mtime || st.DataLength != 4 {
					t.Errorf("%+v %v", st, err)
				}
				before = *st
			}
		},
		"05 versions": func(t *testing.T, tg *target) {
			c := zkClient(t, tg)
			r := root(t, c)
			_, err := c.Set(r, nil, 7)
			wantErr(t, "set", err, zk.ErrBadVersion)
			wantErr(t, "delete", c.Delete(r, 7), zk.ErrBadVersion)
			_, err = c.Set(r+"/x", nil, 7)
			wantErr(t, "set missing", err, zk.ErrNoNode)
			wantErr(t, "delete missing", c.Delete(r+"/x", 7), zk.ErrNoNode)
			_, err = c.Set(r, nil, -1)
			wantErr(t, "set any", err, nil)
			wantErr(t, "delete any", c.Delete(r, -1), nil)
		},
		"06 delete errors": func(t *testing.T, tg *target) {
			c := zkClient(t, tg)
			r := root(t, c)
			mustCreate(t, c, r+"/x", nil, 0)
			wantErr(t, "children", c.Delete(r, 0), zk.ErrNotEmpty)
			wantErr(t, "version first", c.Delete(r, 5), zk.ErrBadVersion)
			for _, path := range []string{"/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"} {
				wantErr(t, path, c.Delete(path, -1), zk.ErrBadArguments)
			}
		},
		"07 parent's stat": func(t *testing.T, tg *target) {
			c := zkClient(t, tg)
			r := root(t, c)
			before := mustStat(t, c, r)
			mustCreate(t, c, r+"/a", nil, 0)
			mustCreate(t, c, r+"/b", nil, 0)
			mid := mustStat(t, c, r)
			wantErr(t, "delete", c.Delete(r+"/a", -1), nil)
			st := mustStat(t, c, r)
			if st.Cversion != 3 || st.NumChildren != 1 || st.Pzxid <= mid.Pzxid || mid.Pzxid != mustStat(t, c, r+"/b").Czxid ||
				st.Mzxid != before.Mzxid || st.Version != 0 || st.Mtime != before.Mtime {
				t.Errorf("%+v", st)
			}
		},
		"08 sequence": func(t *testing.T, tg *target) {
			c := zkClient(t, tg)
			r := root(t, c)
			want := func(prefix string, n int) string {
				got := mustCreate(t, c, r+prefix, nil, zk.FlagSequence)
				if got != fmt.Sprintf("%s%s%010d", r, prefix, n) {
					t.Errorf("got %s, want %d", got, n)
				}
				return got
			}
			want("/s-", 0)
			last := want("/s-", 1)
			wantErr(t, "delete", c.Delete(last, -1), nil)
			want("/s-", 2)
			mustCreate(t, c, r+"/plain", nil, 0)
			want("/", 4)
			_, err := c.Create(r+"/plain", nil, 0, open31)
			wantErr(t, "existing", err, zk.ErrNodeExists)
			c.Multi(&zk.CreateRequest{Path: r + "/m", Acl: open31}, &zk.CheckVersionRequest{Path: r + "/missing"})
			want("/x", 5)
		},
		"09 ephemeral sequential": func(t *testing.T, tg *target) {
			c := zkClient(t, tg)
			r := root(t, c)
			path := mustCreate(t, c, r+"/s-", nil, zk.FlagEphemeral|zk.FlagSequence)
			if st := mustStat(t, c, path); st.EphemeralOwner != c.SessionID() {
				t.Errorf("%+v", st)
			}
		},
		"12 bad ACLs": func(t *testing.T, tg *target) {
			c := zkClient(t, tg)
			r := root(t, c)
			for name, acl := range map[string][]zk.ACL{
				"empty": {}, "auth": {{Perms: 31, Scheme: "auth"}}, "sasl": {{Perms: 31, Scheme: "sasl", ID: "u"}},
				"ip": {{Perms: 31, Scheme: "ip", ID: "1.2.3"}}, "ip bits": {{Perms: 31, Scheme: "ip", ID: "1.2.3.4/33"}},
				"ip v6": {{Perms: 31, Scheme: "ip", ID: "::1"}}, "digest": {{Perms: 31, Scheme: "digest", ID: "u"}},
				"digest empty": {{Perms: 31, Scheme: "digest", ID: "u:"}}, "digest two": {{Perms: 31, Scheme: "digest", ID: "u:a:b"}},
				"world": {{Perms: 31, Scheme: "world", ID: "someone"}}, "none": {{Perms: 31}}, "x509": {{Perms: 31, Scheme: "x509", ID: "CN=a"}},
				"second": {{Perms: 31, Scheme: "world", ID: "anyone"}, {Perms: 1, Scheme: "nope", ID: "a"}},
			} {
				_, err := c.Create(r+"/x", nil, 0, acl)
				wantErr(t, "create "+name, err, zk.ErrInvalidACL)
				_, err = c.SetACL(r, acl, -1)
				wantErr(t, "setACL "+name, err, zk.ErrInvalidACL)
			}
			for name, acl := range map[string][]zk.ACL{
				"ip": {{Perms: 31, Scheme: "ip", ID: "1.2.3.4/31"}}, "digest": {{Perms: 31, Scheme: "digest", ID: ":b"}},
				"digest tail": {{Perms: 31, Scheme: "digest", ID: "a:b:"}}, "perms": {{Perms: 1000, Scheme: "world", ID: "anyone"}},
			} {
				_, err := c.Create(r+"/"+name, nil, 0, acl)
				wantErr(t, "create "+name, err, nil)
			}
			twice := append(slices.Clone(open31), open31...)
			_, err := c.Create(r+"/twice", nil, 0, twice)
			wantErr(t, "twice", err, nil)
			got, _, err := c.GetACL(r + "/twice")
			if err != nil || !slices.Equal(got, open31) {
				t.Errorf("duplicates: %v %v", got, err)
			}
		},
		"13 digest ACL": func(t *testing.T, tg *target) {
			c, other := zkClient(t, tg), zkClient(t, tg)
			r := root(t, c)
			wantErr(t, "auth", c.AddAuth("digest", []byte("u:p")), nil)
			_, err := c.Create(r+"/x", []byte("d"), 0, zk.AuthACL(zk.PermAll))
			wantErr(t, "create", err, nil)
			_, _, err = other.Get(r + "/x")
			wantErr(t, "get", err, zk.ErrNoAuth)
			_, err = other.Set(r+"/x", nil, -1)
			wantErr(t, "set", err, zk.ErrNoAuth)
			_, _, err = other.GetACL(r + "/x")
			wantErr(t, "getACL", err, zk.ErrNoAuth)
			_, _, err = other.Exists(r + "/x")
			wantErr(t, "exists", err, zk.ErrNoAuth)
			wantErr(t, "auth", other.AddAuth("digest", []byte("u:p")), nil)
			acl, _, err := other.GetACL(r + "/x")
			if err != nil || len(acl) != 1 || acl[0].Scheme != "digest" || acl[0].ID != "u:zBLPDhVwcFVWEBZ9cf1eyRiEcd4=" && acl[0].ID != zk.DigestACL(31, "u", "p")[0].ID {
				t.Errorf("%v %v", acl, err)
			}
			super := zkClient(t, tg)
			wantErr(t, "super", super.AddAuth("digest", []byte("super:secret")), nil)
			_, _, err = super.Get(r + "/x")
			wantErr(t, "get as super", err, nil)
		},
		"14 setACL": func(t *testing.T, tg *target) {
			c := zkClient(t, tg)
			r := root(t, c)
			before := mustStat(t, c, r)
			st, err := c.SetACL(r, zk.WorldACL(zk.PermRead|zk.PermAdmin), 0)
			if err != nil || st.Aversion != 1 || st.Mzxid != before.Mzxid || st.Version != 0 || st.Mtime != before.Mtime {
				t.Errorf("%+v %v", st, err)
			}
			_, err = c.SetACL(r, open31, 0)
			wantErr(t, "aversion", err, zk.ErrBadVersion)
			_, err = c.Set(r, nil, -1)
			wantErr(t, "set", err, zk.ErrNoAuth)
			_, err = c.Create(r+"/x", nil, 0, open31)
			wantErr(t, "create below", err, zk.ErrNoAuth)
			_, err = c.SetACL(r, open31, 1)
			wantErr(t, "aversion 1", err, nil)

			// A reader without ADMIN sees no hashes.
			rd := zk.ACL{Perms: zk.PermRead, Scheme: "world", ID: "anyone"}
			secret := zk.DigestACL(zk.PermAll, "u", "p")[0]
			_, err = c.Create(r+"/m", nil, 0, []zk.ACL{rd, secret})
			wantErr(t, "create", err, nil)
			acl, _, err := c.GetACL(r + "/m")
			if err != nil || len(acl) != 2 || acl[1].ID != "u:x" {
				t.Errorf("%v %v", acl, err)
			}
			// DELETE and CREATE are asked of the parent.
			mustCreate(t, c, r+"/p", nil, 0)
			_, err = c.Create(r+"/p/x", nil, 0, zk.WorldACL(zk.PermRead))
			wantErr(t, "create", err, nil)
			wantErr(t, "delete", c.Delete(r+"/p/x", -1), nil)
		},
		"24b setACL and check fire nothing": func(t *testing.T, tg *target) {
			c := zkClient(t, tg)
			r := root(t, c)
			_, _, data, err := c.GetW(r)
			wantErr(t, "get", err, nil)
			_, _, child, err := c.ChildrenW(r)
			wantErr(t, "children", err, nil)
			_, err = c.SetACL(r, open31, -1)
			wantErr(t, "setACL", err, nil)
			_, err = c.Multi(&zk.CheckVersionRequest{Path: r, Version: 0})
			wantErr(t, "check", err, nil)
			wantSilence(t, c, data)
			wantSilence(t, c, child)
		},
		"28 a thousand pipelined": func(t *testing.T, tg *target) {
			c := zkClient(t, tg)
			r := root(t, c)
			var wg sync.WaitGroup
			for i := range 500 {
				wg.Add(1)
				go func() {
					defer wg.Done()
					path, err := c.Create(r+"/n-", []byte{byte(i)}, zk.FlagSequence, open31)
					if err != nil {
						t.Error(err)
						return
					}
					if d, _, err := c.Get(path); err != nil || d[0] != byte(i) {
						t.Errorf("%s: %v %v", path, d, err)
					}
				}()
			}
			wg.Wait()
			if st := mustStat(t, c, r); st.NumChildren != 500 {
				t.Errorf("%+v", st)
			}
		},
		"45 sync": func(t *testing.T, tg *target) {
			c, other := zkClient(t, tg), zkClient(t, tg)
			r := root(t, c)
			if path, err := c.Sync(r + "/missing"); err != nil || path != r+"/missing" {
				t.Errorf("%s %v", path, err)
			}
			for i := range 20 {
				if _, err := other.Set(r, []byte{byte(i)}, -1); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Sync(r); err != nil {
					t.Fatal(err)
				}
				if d, _, err := c.Get(r); err != nil || d[0] != byte(i) {
					t.Errorf("%v %v, want %d", d, err, i)
				}
			}
		},
		"2.5 initial tree": func(t *testing.T, tg *target) {
			c := zkClient(t, tg)
			st := mustStat(t, c, "/zookeeper")
			if st.Cversion != -2 || st.NumChildren != 2 || st.Czxid != 0 || st.Ctime != 0 {
				t.Errorf("%+v", st)
			}
			acl, st2, err := c.GetACL("/zookeeper/config")
			if err != nil || st2.Aversion != -1 || len(acl) != 1 || acl[0].Perms != 1 {
				t.Errorf("%v %+v %v", acl, st2, err)
			}
			if d, _, err := c.Get("/zookeeper/config"); d == nil || len(d) != 0 || err != nil {
				t.Errorf("%v %v", d, err)
			}
			_, err = c.Set("/", []byte("x"), -1)
			wantErr(t, "set root", err, nil)
		},
	}
}
