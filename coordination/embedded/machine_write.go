package embedded

import (
	"fmt"
	"strings"
)

// undo reverses one operation of a multi that fails later.
type undo struct {
	kind        uint8
	node        *znode
	parentPzxid int64
	created     int32 // of the parent
	data        []byte
	acl         *acl
	mzxid       int64
	mtime       int64
}

// write checks and applies one changing operation. The order of the checks is ZooKeeper 3.8's
// (PrepRequestProcessor.pRequest2Txn): the first that fails decides the code.
func (m *machine) write(c *command, q *request, ms int64) result {
	r := result{op: q.op}
	switch q.op {
	case opCreate, opCreate2, opCreateContainer, opCreateTTL:
		r = m.create(c, q, ms)
	case opDelete:
		r.code = m.delete(c, q, ms)
	case opSetData:
		r = m.setData(c, q, ms)
	case opSetACL:
		r = m.setACL(c, q, ms)
	case opCheck:
		r = m.check(c, q)
	default:
		r.code = codeMarshallingError
	}
	r.op = q.op
	return r
}

func (m *machine) create(c *command, q *request, ms int64) result {
	switch {
	case q.flags < 0 || q.flags > flagTTLSequential:
		return result{code: codeBadArguments}
	case q.op == opCreateTTL || q.flags == flagTTL || q.flags == flagTTLSequential:
		return result{code: codeUnimplemented} // extended types are off, as in a default 3.8
	case strings.IndexByte(q.path, '/') < 0 || strings.IndexByte(q.path, 0) >= 0:
		return result{code: codeBadArguments}
	}
	entries, ok := fixACL(q.acl, c.ids)
	if !ok {
		return result{code: codeInvalidACL}
	}
	parentPath, name := splitPath(q.path)
	parent := m.tree.find(parentPath)
	if parent == nil {
		return result{code: codeNoNode}
	}
	if !allowed(parent.acl, permCreate, c.ids) {
		return result{code: codeNoAuth}
	}
	op := txnOp{kind: txnCreate, path: q.path, data: q.data, acl: entries, container: q.op == opCreateContainer}
	if q.flags == flagSequential || q.flags == flagSequential|flagEphemeral {
		op.path = fmt.Sprintf("%s%010d", q.path, parent.created)
		name = op.path[len(op.path)-len(name)-10:]
	}
	if q.flags == flagEphemeral || q.flags == flagSequential|flagEphemeral {
		op.owner = c.session
	}
	switch {
	case !validPath(op.path):
		return result{code: codeBadArguments}
	case op.path == "/" || parent.children[name] != nil:
		return result{code: codeNodeExists}
	case parent.owner != 0:
		return result{code: codeNoChildrenForEphemerals}
	}
	n, code := m.commitCreate(&op, parent, strings.Clone(name), ms)
	if code != codeOK {
		return result{code: code}
	}
	return result{path: op.path, stat: n.stat()}
}

func (m *machine) delete(c *command, q *request, ms int64) int32 {
	if strings.IndexByte(q.path, '/') < 0 || strings.IndexByte(q.path, 0) >= 0 || specialPath(q.path) {
		return codeBadArguments
	}
	parentPath, name := splitPath(q.path)
	parent := m.tree.find(parentPath)
	if parent == nil {
		return codeNoNode
	}
	if !allowed(parent.acl, permDelete, c.ids) {
		return codeNoAuth
	}
	n := parent.children[name]
	switch {
	case n == nil:
		return codeNoNode
	case q.version != -1 && q.version != n.version:
		return codeBadVersion
	case len(n.children) > 0:
		return codeNotEmpty
	}
	return m.commit(&txnOp{kind: txnDelete, path: q.path}, n, ms)
}

// existing finds a node for setData, setACL and check.
func (m *machine) existing(c *command, q *request, perm int32) (*znode, int32) {
	n := m.tree.find(q.path)
	if n == nil {
		return nil, codeNoNode
	}
	if !allowed(n.acl, perm, c.ids) {
		return nil, codeNoAuth
	}
	return n, codeOK
}

func (m *machine) setData(c *command, q *request, ms int64) result {
	if !validPath(q.path) {
		return result{code: codeBadArguments}
	}
	n, code := m.existing(c, q, permWrite)
	if code != codeOK {
		return result{code: code}
	}
	if q.version != -1 && q.version != n.version {
		return result{code: codeBadVersion}
	}
	if code = m.commit(&txnOp{kind: txnSetData, path: q.path, data: q.data}, n, ms); code != codeOK {
		return result{code: code}
	}
	return result{stat: n.stat()}
}

func (m *machine) setACL(c *command, q *request, ms int64) result {
	if !validPath(q.path) {
		return result{code: codeBadArguments}
	}
	entries, ok := fixACL(q.acl, c.ids)
	if !ok {
		return result{code: codeInvalidACL}
	}
	n, code := m.existing(c, q, permAdmin)
	if code != codeOK {
		return result{code: code}
	}
	if q.version != -1 && q.version != n.aversion {
		return result{code: codeBadVersion}
	}
	if code = m.commit(&txnOp{kind: txnSetACL, path: q.path, acl: entries}, n, ms); code != codeOK {
		return result{code: code}
	}
	return result{stat: n.stat()}
}

// check compares a version. At top level it is answered with the Stat; the real server cannot answer there at all.
func (m *machine) check(c *command, q *request) result {
	if !validPath(q.path) {
		return result{code: codeBadArguments}
	}
	n, code := m.existing(c, q, permRead)
	if code != codeOK {
		return result{code: code}
	}
	if q.version != -1 && q.version != n.version {
		return result{code: codeBadVersion}
	}
	return result{stat: n.stat()}
}

// log appends op to the record of this transaction, unless that would be larger than a record may be.
func (m *machine) log(op *txnOp) bool {
	size := len(m.record)
	if m.record = appendTxnOp(m.record, op); len(m.record) > maxRecordBytes {
		m.record = m.record[:size]
		return false
	}
	return true
}

func (m *machine) commitCreate(op *txnOp, parent *znode, name string, ms int64) (*znode, int32) {
	if !m.log(op) {
		return nil, codeMarshallingError
	}
	m.undo = append(m.undo, undo{kind: txnCreate, parentPzxid: parent.pzxid, created: parent.created})
	n := m.tree.create(parent, name, op, m.zxid+1, ms)
	m.undo[len(m.undo)-1].node = n
	m.changes = append(m.changes, change{eventCreated, op.path, n.acl, parent.acl})
	return n, codeOK
}

// commit logs and applies a checked change of an existing node.
func (m *machine) commit(op *txnOp, n *znode, ms int64) int32 {
	if !m.log(op) {
		return codeMarshallingError
	}
	u := undo{kind: op.kind, node: n, data: n.data, acl: n.acl, mzxid: n.mzxid, mtime: n.mtime}
	switch op.kind {
	case txnDelete:
		u.parentPzxid = n.parent.pzxid
		m.tree.remove(n, m.zxid+1)
		m.changes = append(m.changes, change{eventDeleted, op.path, n.acl, n.parent.acl})
	case txnSetData:
		m.tree.setData(n, op.data, m.zxid+1, ms)
		m.changes = append(m.changes, change{eventDataChanged, op.path, n.acl, nil})
	case txnSetACL:
		m.tree.setACL(n, op.acl)
	}
	m.undo = append(m.undo, u)
	return codeOK
}

// rollback takes back all operations of this transaction, last first, and its record.
func (m *machine) rollback() {
	t := m.tree
	for i := len(m.undo) - 1; i >= 0; i-- {
		u := &m.undo[i]
		n := u.node
		switch u.kind {
		case txnCreate:
			t.unlink(n)
			t.release(n.acl)
			n.parent.pzxid, n.parent.created = u.parentPzxid, u.created
		case txnDelete:
			t.link(n.parent, n)
			t.retain(n.acl)
			n.parent.pzxid = u.parentPzxid
		case txnSetData:
			t.dataBytes += int64(len(u.data) - len(n.data))
			n.data, n.mzxid, n.mtime = u.data, u.mzxid, u.mtime
			n.version--
		case txnSetACL:
			t.release(n.acl)
			t.retain(u.acl)
			n.acl = u.acl
			n.aversion--
		}
	}
	m.undo, m.changes, m.record = m.undo[:0], m.changes[:0], m.record[:recordHeaderBytes]
}

// multi applies all operations or none. Each sees the effects of those before it. A failure is not an error of the
// reply: it stands in the results, 0 before the failed operation and RuntimeInconsistency behind it.
func (m *machine) multi(c *command, ms int64) result {
	ops := c.req.ops
	results := make([]result, len(ops))
	for i := range ops {
		results[i] = m.write(c, &ops[i], ms)
		if results[i].code == codeOK {
			continue
		}
		m.rollback()
		for j := range results {
			failed := result{op: opError}
			if j == i {
				failed.code = results[i].code
			} else if j > i {
				failed.code = codeRuntimeInconsistency
			}
			results[j] = failed
		}
		break
	}
	return result{multi: results}
}
