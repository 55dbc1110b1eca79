package embedded

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// The same random operations, from seeds, on our server and on a real ZooKeeper: every answer, every event and the tree
// at the end are equal, with zxids compared by their order. No container is
// reaped: the moment would be another on each.
func TestContractHistories(t *testing.T) {
	real, ours := startZooKeeperReaping(t, time.Hour), startEmbeddedReaping(t, time.Hour)
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			want := playHistory(t, real, seed)
			got := playHistory(t, ours, seed)
			for i := range min(len(got), len(want)) {
				if got[i] != want[i] {
					t.Fatalf("step %d: ours\n%s\nZooKeeper's\n%s\nbefore:\n%s", i, got[i], want[i], strings.Join(got[max(0, i-6):i], "\n"))
				}
			}
			if len(got) != len(want) {
				t.Errorf("%d steps, want %d", len(got), len(want))
			}
		})
	}
}

// player runs one history and writes what it sees.
type player struct {
	t       *testing.T
	root    string
	clients []*raw
	out     []string
	zxids   map[int64]bool
	sorted  bool // events of one call
}

func playHistory(t *testing.T, tg *target, seed uint64) []string {
	p := &player{t: t, zxids: map[int64]bool{}}
	for range 3 {
		p.clients = append(p.clients, rawSession(t, tg, longTimeout))
	}
	base := rawRoot(p.clients[0])
	p.root = base + "/r"
	p.clients[0].wantCode("root", codeOK, opCreate, createBody(p.root, nil, 0))
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 300 {
		p.step(rng)
	}
	// The ephemerals of a session go in any order.
	p.sorted = true
	p.call(2, opCloseSession, nil)
	p.settle(0)
	p.settle(1)
	p.clients = p.clients[:2]
	p.walk(p.root)
	return p.ranked()
}

func (p *player) path(rng *rand.Rand) string {
	names := []string{"/a", "/b", "/a/a", "/a/b", "/b/a", "/a/a/a", "/a/a/b", "", "/a/", "/c//d", "/a/."}
	weight := rng.IntN(40)
	if weight < 32 {
		return p.root + names[weight%7]
	}
	return p.root + names[7+weight%4]
}

// persistent are the paths of a persistent and of a recursive watch. They get no others: in 3.8.4 one replaces the
// other, which we do not copy.
func (p *player) persistent() []string { return []string{"/b", "/a/b"} }

func (p *player) acl(rng *rand.Rand) []byte {
	switch rng.IntN(8) {
	case 0:
		return appendACL(nil, []aclEntry{{permRead | permAdmin, "world", "anyone"}, {permAll, "auth", ""}})
	case 1:
		return appendACL(nil, []aclEntry{{permAll, "ip", "127.0.0.0/8"}, {permAll, "ip", "127.0.0.0/8"}})
	case 2:
		return appendACL(nil, []aclEntry{{permAll &^ permDelete, "world", "anyone"}})
	}
	return appendACL(nil, openEntries())
}

func (p *player) data(rng *rand.Rand) []byte {
	return [][]byte{nil, {}, []byte("x"), []byte("some data")}[rng.IntN(4)]
}

// write draws the type and body of a change.
func (p *player) change(rng *rand.Rand) (int32, []byte) {
	path, version := p.path(rng), num(int32(rng.IntN(4)-1))
	switch rng.IntN(9) {
	case 0, 1, 2:
		return opCreate, slices.Concat(text(path), buffer(p.data(rng)), p.acl(rng), num(int32(rng.IntN(4))))
	case 3:
		return opCreate2, slices.Concat(text(path), buffer(p.data(rng)), p.acl(rng), num(int32(rng.IntN(5))))
	case 4:
		return opCreateContainer, slices.Concat(text(path), buffer(p.data(rng)), p.acl(rng), num(4))
	case 5, 6:
		return opDelete, slices.Concat(text(path), version)
	case 7:
		return opSetData, slices.Concat(text(path), buffer(p.data(rng)), version)
	}
	return opCheck, slices.Concat(text(path), version)
}

func (p *player) step(rng *rand.Rand) {
	who := rng.IntN(len(p.clients))
	op, body := int32(0), []byte(nil)
	switch rng.IntN(20) {
	case 0, 1, 2, 3, 4, 5:
		if op, body = p.change(rng); op == opCheck {
			op = opSync
			body = text(p.path(rng))
		}
	case 6, 7, 8:
		op = opMulti
		for range rng.IntN(5) {
			sub, b := p.change(rng)
			body = append(body, multiOp(sub, b)...)
		}
		body = append(body, multiEnd()...)
	case 9:
		op, body = opSetACL, slices.Concat(text(p.path(rng)), p.acl(rng), num(int32(rng.IntN(3)-1)))
	case 10:
		op, body = opGetACL, text(p.path(rng))
	case 11:
		op, body = opGetAllChildrenNumber, text(p.path(rng))
	case 12:
		mode := rng.IntN(2)
		path := p.root + p.persistent()[mode]
		op, body = opAddWatch, slices.Concat(text(path), num(int32(mode)))
		if rng.IntN(3) == 0 {
			op, body = opRemoveWatches, slices.Concat(text(path), num(3))
		}
	case 13:
		op = opMultiRead
		for range rng.IntN(4) {
			body = append(body, multiOp([]int32{opGetData, opGetChildren}[rng.IntN(2)], watchBody(p.path(rng), false))...)
		}
		body = append(body, multiEnd()...)
	case 14:
		if rng.IntN(4) > 0 {
			op, body = opGetEphemerals, text(p.path(rng))
			break
		}
		op, body = opAuth, slices.Concat(num(0), text("digest"), buffer([]byte(fmt.Sprintf("u%d:p", rng.IntN(2)))))
	default:
		op = []int32{opExists, opGetData, opGetChildren, opGetChildren2}[rng.IntN(4)]
		path := p.path(rng)
		body = watchBody(path, rng.IntN(2) == 0 && !slices.Contains(p.persistent(), strings.TrimPrefix(path, p.root)))
	}
	p.call(who, op, body)
	for i := range p.clients {
		if i != who {
			p.settle(i)
		}
	}
}

// settle makes a client's pending events come in: a sync's reply is behind them.
func (p *player) settle(who int) { p.call(who, opSync, text("/")) }

func (p *player) call(who int, op int32, body []byte) {
	c := p.clients[who]
	c.xid++
	c.write(rawRequest(c.xid, op, body))
	var events []string
	for {
		r := c.reply()
		if r.xid == xidEvent {
			events = append(events, fmt.Sprintf("client %d event %d %s", who, r.kind, p.rel(r.path)))
			continue
		}
		if p.sorted {
			slices.Sort(events)
		}
		p.out = append(p.out, events...)
		p.out = append(p.out, fmt.Sprintf("client %d op %d %s: code %d %s", who, op, p.rel(printable(body)), r.code, p.describe(op, r)))
		return
	}
}

func printable(b []byte) string { return fmt.Sprintf("%q", b) }

func (p *player) rel(s string) string { return strings.ReplaceAll(s, p.root, "ROOT") }

func (p *player) stat(d *decoder) string {
	st := readStat(d)
	for _, z := range []int64{st.czxid, st.mzxid, st.pzxid} {
		p.zxids[z] = true
	}
	owner := "none"
	for i, c := range p.clients {
		if c.session == st.owner {
			owner = fmt.Sprint("client ", i)
		}
	}
	if st.owner == 0 {
		owner = "0"
	}
	return fmt.Sprintf("{c%%%d m%%%d p%%%d v%d cv%d av%d owner %s len %d children %d}", st.czxid, st.mzxid, st.pzxid,
		st.version, st.cversion, st.aversion, owner, st.dataLength, st.numChildren)
}

func (p *player) names(d *decoder) string {
	names := d.texts()
	for i := range names {
		names[i] = p.rel(names[i])
	}
	slices.Sort(names)
	return fmt.Sprint(names)
}

func (p *player) describe(op int32, r rawReply) string {
	if r.code != 0 {
		return ""
	}
	d := &decoder{b: r.body}
	out := p.body(op, d)
	if d.bad || len(d.b) > 0 {
		p.t.Errorf("op %d: reply %x", op, r.body)
	}
	return out
}

func (p *player) body(op int32, d *decoder) string {
	switch op {
	case opCreate, opSync:
		return p.rel(d.text())
	case opCreate2, opCreateContainer:
		return p.rel(d.text()) + p.stat(d)
	case opSetData, opSetACL, opExists:
		return p.stat(d)
	case opGetData:
		b := d.buffer()
		return fmt.Sprintf("%q null=%v %s", b, b == nil, p.stat(d))
	case opGetACL:
		return fmt.Sprint(d.acl(), p.stat(d))
	case opGetChildren, opGetEphemerals:
		return p.names(d)
	case opGetChildren2:
		return p.names(d) + p.stat(d)
	case opGetAllChildrenNumber, opAddWatch:
		return fmt.Sprint(d.i32())
	case opMulti, opMultiRead:
		out := ""
		for {
			sub, done, code := d.i32(), d.bool(), d.i32()
			if done || d.bad {
				return fmt.Sprintf("%s end %d %d", out, sub, code)
			}
			out += fmt.Sprintf(" [%d %d ", sub, code)
			if sub == opError {
				out += fmt.Sprint(d.i32())
			} else {
				out += p.body(sub, d)
			}
			out += "]"
		}
	}
	return ""
}

// walk reads the whole tree below path. Nodes it may not read show as an error, equal on both sides.
func (p *player) walk(path string) {
	p.call(0, opGetData, watchBody(path, false))
	p.call(0, opGetACL, text(path))
	c := p.clients[0]
	r := c.call(opGetChildren, watchBody(path, false))
	if r.code != 0 {
		return
	}
	d := decoder{b: r.body}
	names := d.texts()
	slices.Sort(names)
	for _, name := range names {
		p.walk(path + "/" + name)
	}
}

// ranked replaces each zxid by its rank.
func (p *player) ranked() []string {
	var all []int64
	for z := range p.zxids {
		all = append(all, z)
	}
	slices.Sort(all)
	var pairs []string
	for i, z := range all {
		pairs = append(pairs, fmt.Sprintf("%%%d ", z), fmt.Sprintf("#%d ", i))
	}
	r := strings.NewReplacer(pairs...)
	for i := range p.out {
		p.out[i] = r.Replace(p.out[i])
	}
	return p.out
}
