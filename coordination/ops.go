package coordination

import (
	"fmt"

	"github.com/go-zookeeper/zk"
)

// Stat is a znode's stat: Czxid, Version, Ctime (ms), EphemeralOwner, ...
type Stat = zk.Stat

// AnyVersion in a conditional write matches every version.
const AnyVersion int32 = -1

// Mode is the kind of node that a create makes.
type Mode int32

// The modes that Kafka uses.
const (
	Persistent           Mode = 0
	Ephemeral            Mode = zk.FlagEphemeral
	PersistentSequential Mode = zk.FlagSequence
)

type opKind uint8

const (
	opCreate opKind = iota
	opSet
	opDelete
	opCheck
)

// Op is one operation of a multi. Paths are relative to the chroot.
type Op struct {
	kind    opKind
	path    string
	data    []byte
	version int32
	mode    Mode
}

// CreateOp creates a znode, open to everybody (world:anyone). data nil is ZooKeeper's null.
func CreateOp(path string, data []byte, mode Mode) Op {
	return Op{kind: opCreate, path: path, data: data, mode: mode}
}

// SetOp replaces the data if version matches.
func SetOp(path string, data []byte, version int32) Op {
	return Op{kind: opSet, path: path, data: data, version: version}
}

// DeleteOp deletes a znode without children if version matches.
func DeleteOp(path string, version int32) Op { return Op{kind: opDelete, path: path, version: version} }

// CheckOp fails the multi unless the znode has the version.
func CheckOp(path string, version int32) Op { return Op{kind: opCheck, path: path, version: version} }

// Path is the znode that the operation is about.
func (o Op) Path() string { return o.path }

// Data is what a create or set writes.
func (o Op) Data() []byte { return o.data }

// Version is the expected version; meaningless for a create.
func (o Op) Version() int32 { return o.version }

// IsCreate, IsSet and IsDelete tell operations apart.
func (o Op) IsCreate() bool { return o.kind == opCreate }

// IsSet says whether the operation is a SetOp.
func (o Op) IsSet() bool { return o.kind == opSet }

// IsDelete says whether the operation is a DeleteOp.
func (o Op) IsDelete() bool { return o.kind == opDelete }

func (k opKind) String() string { return [...]string{"create", "set", "delete", "check"}[k] }

func (o Op) String() string { return o.kind.String() + " " + o.path }

// OpResult is the outcome of one operation of a multi that succeeded.
type OpResult struct {
	Path string // of a create: the name that a sequential node got
	Stat *Stat  // of a set; nil elsewhere, a create tells no stat
}

// request is the library's form of the operation.
func (o Op) request(chroot string) any {
	path := joinChroot(chroot, o.path)
	switch o.kind {
	case opCreate:
		return &zk.CreateRequest{Path: path, Data: o.data, Acl: zk.WorldACL(zk.PermAll), Flags: int32(o.mode)}
	case opSet:
		return &zk.SetDataRequest{Path: path, Data: o.data, Version: o.version}
	case opDelete:
		return &zk.DeleteRequest{Path: path, Version: o.version}
	default:
		return &zk.CheckVersionRequest{Path: path, Version: o.version}
	}
}

// Encoded sizes, in bytes. A request is xid and opcode and then its body; each operation of a multi has a header of
// its own (type, done, error), as has the end of the list.
const (
	requestHeaderBytes = 8
	multiHeaderBytes   = 9
	worldACLBytes      = 4 + 4 + (4 + len("world")) + (4 + len("anyone"))
)

func (o Op) bodyBytes(chroot string) int {
	n := 4 + len(chroot) + len(o.path)
	switch o.kind {
	case opCreate:
		return n + 4 + len(o.data) + worldACLBytes + 4
	case opSet:
		return n + 4 + len(o.data) + 4
	default:
		return n + 4
	}
}

// checkSize refuses what the server would refuse by hanging up, upon which the request would be sent again, for ever.
func (g *Generation) checkSize(bodyBytes int) error {
	if n, limit := requestHeaderBytes+bodyBytes, g.s.opts.MaxRequestBytes; n > limit {
		return fmt.Errorf("%w: %d bytes, limit %d", ErrTooLarge, n, limit)
	}
	return nil
}

func joinChroot(chroot, path string) string {
	if path == "/" && chroot != "" {
		return chroot
	}
	return chroot + path
}
