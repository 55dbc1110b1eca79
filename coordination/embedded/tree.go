package embedded

import "math"

// znode is one node. Its path is not stored: it is the names up to the root.
type znode struct {
	name     string
	parent   *znode // nil for the root
	children map[string]*znode
	data     []byte // nil is null, which clients can tell from empty; never changed in place
	acl      *acl
	owner    int64 // session of an ephemeral node, else 0
	// created counts the creates below the node, ever. It is the next sequence suffix and makes the reported cversion
	// (2 x created - children). It stops at MaxInt32, after which sequential creates find their name taken, as in 3.8.
	created             int32
	version, aversion   int32
	container           bool
	czxid, mzxid, pzxid int64
	ctime, mtime        int64 // wall ms
}

// stat is the wire's Stat.
type stat struct {
	czxid, mzxid, ctime, mtime  int64
	version, cversion, aversion int32
	owner                       int64
	dataLength, numChildren     int32
	pzxid                       int64
}

func (n *znode) stat() stat {
	return stat{
		czxid: n.czxid, mzxid: n.mzxid, ctime: n.ctime, mtime: n.mtime,
		version: n.version, cversion: 2*n.created - int32(len(n.children)), aversion: n.aversion,
		owner: n.owner, dataLength: int32(len(n.data)), numChildren: int32(len(n.children)), pzxid: n.pzxid,
	}
}

func appendStat(b []byte, s *stat) []byte {
	b = appendI64(appendI64(b, s.czxid), s.mzxid)
	b = appendI64(appendI64(b, s.ctime), s.mtime)
	b = appendI32(appendI32(appendI32(b, s.version), s.cversion), s.aversion)
	b = appendI64(b, s.owner)
	b = appendI32(appendI32(b, s.dataLength), s.numChildren)
	return appendI64(b, s.pzxid)
}

// path walks up to the root.
func (n *znode) path() string {
	if n.parent == nil {
		return "/"
	}
	size := 0
	for p := n; p.parent != nil; p = p.parent {
		size += len(p.name) + 1
	}
	b := make([]byte, size)
	for p := n; p.parent != nil; p = p.parent {
		size -= len(p.name)
		copy(b[size:], p.name)
		size--
		b[size] = '/'
	}
	return string(b)
}

// tree is the znodes with the tables derived from them. Its methods check nothing: machine does, replay need not.
type tree struct {
	root       *znode
	nodes      int   // with the root
	dataBytes  int64 // data and names
	ephemerals map[int64]map[*znode]struct{}
	containers map[*znode]struct{}
	acls       map[string]*acl
}

// newTree is what 3.8.4 starts with: all zxids and times 0, data empty but not null, the config node read-only.
func newTree() *tree {
	t := emptyTree()
	t.root.data, t.root.acl = []byte{}, t.intern(openEntries())
	zk := t.attach(t.root, "zookeeper", []byte{}, t.intern(openEntries()))
	t.attach(zk, "quota", []byte{}, t.intern(openEntries()))
	t.attach(zk, "config", []byte{}, t.intern([]aclEntry{{permRead, "world", "anyone"}})).aversion = -1
	return t
}

func emptyTree() *tree {
	return &tree{
		root: &znode{}, nodes: 1,
		ephemerals: make(map[int64]map[*znode]struct{}),
		containers: make(map[*znode]struct{}),
		acls:       make(map[string]*acl),
	}
}

// find looks a path up literally: "/a/" and "/a//b" are just missing. "" is the root, as in ZooKeeper's node table.
func (t *tree) find(path string) *znode {
	if path == "" || path == "/" {
		return t.root
	}
	if path[0] != '/' {
		return nil
	}
	n, start := t.root, 1
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		if n = n.children[path[start:i]]; n == nil {
			return nil
		}
		start = i + 1
	}
	return n
}

// intern shares equal ACLs. The caller's reference is counted; release gives it back.
func (t *tree) intern(entries []aclEntry) *acl {
	var scratch [64]byte
	key := appendACL(scratch[:0], entries)
	a := t.acls[string(key)]
	if a == nil {
		a = &acl{entries: entries, key: string(key)}
		t.acls[a.key] = a
	}
	a.refs++
	return a
}

// retain counts one more reference, of an ACL that may have been released in between.
func (t *tree) retain(a *acl) {
	if a != nil {
		a.refs++
		t.acls[a.key] = a
	}
}

func (t *tree) release(a *acl) {
	if a == nil {
		return
	}
	if a.refs--; a.refs == 0 {
		delete(t.acls, a.key)
	}
}

// attach links a new node below parent without touching the parent's stat.
func (t *tree) attach(parent *znode, name string, data []byte, a *acl) *znode {
	n := &znode{name: name, data: data, acl: a}
	t.link(parent, n)
	return n
}

func (t *tree) link(parent, n *znode) {
	n.parent = parent
	if parent.children == nil {
		parent.children = make(map[string]*znode)
	}
	parent.children[n.name] = n
	t.nodes++
	t.dataBytes += int64(len(n.data) + len(n.name))
	if n.owner != 0 {
		owned := t.ephemerals[n.owner]
		if owned == nil {
			owned = make(map[*znode]struct{})
			t.ephemerals[n.owner] = owned
		}
		owned[n] = struct{}{}
	}
	if n.container {
		t.containers[n] = struct{}{}
	}
}

func (t *tree) unlink(n *znode) {
	delete(n.parent.children, n.name)
	if len(n.parent.children) == 0 {
		n.parent.children = nil // a map keeps its largest size
	}
	t.nodes--
	t.dataBytes -= int64(len(n.data) + len(n.name))
	if n.owner != 0 {
		owned := t.ephemerals[n.owner]
		if delete(owned, n); len(owned) == 0 {
			delete(t.ephemerals, n.owner)
		}
	}
	delete(t.containers, n)
}

// create adds a node, and counts it at its parent.
func (t *tree) create(parent *znode, name string, op *txnOp, zxid, ms int64) *znode {
	n := &znode{
		name: name, data: op.data, acl: t.intern(op.acl), container: op.container, owner: op.owner,
		czxid: zxid, mzxid: zxid, pzxid: zxid, ctime: ms, mtime: ms,
	}
	t.link(parent, n)
	parent.pzxid = zxid
	if parent.created < math.MaxInt32 {
		parent.created++
	}
	return n
}

// remove deletes a leaf. Its ACL stays valid for those who hold it.
func (t *tree) remove(n *znode, zxid int64) {
	t.unlink(n)
	t.release(n.acl)
	n.parent.pzxid = zxid
}

func (t *tree) setData(n *znode, data []byte, zxid, ms int64) {
	t.dataBytes += int64(len(data) - len(n.data))
	n.data, n.mzxid, n.mtime = data, zxid, ms
	n.version++
}

func (t *tree) setACL(n *znode, entries []aclEntry) {
	old := n.acl
	n.acl = t.intern(entries)
	t.release(old)
	n.aversion++
}

// descendants counts all nodes below n, iteratively: a path may be hundreds of thousands of names deep.
func (n *znode) descendants() int32 {
	count, todo := int32(0), []*znode{n}
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		count += int32(len(n.children))
		for _, c := range n.children {
			if len(c.children) > 0 {
				todo = append(todo, c)
			}
		}
	}
	return count
}
