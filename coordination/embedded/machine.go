package embedded

import (
	"maps"
	"slices"
)

// machine is the state of the server without I/O, clock or goroutines: apply(command, wall time) gives a result, events
// and a log record. Applying the records of the log to an empty machine (replay) gives the same state, watches aside.
type machine struct {
	tree        *tree
	sessions    map[int64]int32 // id -> timeout ms, as logged
	nextSession int64           // above every id ever given
	zxid        int64           // of the last transaction applied
	watches     *watches

	// Scratch of the current apply. Valid until the next one.
	record  []byte // payload of the log record
	undo    []undo
	changes []change
	events  []event
}

// change is what watchers may have to be told, in the order it happened.
type change struct {
	kind           int32
	path           string
	acl, parentACL *acl
}

// command is one request of a connection with an established session.
type command struct {
	req     *request
	conn    uint64
	session int64
	ids     []authID
}

// result is what a request is answered with. Which fields count depends on op.
type result struct {
	op    int32 // the request's type: how the body is laid out
	code  int32
	path  string
	data  []byte
	stat  stat
	names []string
	acl   []aclEntry
	n     int32
	multi []result
	ids   []authID
}

// outcome is all that follows from one command. It is valid until the next apply.
type outcome struct {
	result result
	events []event
	record []byte // payload for the log; nil when nothing was changed
}

func newMachine() *machine {
	return &machine{tree: newTree(), sessions: make(map[int64]int32), watches: newWatches()}
}

// apply runs one request at wall time ms. Requests without a place in the tree (connect, ping, auth, close) are the
// loop's business.
func (m *machine) apply(c *command, ms int64) outcome {
	m.begin(recordOps, c.session, ms)
	var r result
	switch c.req.op {
	case opCreate, opCreate2, opCreateContainer, opCreateTTL, opDelete, opSetData, opSetACL:
		r = m.write(c, c.req, ms)
	case opMulti:
		r = m.multi(c, ms)
	case opMultiRead:
		r = m.multiRead(c)
	case opAddWatch, opCheckWatches, opRemoveWatches, opSetWatches, opSetWatches2:
		r = m.watch(c)
	default:
		r = m.read(c, c.req)
	}
	r.op = c.req.op
	return m.end(r)
}

// begin resets the scratch and starts the record of the next transaction.
func (m *machine) begin(kind uint8, session, ms int64) {
	m.undo, m.changes, m.events = m.undo[:0], m.changes[:0], m.events[:0]
	m.record = appendRecordHeader(m.record[:0], recordHeader{kind: kind, zxid: m.zxid + 1, ms: ms, session: session})
}

// end takes the zxid if anything was changed, and turns the changes into events.
func (m *machine) end(r result) outcome {
	if len(m.record) == recordHeaderBytes {
		return outcome{result: r, events: m.events}
	}
	m.zxid++
	for i := range m.changes {
		m.events = m.watches.fire(m.events, &m.changes[i])
	}
	return outcome{result: r, events: m.events, record: m.record}
}

// createSession starts session id, which must be m.nextSession or above, or changes the timeout of a known one.
func (m *machine) createSession(id int64, timeoutMs int32, ms int64) outcome {
	m.begin(recordCreateSession, id, ms)
	m.record = appendI32(m.record, timeoutMs)
	m.putSession(id, timeoutMs)
	return m.end(result{})
}

func (m *machine) putSession(id int64, timeoutMs int32) {
	m.sessions[id] = timeoutMs
	m.nextSession = max(m.nextSession, id+1)
}

// closeSession ends a session, by its client's wish or by expiry, and deletes its ephemeral nodes: one transaction.
func (m *machine) closeSession(id, ms int64) outcome {
	m.begin(recordCloseSession, id, ms)
	m.dropSession(id, m.zxid+1)
	m.zxid++
	for i := range m.changes {
		m.events = m.watches.fire(m.events, &m.changes[i])
	}
	return outcome{events: m.events, record: m.record}
}

func (m *machine) dropSession(id, zxid int64) {
	delete(m.sessions, id)
	nodes := make(map[string]*znode, len(m.tree.ephemerals[id]))
	for n := range m.tree.ephemerals[id] {
		nodes[n.path()] = n
	}
	for _, path := range slices.Sorted(maps.Keys(nodes)) {
		n := nodes[path]
		m.tree.remove(n, zxid)
		m.changes = append(m.changes, change{eventDeleted, path, n.acl, n.parent.acl})
	}
}

// orphans are the owners of ephemeral nodes that are not sessions, in order.
func (m *machine) orphans() []int64 {
	var out []int64
	for owner := range m.tree.ephemerals {
		if _, ok := m.sessions[owner]; !ok {
			out = append(out, owner)
		}
	}
	slices.Sort(out)
	return out
}

// reap deletes a container node, if it is still empty.
func (m *machine) reap(path string, ms int64) outcome {
	m.begin(recordOps, 0, ms)
	if n := m.tree.find(path); n != nil && n.container && len(n.children) == 0 {
		m.commit(&txnOp{kind: txnDelete, path: path}, n, ms)
	}
	return m.end(result{})
}

// emptyContainers are the containers that had children and have none now, sorted.
func (m *machine) emptyContainers() []string {
	var out []string
	for n := range m.tree.containers {
		if n.created > 0 && len(n.children) == 0 {
			out = append(out, n.path())
		}
	}
	slices.Sort(out)
	return out
}
