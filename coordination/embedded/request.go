package embedded

import (
	"bytes"
	"encoding/binary"
)

// request is one decoded request. It aliases nothing of the frame.
type request struct {
	xid, op int32
	code    int32 // not codeOK: the body could not be decoded, and this is the answer
	flags   int32 // of create; the type of check- and removeWatches; the mode of addWatch
	version int32
	watch   bool
	path    string // the scheme of an auth packet
	data    []byte // its credentials
	acl     []aclEntry
	ops     []request // of multi and multiRead
	rel     int64
	lists   *watchLists
}

// watchLists are the paths of setWatches and setWatches2.
type watchLists struct{ data, exist, child, persistent, recursive []string }

// decodeRequest reads the frame of a request behind the connect request. ok is false when not even the header is there.
func decodeRequest(frame []byte) (q *request, ok bool) {
	d := decoder{b: frame}
	q = &request{xid: d.i32(), op: d.i32()}
	if d.bad {
		return nil, false
	}
	if !d.body(q) {
		q.code = codeUnimplemented
	} else if d.bad {
		q.code = codeMarshallingError
	}
	return q, true
}

// body reads what follows the header. Bytes behind the record are ignored, as ZooKeeper does. It returns false for an
// unknown type.
func (d *decoder) body(q *request) bool {
	switch q.op {
	case opPing, opCloseSession, opWhoAmI, opSasl:
	case opMulti, opMultiRead:
		d.multi(q)
	case opAuth:
		d.i32()
		q.path, q.data = d.text(), d.data()
	case opSetWatches, opSetWatches2:
		q.rel = d.i64()
		q.lists = &watchLists{data: d.texts(), exist: d.texts(), child: d.texts()}
		if q.op == opSetWatches2 {
			q.lists.persistent, q.lists.recursive = d.texts(), d.texts()
		}
	default:
		return d.single(q)
	}
	return true
}

// single reads the body of an operation on one path.
func (d *decoder) single(q *request) bool {
	switch q.op {
	case opCreate, opCreate2, opCreateContainer, opCreateTTL:
		q.path, q.data, q.acl, q.flags = d.text(), d.data(), d.acl(), d.i32()
		if q.op == opCreateTTL {
			d.i64()
		}
	case opDelete, opCheck:
		q.path, q.version = d.text(), d.i32()
	case opExists, opGetData, opGetChildren, opGetChildren2:
		q.path, q.watch = d.text(), d.bool()
	case opSetData:
		q.path, q.data, q.version = d.text(), d.data(), d.i32()
	case opSetACL:
		q.path, q.acl, q.version = d.text(), d.acl(), d.i32()
	case opGetACL, opSync, opGetEphemerals, opGetAllChildrenNumber:
		q.path = d.text()
	case opCheckWatches, opRemoveWatches, opAddWatch:
		q.path, q.flags = d.text(), d.i32()
	case opReconfig:
	default:
		return false
	}
	return true
}

// data is buffer, copied: the tree keeps it, and the frame is reused.
func (d *decoder) data() []byte { return bytes.Clone(d.buffer()) }

// multi reads sub-requests up to the end header. A type that does not belong makes the request undecodable.
func (d *decoder) multi(q *request) {
	for {
		op, done := d.i32(), d.bool()
		d.i32()
		if d.bad || done {
			return
		}
		sub := request{op: op}
		switch {
		case q.op == opMulti && (op == opCreate || op == opCreate2 || op == opCreateContainer || op == opCreateTTL ||
			op == opDelete || op == opSetData || op == opCheck):
		case q.op == opMultiRead && (op == opGetData || op == opGetChildren):
		default:
			d.bad = true
			return
		}
		d.single(&sub)
		if d.bad {
			return
		}
		q.ops = append(q.ops, sub)
	}
}

// connectRequest is the first frame of a connection. Only in it may the last field be absent.
type connectRequest struct {
	lastZxid    int64
	timeoutMs   int32
	session     int64
	password    []byte
	hasReadOnly bool
}

func decodeConnect(frame []byte) (connectRequest, bool) {
	d := decoder{b: frame}
	d.i32() // protocol version
	q := connectRequest{lastZxid: d.i64(), timeoutMs: d.i32(), session: d.i64(), password: d.data()}
	q.hasReadOnly = len(d.b) > 0
	return q, !d.bad
}

func appendConnectReply(b []byte, timeoutMs int32, session int64, password []byte, readOnly bool) []byte {
	b = appendI32(b, int32(4+4+8+4+len(password)))
	if readOnly {
		binary.BigEndian.PutUint32(b[len(b)-4:], uint32(4+4+8+4+len(password)+1))
	}
	b = appendI32(b, 0)
	b = appendI64(appendI32(b, timeoutMs), session)
	b = appendBuffer(b, password)
	if readOnly {
		b = append(b, 0)
	}
	return b
}
