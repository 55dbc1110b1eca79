package cluster

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Write is one entry of ZooKeeper's transaction log: a transaction that took effect, or began or ended a session, or was refused.
type Write struct {
	Session int64
	Zxid    int64
	Refused bool
	Ops     []WriteOp // none if refused, or of the session itself
}

// WriteOp is one operation of a transaction.
type WriteOp struct {
	Name string // create, delete, set, check
	Path string
	Data []byte // of a set or a create
}

// Kinds of entries (ZooKeeper's ZooDefs.OpCode).
const (
	txnCreate        = 1
	txnDelete        = 2
	txnSet           = 5
	txnCheck         = 13
	txnMulti         = 14
	txnCreate2       = 15
	txnContainer     = 19
	txnDelContainer  = 20
	txnCreateTTL     = 21
	txnError         = -1
	txnCreateSession = -10
	txnCloseSession  = -11
)

// Writes reads all that ZooKeeper has written to its transaction log, in order.
func (c *Cluster) Writes() ([]Write, error) {
	files, err := filepath.Glob(filepath.Join(c.ZooKeeper.DataDir(), "version-2", "log.*"))
	if err != nil {
		return nil, err
	}
	var out []Write
	for _, f := range files {
		ws, err := readTxnLog(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		out = append(out, ws...)
	}
	slices.SortFunc(out, func(a, b Write) int {
		switch {
		case a.Zxid < b.Zxid:
			return -1
		case a.Zxid > b.Zxid:
			return 1
		}
		return 0
	})
	return out, nil
}

// readTxnLog reads one file: a header of 16 bytes, then of each transaction a checksum, its length, itself and an end mark. The file is filled up with zeros.
func readTxnLog(path string) ([]Write, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(b) < 16 || string(b[:4]) != "ZKLG" {
		return nil, fmt.Errorf("no transaction log")
	}
	var out []Write
	for b = b[16:]; len(b) >= 12; {
		n := int(binary.BigEndian.Uint32(b[8:]))
		if n == 0 || len(b) < 12+n+1 || b[12+n] != 'B' {
			break // the end, or what is being written
		}
		w, err := readTxn(&jute{b: b[12 : 12+n]})
		if err != nil {
			return nil, err
		}
		out = append(out, w)
		b = b[12+n+1:]
	}
	return out, nil
}

func readTxn(j *jute) (Write, error) {
	w := Write{Session: j.long()}
	j.int() // cxid
	w.Zxid = j.long()
	j.long() // time
	kind := j.int()
	switch kind {
	case txnError:
		w.Refused = true
	case txnCreateSession, txnCloseSession:
	case txnMulti:
		for range j.int() {
			sub := j.int()
			op, err := readOp(sub, &jute{b: j.buffer()})
			if err != nil {
				return w, err
			}
			if sub == txnError { // the whole multi was refused; its parts say why
				w.Refused, w.Ops = true, nil
				return w, j.err
			}
			w.Ops = append(w.Ops, op)
		}
	default:
		op, err := readOp(kind, j)
		if err != nil {
			return w, err
		}
		w.Ops = append(w.Ops, op)
	}
	return w, j.err
}

func readOp(kind int32, j *jute) (WriteOp, error) {
	var op WriteOp
	switch kind {
	case txnError:
	case txnCreate, txnCreate2, txnContainer, txnCreateTTL:
		op = WriteOp{"create", j.string(), j.buffer()}
	case txnDelete, txnDelContainer:
		op = WriteOp{"delete", j.string(), nil}
	case txnSet:
		op = WriteOp{"set", j.string(), j.buffer()}
	case txnCheck:
		op = WriteOp{"check", j.string(), nil}
	default:
		return op, fmt.Errorf("transaction of unknown kind %d", kind)
	}
	return op, j.err
}

// jute reads ZooKeeper's encoding.
type jute struct {
	b   []byte
	err error
}

func (j *jute) take(n int) []byte {
	if n < 0 || len(j.b) < n {
		j.err, j.b = fmt.Errorf("an entry is too short"), nil
		return make([]byte, max(n, 8))
	}
	out := j.b[:n]
	j.b = j.b[n:]
	return out
}

func (j *jute) int() int32  { return int32(binary.BigEndian.Uint32(j.take(4))) }
func (j *jute) long() int64 { return int64(binary.BigEndian.Uint64(j.take(8))) }
func (j *jute) buffer() []byte {
	if n := j.int(); n > 0 {
		return j.take(int(n))
	}
	return nil
}
func (j *jute) string() string { return string(j.buffer()) }

// String shows the entry in a line.
func (w Write) String() string {
	var ops []string
	for _, op := range w.Ops {
		ops = append(ops, op.Name+" "+op.Path)
	}
	return fmt.Sprintf("zxid 0x%x, session 0x%x, refused %v: %s", w.Zxid, w.Session, w.Refused, strings.Join(ops, ", "))
}

// AfterSuccession lists what a session wrote after it had lost the office of the controller to another: nothing may stand there. It is an error if the session
// was never controller, or still is.
func AfterSuccession(writes []Write, session int64) (late []Write, err error) {
	held, over := false, false
	for _, w := range writes {
		elected := slices.ContainsFunc(w.Ops, func(op WriteOp) bool { return op.Name == "create" && op.Path == "/controller" })
		switch {
		case elected && w.Session == session:
			held, over = true, false
		case elected && held:
			over = true
		case over && w.Session == session && len(w.Ops) > 0:
			late = append(late, w)
		}
	}
	if !held || !over {
		return nil, fmt.Errorf("session 0x%x was controller: %v, and has a successor: %v", session, held, over)
	}
	return late, nil
}
