package embedded

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// dumpState writes all durable state of a machine as text: two machines are equal exactly if their dumps are.
func dumpState(m *machine) string {
	var b strings.Builder
	fmt.Fprintf(&b, "zxid %d\n", m.zxid)
	for _, id := range slices.Sorted(maps.Keys(m.sessions)) {
		fmt.Fprintf(&b, "session %x %d\n", id, m.sessions[id])
	}
	nodes, bytes := 0, int64(0)
	var walk func(n *znode, path string)
	walk = func(n *znode, path string) {
		nodes++
		bytes += int64(len(n.data) + len(n.name))
		acl := "none"
		if n.acl != nil {
			acl = fmt.Sprint(n.acl.entries)
		}
		fmt.Fprintf(&b, "%s %q null=%v %+v created=%d container=%v acl=%s\n", path, n.data, n.data == nil, n.stat(), n.created, n.container, acl)
		for _, name := range slices.Sorted(maps.Keys(n.children)) {
			walk(n.children[name], strings.TrimSuffix(path, "/")+"/"+name)
		}
	}
	walk(m.tree.root, "/")
	fmt.Fprintf(&b, "nodes %d bytes %d\n", m.tree.nodes, m.tree.dataBytes)
	if nodes != m.tree.nodes || bytes != m.tree.dataBytes {
		fmt.Fprintf(&b, "COUNTS ARE WRONG: %d nodes %d bytes\n", nodes, bytes)
	}
	return b.String()
}

// checkTables compares the derived tables with the tree.
func checkTables(t interface{ Errorf(string, ...any) }, m *machine) {
	refs := map[*acl]int{}
	owned, containers := 0, 0
	var walk func(n *znode)
	walk = func(n *znode) {
		if n.acl != nil {
			refs[n.acl]++
		}
		if n.owner != 0 {
			owned++
			if _, ok := m.tree.ephemerals[n.owner][n]; !ok {
				t.Errorf("%s is not in the ephemerals of its owner", n.path())
			}
		}
		if n.container {
			containers++
		}
		for _, c := range n.children {
			walk(c)
		}
	}
	walk(m.tree.root)
	inTable := 0
	for owner, nodes := range m.tree.ephemerals {
		if inTable += len(nodes); len(nodes) == 0 {
			t.Errorf("empty ephemerals entry of %x", owner)
		}
	}
	if owned != inTable || containers != len(m.tree.containers) {
		t.Errorf("%d ephemerals, %d in the table; %d containers, %d in the table", owned, inTable, containers, len(m.tree.containers))
	}
	if len(refs) != len(m.tree.acls) {
		t.Errorf("%d ACLs in use, %d in the table", len(refs), len(m.tree.acls))
	}
	for a, n := range refs {
		if a.refs != n || m.tree.acls[a.key] != a {
			t.Errorf("ACL %v: %d references, counted %d", a.entries, n, a.refs)
		}
	}
}

func wantState(t *testing.T, what string, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got\n%s\nwant\n%s", what, got, want)
	}
}
