package embedded

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// modelNode is the naive tree's node: everything by full path, nothing shared.
type modelNode struct {
	data                       string
	null                       bool
	version, aversion, created int32
	owner                      int64
	czxid, mzxid, pzxid        int64
	ctime, mtime               int64
	acl                        string
}

// model is a map of paths. A multi works on a copy.
type model struct {
	nodes map[string]modelNode
	zxid  int64
}

func (m *model) clone() *model { return &model{maps.Clone(m.nodes), m.zxid} }

func (m *model) children(path string) (names []string) {
	prefix := strings.TrimSuffix(path, "/") + "/"
	for p := range m.nodes {
		if rest, ok := strings.CutPrefix(p, prefix); ok && rest != "" && !strings.Contains(rest, "/") {
			names = append(names, rest)
		}
	}
	slices.Sort(names)
	return names
}

func modelParent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}

// one applies an operation that will get zxid, without counting it.
func (m *model) one(q *request, session, zxid, ms int64) (int32, string) {
	n, there := m.nodes[q.path]
	switch q.op {
	case opCreate:
		parentPath := modelParent(q.path)
		parent, ok := m.nodes[parentPath]
		path := q.path
		if q.flags&flagSequential != 0 {
			path += fmt.Sprintf("%010d", parent.created)
		}
		if !ok {
			return codeNoNode, ""
		}
		if _, there := m.nodes[path]; there {
			return codeNodeExists, ""
		}
		if parent.owner != 0 {
			return codeNoChildrenForEphemerals, ""
		}
		parent.created++
		parent.pzxid = zxid
		m.nodes[parentPath] = parent
		n := modelNode{data: string(q.data), null: q.data == nil, czxid: zxid, mzxid: zxid, pzxid: zxid, ctime: ms, mtime: ms, acl: fmt.Sprint(q.acl)}
		if q.flags&flagEphemeral != 0 {
			n.owner = session
		}
		m.nodes[path] = n
		return codeOK, path
	case opDelete:
		if !there {
			return codeNoNode, ""
		}
		if q.version != -1 && q.version != n.version {
			return codeBadVersion, ""
		}
		if len(m.children(q.path)) > 0 {
			return codeNotEmpty, ""
		}
		m.drop(q.path, zxid)
	case opSetData:
		if !there {
			return codeNoNode, ""
		}
		if q.version != -1 && q.version != n.version {
			return codeBadVersion, ""
		}
		n.data, n.null, n.mzxid, n.mtime = string(q.data), q.data == nil, zxid, ms
		n.version++
		m.nodes[q.path] = n
	case opSetACL:
		if !there {
			return codeNoNode, ""
		}
		if q.version != -1 && q.version != n.aversion {
			return codeBadVersion, ""
		}
		n.acl = fmt.Sprint(q.acl)
		n.aversion++
		m.nodes[q.path] = n
	case opCheck:
		if !there {
			return codeNoNode, ""
		}
		if q.version != -1 && q.version != n.version {
			return codeBadVersion, ""
		}
	}
	return codeOK, ""
}

func (m *model) drop(path string, zxid int64) {
	delete(m.nodes, path)
	parent := m.nodes[modelParent(path)]
	parent.pzxid = zxid
	m.nodes[modelParent(path)] = parent
}

func (m *model) String() string {
	var b strings.Builder
	for _, path := range slices.Sorted(maps.Keys(m.nodes)) {
		n := m.nodes[path]
		fmt.Fprintf(&b, "%s %+v children=%v\n", path, n, m.children(path))
	}
	return b.String()
}

// modelOf reads the machine into the model's form.
func modelOf(m *machine) *model {
	out := &model{nodes: map[string]modelNode{}, zxid: m.zxid}
	var walk func(n *znode)
	walk = func(n *znode) {
		out.nodes[n.path()] = modelNode{
			data: string(n.data), null: n.data == nil, version: n.version, aversion: n.aversion, created: n.created, owner: n.owner,
			czxid: n.czxid, mzxid: n.mzxid, pzxid: n.pzxid, ctime: n.ctime, mtime: n.mtime, acl: fmt.Sprint(n.acl.entries),
		}
		for _, c := range n.children {
			walk(c)
		}
	}
	walk(m.tree.root)
	return out
}

// drawOp makes an operation on a small tree, so that most of them meet something.
func drawOp(t *rapid.T, single bool) request {
	path := rapid.SampledFrom([]string{"/a", "/b", "/a/a", "/a/b", "/b/a", "/a/a/a", "/a/a/b", "/x/y"}).Draw(t, "path")
	ops := []int32{opCreate, opCreate, opCreate, opDelete, opDelete, opSetData, opCheck}
	if single {
		ops = append(ops, opSetACL, opMulti, opMulti)
	}
	q := request{op: rapid.SampledFrom(ops).Draw(t, "op"), path: path, version: rapid.Int32Range(-1, 2).Draw(t, "version")}
	q.acl = rapid.SampledFrom([][]aclEntry{openEntries(), {{31, "world", "anyone"}, {1, "digest", "a:b"}}}).Draw(t, "acl")
	q.data = rapid.SampledFrom([][]byte{nil, {}, []byte("x"), []byte("longer")}).Draw(t, "data")
	q.flags = rapid.SampledFrom([]int32{0, 0, 1, 2, 3}).Draw(t, "flags")
	if q.op == opMulti {
		q.path = ""
		for range rapid.IntRange(0, 5).Draw(t, "n") {
			q.ops = append(q.ops, drawOp(t, false))
		}
	}
	return q
}

// Random operations on the machine and on a naive tree give the same codes, paths and trees; and the log and the
// snapshot of the machine give the machine again.
func TestMachineAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine()
		ref := modelOf(m)
		var log [][]byte
		keep := func(out outcome) {
			if out.record != nil {
				ref.zxid++
				log = append(log, slices.Clone(out.record))
			}
		}
		sessions := []int64{}
		for ms := range int64(rapid.IntRange(1, 60).Draw(t, "steps")) {
			switch kind := rapid.IntRange(0, 19).Draw(t, "kind"); {
			case kind == 0 || len(sessions) == 0:
				id := 100 + ms
				keep(m.createSession(id, 1000, ms))
				sessions = append(sessions, id)
			case kind == 1:
				i := rapid.IntRange(0, len(sessions)-1).Draw(t, "closed")
				keep(m.closeSession(sessions[i], ms))
				for path, n := range maps.Clone(ref.nodes) {
					if n.owner == sessions[i] {
						ref.drop(path, ref.zxid)
					}
				}
				sessions = slices.Delete(sessions, i, i+1)
			default:
				session := rapid.SampledFrom(sessions).Draw(t, "session")
				q := drawOp(t, true)
				out := m.apply(&command{req: &q, session: session}, ms)
				compareStep(t, ref, &q, &out, session, ms)
				keep(out)
			}
			if got, want := modelOf(m).String(), ref.String(); got != want || m.zxid != ref.zxid {
				t.Fatalf("zxid %d, want %d; got\n%s\nwant\n%s", m.zxid, ref.zxid, got, want)
			}
			checkTables(t, m)
		}
		replayed := newMachine()
		for _, payload := range log {
			if err := replayed.replay(payload); err != nil {
				t.Fatal(err)
			}
		}
		restored, _, err := decodeSnapshot(m.encodeSnapshot(databaseID{}))
		if err != nil {
			t.Fatal(err)
		}
		for what, other := range map[string]*machine{"log": replayed, "snapshot": restored} {
			checkTables(t, other)
			if got, want := dumpState(other), dumpState(m); got != want {
				t.Fatalf("from the %s: got\n%s\nwant\n%s", what, got, want)
			}
		}
	})
}

// compareStep applies the operation to the model and compares the answers.
func compareStep(t *rapid.T, ref *model, q *request, out *outcome, session, ms int64) {
	if q.op != opMulti {
		code, path := ref.one(q, session, ref.zxid+1, ms)
		if code != out.result.code || path != out.result.path {
			t.Fatalf("%+v: code %d path %q, want %d %q", q, out.result.code, out.result.path, code, path)
		}
		return
	}
	trial := ref.clone()
	for i := range q.ops {
		code, path := trial.one(&q.ops[i], session, ref.zxid+1, ms)
		if code == codeOK {
			continue
		}
		_ = path
		for j, r := range out.result.multi {
			want := int32(codeOK)
			if j == i {
				want = code
			} else if j > i {
				want = codeRuntimeInconsistency
			}
			if r.code != want || r.op != opError {
				t.Fatalf("multi op %d of %+v: code %d, want %d", j, q.ops, r.code, want)
			}
		}
		return
	}
	ref.nodes = trial.nodes
}
