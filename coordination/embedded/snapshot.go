package embedded

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"

	"gokafka/internal/vfs"
)

const (
	snapshotNodeBytes = 4 + 4 + 4 + 4 + 8 + 4*3 + 1 + 8*5 // a node without name and data
	nodeChunk         = 128                               // nodes allocated at once when loading
)

// encodeSnapshot gives the content of a snapshot file: everything but the watches.
func (m *machine) encodeSnapshot(id databaseID) []byte {
	h := fileHeader{kind: kindSnapshot, id: id, zxid: m.zxid}
	b := make([]byte, 0, fileHeaderBytes+64+len(m.sessions)*12+m.tree.nodes*snapshotNodeBytes+int(m.tree.dataBytes))
	b = h.append(b)
	b = appendI64(b, m.nextSession)
	b = appendI32(b, int32(len(m.sessions)))
	for session, timeout := range m.sessions {
		b = appendI32(appendI64(b, session), timeout)
	}
	index := make(map[*acl]int32, len(m.tree.acls))
	b = appendI32(b, int32(len(m.tree.acls)))
	for _, a := range m.tree.acls {
		index[a] = int32(len(index) + 1)
		b = appendACL(b, a.entries)
	}
	b = appendI32(b, int32(m.tree.nodes))
	for todo := []*znode{m.tree.root}; len(todo) > 0; {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		b = appendNode(b, n, index[n.acl])
		for _, c := range n.children {
			todo = append(todo, c)
		}
	}
	return appendI32(b, int32(snapshotCRC(h, b)))
}

// snapshotCRC is that of the content up to its CRC.
func snapshotCRC(h fileHeader, content []byte) uint32 {
	return crc32.Update(h.seed(), castagnoli(), content[fileHeaderBytes:])
}

func appendNode(b []byte, n *znode, aclIndex int32) []byte {
	b = appendBuffer(appendText(b, n.name), n.data)
	b = appendI32(appendI32(b, aclIndex), int32(len(n.children)))
	b = appendI64(b, n.owner)
	b = appendI32(appendI32(appendI32(b, n.created), n.version), n.aversion)
	b = appendBool(b, n.container)
	b = appendI64(appendI64(appendI64(b, n.czxid), n.mzxid), n.pzxid)
	return appendI64(appendI64(b, n.ctime), n.mtime)
}

var errSnapshot = errors.New("bad snapshot")

// decodeSnapshot makes the machine of a snapshot file. It keeps nothing of content.
func decodeSnapshot(content []byte) (*machine, fileHeader, error) {
	h, err := parseFileHeader(content, kindSnapshot)
	if err != nil {
		return nil, h, err
	}
	body := content[fileHeaderBytes:]
	if len(body) < 4 {
		return nil, h, fmt.Errorf("%w: %d bytes", errSnapshot, len(content))
	}
	crc := (&decoder{b: body[len(body)-4:]}).i32()
	body = body[:len(body)-4]
	if uint32(crc) != snapshotCRC(h, content[:len(content)-4]) {
		return nil, h, fmt.Errorf("%w: CRC does not match", errSnapshot)
	}
	d := decoder{b: body}
	m := &machine{tree: emptyTree(), watches: newWatches(), zxid: h.zxid, nextSession: d.i64()}
	n := d.count(12)
	m.sessions = make(map[int64]int32, n)
	for i := 0; i < n; i++ {
		id, timeout := d.i64(), d.i32()
		m.sessions[id] = timeout
	}
	acls := make([]*acl, 0, 8)
	for i := d.count(4); i > 0 && !d.bad; i-- {
		acls = append(acls, m.tree.intern(d.acl()))
	}
	if err := d.nodes(m.tree, acls); err != nil {
		return nil, h, err
	}
	for _, a := range acls {
		m.tree.release(a)
	}
	return m, h, nil
}

// nodes reads the tree, in preorder.
func (d *decoder) nodes(t *tree, acls []*acl) error {
	count := d.count(snapshotNodeBytes)
	type open struct {
		n    *znode
		left int32
	}
	var path []open
	var chunk []znode
	for i := 0; i < count; i++ {
		if len(chunk) == 0 {
			chunk = make([]znode, min(nodeChunk, count-i))
		}
		n := &chunk[0]
		chunk = chunk[1:]
		if i == 0 {
			t.root = n
		}
		n.name, n.data = string(d.buffer()), d.data()
		aclIndex, children := d.i32(), d.i32()
		n.owner = d.i64()
		n.created, n.version, n.aversion, n.container = d.i32(), d.i32(), d.i32(), d.bool()
		n.czxid, n.mzxid, n.pzxid = d.i64(), d.i64(), d.i64()
		n.ctime, n.mtime = d.i64(), d.i64()
		if d.bad || children < 0 || int(children) > count || aclIndex < 0 || int(aclIndex) > len(acls) {
			return fmt.Errorf("%w: malformed node %d", errSnapshot, i)
		}
		if aclIndex > 0 {
			n.acl = acls[aclIndex-1]
			n.acl.refs++
		}
		if children > 0 {
			n.children = make(map[string]*znode, children)
		}
		for len(path) > 0 && path[len(path)-1].left == 0 {
			path = path[:len(path)-1]
		}
		if i > 0 {
			if len(path) == 0 {
				return fmt.Errorf("%w: node %d has no parent", errSnapshot, i)
			}
			up := &path[len(path)-1]
			up.left--
			if n.name == "" || strings.Contains(n.name, "/") || up.n.children[n.name] != nil {
				return fmt.Errorf("%w: node %d is called %q", errSnapshot, i, n.name)
			}
			t.link(up.n, n)
		} else if n.owner != 0 || n.container || n.name != "" {
			return fmt.Errorf("%w: malformed root", errSnapshot)
		} else {
			t.dataBytes += int64(len(n.data))
		}
		path = append(path, open{n, children})
	}
	for _, p := range path {
		if p.left != 0 {
			return fmt.Errorf("%w: nodes are missing", errSnapshot)
		}
	}
	if count == 0 || len(d.b) != 0 || d.bad {
		return fmt.Errorf("%w: malformed", errSnapshot)
	}
	return nil
}

// writeSnapshot makes a snapshot durable under its name. Its transactions must be durable in the log before.
func writeSnapshot(fs vfs.FS, dir string, zxid int64, content []byte) error {
	name := filepath.Join(dir, snapshotName(zxid))
	tmp := name + tmpSuffix
	err := writeSynced(fs, tmp, content)
	if err == nil {
		if err = fs.Rename(tmp, name); err == nil {
			err = fs.SyncDir(dir)
		}
	}
	if err != nil {
		return fmt.Errorf("write coordination snapshot %s: %w", name, errors.Join(err, ignoreMissing(fs.Remove(tmp))))
	}
	return nil
}

func writeSynced(fs vfs.FS, name string, content []byte) error {
	f, err := fs.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
