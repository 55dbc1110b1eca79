package embedded

import (
	"maps"
	"slices"
	"strings"
)

// Modes of a watch on one path in one table. A connection may have several; each is kept apart, so that a one-shot
// watch does not replace a persistent one (in 3.8 the last registration wins).
type watchMode uint8

const (
	watchOnce watchMode = 1 << iota
	watchPersistent
	watchRecursive
)

// event is what one connection is to be told. acl is that of the node whose READ permission the connection needs.
type event struct {
	conn uint64
	kind int32
	path string
	acl  *acl
}

// watchTable is path -> connection -> modes.
type watchTable map[string]map[uint64]watchMode

// watches are the data and the child watches of all connections. Existence watches stand in data, a persistent watch in
// both. They die with the connection.
type watches struct {
	data, child watchTable
	recursive   int // number of recursive entries; 0 spares the walk over ancestors
	byConn      map[uint64]*connWatches
}

// connWatches are the entries of one connection.
type connWatches struct {
	keys  map[watchKey]struct{}
	bytes int64 // estimate of what they take
}

// watchCost is what an entry takes beside its path, in bytes.
const watchCost = 200

type watchKey struct {
	child bool
	path  string
}

func newWatches() *watches {
	return &watches{data: watchTable{}, child: watchTable{}, byConn: map[uint64]*connWatches{}}
}

func (w *watches) table(child bool) watchTable {
	if child {
		return w.child
	}
	return w.data
}

func (w *watches) add(conn uint64, child bool, path string, mode watchMode) {
	t := w.table(child)
	conns := t[path]
	if conns == nil {
		conns = make(map[uint64]watchMode, 1)
		t[path] = conns
	}
	old := conns[conn]
	if old == 0 {
		own := w.byConn[conn]
		if own == nil {
			own = &connWatches{keys: make(map[watchKey]struct{})}
			w.byConn[conn] = own
		}
		own.keys[watchKey{child, path}] = struct{}{}
		own.bytes += int64(len(path)) + watchCost
	}
	if mode&^old&watchRecursive != 0 {
		w.recursive++
	}
	conns[conn] = old | mode
}

// clear removes modes of a connection's watch and says whether there were any.
func (w *watches) clear(conn uint64, child bool, path string, modes watchMode) bool {
	t := w.table(child)
	conns := t[path]
	old := conns[conn]
	if old&modes == 0 {
		return false
	}
	if old&modes&watchRecursive != 0 {
		w.recursive--
	}
	if left := old &^ modes; left != 0 {
		conns[conn] = left
		return true
	}
	if delete(conns, conn); len(conns) == 0 {
		delete(t, path)
	}
	own := w.byConn[conn]
	own.bytes -= int64(len(path)) + watchCost
	if delete(own.keys, watchKey{child, path}); len(own.keys) == 0 {
		delete(w.byConn, conn)
	}
	return true
}

const watchAny = watchOnce | watchPersistent | watchRecursive

func (w *watches) has(conn uint64, child bool, path string) bool {
	return w.table(child)[path][conn] != 0
}

func (w *watches) dropConn(conn uint64) {
	own := w.byConn[conn]
	if own == nil {
		return
	}
	for key := range own.keys {
		w.clear(conn, key.child, key.path, watchAny)
	}
}

// bytes estimates the memory of a connection's watches.
func (w *watches) bytes(conn uint64) int64 {
	if own := w.byConn[conn]; own != nil {
		return own.bytes
	}
	return 0
}

// count is the number of (connection, path, table) entries.
func (w *watches) count() int {
	n := 0
	for _, own := range w.byConn {
		n += len(own.keys)
	}
	return n
}

// fire appends the events of one change to out and spends the one-shot watches. A connection gets one event for the
// deletion of a node it watches in both tables.
func (w *watches) fire(out []event, c *change) []event {
	switch c.kind {
	case eventCreated, eventDataChanged:
		out = w.trigger(out, false, c.path, c.kind, c.acl, len(out))
	case eventDeleted:
		from := len(out)
		out = w.trigger(out, false, c.path, c.kind, c.acl, from)
		out = w.trigger(out, true, c.path, c.kind, c.acl, from)
	}
	if c.kind != eventDataChanged {
		parent, _ := splitPath(c.path)
		if parent == "" {
			parent = "/"
		}
		out = w.trigger(out, true, parent, eventChildrenChanged, c.parentACL, len(out))
	}
	return out
}

// trigger tells the watchers of path in one table, and the recursive ones above it, unless out[from:] has them already.
func (w *watches) trigger(out []event, child bool, path string, kind int32, a *acl, from int) []event {
	t := w.table(child)
	tell := func(conn uint64) {
		for i := range out[from:] {
			if out[from+i].conn == conn {
				return
			}
		}
		out = append(out, event{conn, kind, path, a})
	}
	if conns := t[path]; len(conns) > 0 {
		for _, conn := range slices.Sorted(maps.Keys(conns)) {
			if conns[conn] == watchRecursive && kind == eventChildrenChanged {
				continue
			}
			tell(conn)
			w.clear(conn, child, path, watchOnce)
		}
	}
	if w.recursive == 0 || kind == eventChildrenChanged {
		return out
	}
	for up := path; up != "/"; {
		if up = up[:strings.LastIndexByte(up, '/')]; up == "" {
			up = "/"
		}
		for conn, mode := range t[up] {
			if mode&watchRecursive != 0 {
				tell(conn)
			}
		}
	}
	return out
}
