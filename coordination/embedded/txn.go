package embedded

import (
	"errors"
	"fmt"
	"strings"
)

// Kinds of log records.
const (
	recordCreateSession = 1 // int32 timeout ms; of a known session: its new timeout
	recordCloseSession  = 2 // the session and its ephemeral nodes
	recordOps           = 3 // operations to the end of the payload
)

// Kinds of operations in a record.
const (
	txnCreate  = 1 // path, data, ACL, u8 flags
	txnDelete  = 2 // path
	txnSetData = 3 // path, data
	txnSetACL  = 4 // path, ACL
)

const (
	createEphemeral = 1 // owned by the record's session
	createContainer = 2
)

// txnOp is a resolved operation: final path, expanded ACL, owner. Applying it needs no checks and no clock.
type txnOp struct {
	kind      uint8
	path      string
	data      []byte
	acl       []aclEntry
	owner     int64
	container bool
}

// recordHeader is the fixed part of a payload. The writer fills in durable when it knows the record's place.
type recordHeader struct {
	kind    uint8
	durable uint32
	zxid    int64
	ms      int64 // wall time
	session int64
}

const (
	recordPrefixBytes = 8  // length, CRC
	recordHeaderBytes = 29 // the fixed part of a payload
)

func appendRecordHeader(b []byte, h recordHeader) []byte {
	b = append(b, h.kind)
	b = appendI32(b, int32(h.durable))
	return appendI64(appendI64(appendI64(b, h.zxid), h.ms), h.session)
}

func (d *decoder) recordHeader() recordHeader {
	return recordHeader{d.u8(), uint32(d.i32()), d.i64(), d.i64(), d.i64()}
}

func appendTxnOp(b []byte, op *txnOp) []byte {
	b = append(b, op.kind)
	b = appendText(b, op.path)
	switch op.kind {
	case txnCreate:
		b = appendBuffer(b, op.data)
		b = appendACL(b, op.acl)
		var flags byte
		if op.owner != 0 {
			flags |= createEphemeral
		}
		if op.container {
			flags |= createContainer
		}
		b = append(b, flags)
	case txnSetData:
		b = appendBuffer(b, op.data)
	case txnSetACL:
		b = appendACL(b, op.acl)
	}
	return b
}

func (d *decoder) txnOp(session int64) txnOp {
	op := txnOp{kind: d.u8(), path: d.text()}
	switch op.kind {
	case txnCreate:
		op.data, op.acl = d.data(), d.acl()
		flags := d.u8()
		if flags&createEphemeral != 0 {
			op.owner = session
		}
		op.container = flags&createContainer != 0
	case txnDelete:
	case txnSetData:
		op.data = d.data()
	case txnSetACL:
		op.acl = d.acl()
	default:
		d.bad = true
	}
	return op
}

var errRecord = errors.New("malformed record")

// replay applies one record payload of the log, and keeps nothing of it. An error leaves the machine half changed: it is
// of no use then.
func (m *machine) replay(payload []byte) error {
	d := decoder{b: payload}
	h := d.recordHeader()
	if d.bad {
		return errRecord
	}
	if h.zxid != m.zxid+1 {
		return fmt.Errorf("zxid %#x does not follow %#x", h.zxid, m.zxid)
	}
	switch h.kind {
	case recordCreateSession:
		timeout := d.i32()
		if d.bad || timeout <= 0 {
			return errRecord
		}
		m.putSession(h.session, timeout)
	case recordCloseSession:
		m.dropSession(h.session, h.zxid)
	case recordOps:
		for len(d.b) > 0 {
			op := d.txnOp(h.session)
			if d.bad {
				return errRecord
			}
			if err := m.replayOp(&op, &h); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("unknown record kind %d", h.kind)
	}
	m.zxid = h.zxid
	m.changes = m.changes[:0]
	return nil
}

func (m *machine) replayOp(op *txnOp, h *recordHeader) error {
	if op.kind == txnCreate {
		if !validPath(op.path) || op.path == "/" {
			return fmt.Errorf("create of bad path %q", op.path)
		}
		parentPath, name := splitPath(op.path)
		parent := m.tree.find(parentPath)
		if parent == nil || parent.children[name] != nil {
			return fmt.Errorf("create of %q does not fit the tree", op.path)
		}
		m.tree.create(parent, strings.Clone(name), op, h.zxid, h.ms)
		return nil
	}
	n := m.tree.find(op.path)
	if n == nil || op.kind == txnDelete && (n.parent == nil || len(n.children) > 0) {
		return fmt.Errorf("change of %q does not fit the tree", op.path)
	}
	switch op.kind {
	case txnDelete:
		m.tree.remove(n, h.zxid)
	case txnSetData:
		m.tree.setData(n, op.data, h.zxid, h.ms)
	case txnSetACL:
		m.tree.setACL(n, op.acl)
	}
	return nil
}
