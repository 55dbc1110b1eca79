package embedded

import (
	"maps"
	"slices"
	"strings"
)

// read answers a request that changes no znode. It may register a watch of the command's connection.
func (m *machine) read(c *command, q *request) result {
	switch q.op {
	case opSync:
		return result{path: q.path}
	case opReconfig:
		return result{code: codeReconfigDisabled}
	case opWhoAmI:
		return result{ids: c.ids}
	case opGetEphemerals:
		return result{names: m.ephemeralPaths(c.session, q.path)}
	case opCheck:
		return m.check(c, q)
	case opGetACL:
		return m.getACL(c, q)
	}
	if q.op == opExists && strings.IndexByte(q.path, 0) >= 0 {
		return result{code: codeBadArguments} // the one read that looks at the path, in 3.8.4
	}
	n := m.tree.find(q.path)
	if n == nil {
		// An exists watch on a missing node waits for its creation; the other reads leave no watch.
		if q.op == opExists && q.watch {
			m.watches.add(c.conn, false, q.path, watchOnce)
		}
		return result{code: codeNoNode}
	}
	if !allowed(n.acl, permRead, c.ids) {
		return result{code: codeNoAuth}
	}
	child := q.op == opGetChildren || q.op == opGetChildren2
	if q.watch {
		m.watches.add(c.conn, child, q.path, watchOnce)
	}
	r := result{stat: n.stat()}
	switch q.op {
	case opGetData:
		r.data = n.data
	case opGetChildren, opGetChildren2:
		r.names = make([]string, 0, len(n.children))
		for name := range n.children {
			r.names = append(r.names, name)
		}
	case opGetAllChildrenNumber:
		r.n = n.descendants()
	}
	return r
}

func (m *machine) getACL(c *command, q *request) result {
	n, code := m.existing(c, q, permRead|permAdmin)
	if code != codeOK {
		return result{code: code}
	}
	r := result{stat: n.stat(), acl: openEntries()}
	if n.acl != nil {
		r.acl = n.acl.entries
	}
	if !allowed(n.acl, permAdmin, c.ids) {
		r.acl = maskDigests(r.acl)
	}
	return r
}

func (m *machine) ephemeralPaths(session int64, prefix string) []string {
	out := []string{}
	for n := range m.tree.ephemerals[session] {
		if path := n.path(); strings.HasPrefix(path, prefix) {
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return out
}

// multiRead never fails as a whole.
func (m *machine) multiRead(c *command) result {
	results := make([]result, len(c.req.ops))
	for i := range c.req.ops {
		q := &c.req.ops[i]
		results[i] = m.read(c, q)
		results[i].op = q.op
		if results[i].code != codeOK {
			results[i] = result{op: opError, code: results[i].code}
		}
	}
	return result{multi: results}
}

// watch serves the requests that only touch watches. Catch-up events of setWatches go to m.events: no ACL withholds
// them.
func (m *machine) watch(c *command) result {
	q := c.req
	switch q.op {
	case opAddWatch:
		mode := watchPersistent
		switch q.flags {
		case 0:
		case 1:
			mode = watchRecursive
		default:
			return result{code: codeMarshallingError}
		}
		m.watches.add(c.conn, false, q.path, mode)
		m.watches.add(c.conn, true, q.path, mode)
		return result{}
	case opCheckWatches, opRemoveWatches:
		return result{code: m.findWatch(c, q)}
	}
	m.setWatches(c)
	return result{}
}

// findWatch serves checkWatches and removeWatches; the type in flags is 1 children, 2 data, 3 any.
func (m *machine) findWatch(c *command, q *request) int32 {
	if q.flags < 1 || q.flags > 3 {
		return codeMarshallingError
	}
	found := false
	for _, child := range []bool{true, false} {
		if child && q.flags == 2 || !child && q.flags == 1 {
			continue
		}
		if q.op == opCheckWatches {
			found = m.watches.has(c.conn, child, q.path) || found
		} else {
			found = m.watches.clear(c.conn, child, q.path, watchAny) || found
		}
	}
	if !found {
		return codeNoWatcher
	}
	return codeOK
}

// setWatches registers the watches a client had on its last connection, or tells it at once what it missed since
// relativeZxid. Source: ZooKeeper 3.8 DataTree.setWatches.
func (m *machine) setWatches(c *command) {
	w, rel := c.req.lists, c.req.rel
	tell := func(kind int32, path string) { m.events = append(m.events, event{c.conn, kind, path, nil}) }
	for _, path := range w.data {
		if n := m.tree.find(path); n == nil {
			tell(eventDeleted, path)
		} else if n.mzxid > rel {
			tell(eventDataChanged, path)
		} else {
			m.watches.add(c.conn, false, path, watchOnce)
		}
	}
	for _, path := range w.exist {
		if m.tree.find(path) != nil {
			tell(eventCreated, path)
		} else {
			m.watches.add(c.conn, false, path, watchOnce)
		}
	}
	for _, path := range w.child {
		if n := m.tree.find(path); n == nil {
			tell(eventDeleted, path)
		} else if n.pzxid > rel {
			tell(eventChildrenChanged, path)
		} else {
			m.watches.add(c.conn, true, path, watchOnce)
		}
	}
	for _, path := range w.persistent {
		m.watches.add(c.conn, false, path, watchPersistent)
		m.watches.add(c.conn, true, path, watchPersistent)
	}
	for _, path := range w.recursive {
		m.watches.add(c.conn, false, path, watchRecursive)
		m.watches.add(c.conn, true, path, watchRecursive)
	}
}

// dump lists sessions with their ephemeral nodes, for the four-letter word.
func (m *machine) dump() (ids []int64, owned map[int64][]string) {
	owned = make(map[int64][]string)
	for owner := range m.tree.ephemerals {
		owned[owner] = m.ephemeralPaths(owner, "")
	}
	return slices.Sorted(maps.Keys(m.sessions)), owned
}
