package embedded

import "encoding/binary"

// appendReply appends the frame that answers a request. A body follows the header only if the code is OK.
func appendReply(b []byte, xid int32, zxid int64, r *result) []byte {
	start := len(b)
	b = appendI32(b, 0)
	b = appendI32(appendI64(appendI32(b, xid), zxid), r.code)
	if r.code == codeOK {
		if r.op == opMulti || r.op == opMultiRead {
			b = appendMulti(b, r.multi)
		} else {
			b = appendBody(b, r)
		}
	}
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

func appendBody(b []byte, r *result) []byte {
	switch r.op {
	case opCreate, opSync:
		b = appendText(b, r.path)
	case opCreate2, opCreateContainer:
		b = appendStat(appendText(b, r.path), &r.stat)
	case opExists, opSetData, opSetACL, opCheck:
		b = appendStat(b, &r.stat)
	case opGetData:
		b = appendStat(appendBuffer(b, r.data), &r.stat)
	case opGetACL:
		b = appendStat(appendACL(b, r.acl), &r.stat)
	case opGetChildren, opGetEphemerals:
		b = appendTexts(b, r.names)
	case opGetChildren2:
		b = appendStat(appendTexts(b, r.names), &r.stat)
	case opGetAllChildrenNumber:
		b = appendI32(b, r.n)
	case opAddWatch:
		b = appendI32(b, 0)
	case opWhoAmI:
		b = appendI32(b, int32(len(r.ids)))
		for _, id := range r.ids {
			b = appendText(appendText(b, id.scheme), userOf(id))
		}
	}
	return b
}

// appendMulti writes the results with a header each. Creates with a Stat come back as create2, whatever they were.
func appendMulti(b []byte, results []result) []byte {
	for i := range results {
		r := &results[i]
		op := r.op
		if op == opCreateContainer {
			op = opCreate2
		}
		b = appendI32(appendBool(appendI32(b, op), false), r.code)
		switch op {
		case opError:
			b = appendI32(b, r.code)
		case opCheck, opDelete:
		default:
			b = appendBody(b, r)
		}
	}
	return appendI32(appendBool(appendI32(b, opError), true), -1)
}

func appendEvent(b []byte, kind int32, path string) []byte {
	b = appendI32(b, int32(4+8+4+4+4+4+len(path)))
	b = appendI32(appendI64(appendI32(b, xidEvent), -1), codeOK)
	return appendText(appendI32(appendI32(b, kind), stateSyncConnected), path)
}
