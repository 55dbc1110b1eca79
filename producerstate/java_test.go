package producerstate

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gokafka/record"

	"github.com/twmb/franz-go/pkg/kerr"
)

var update = flag.Bool("update", false, "write testdata/ops.txt.gz anew; then run testdata/java/Producers.java")

const opsFile, javaFile = "testdata/ops.txt.gz", "testdata/java.txt.gz"

// generate makes operations, most of which make sense.
func generate(r *rand.Rand, rounds int) []string {
	var ops []string
	add := func(f string, args ...any) { ops = append(ops, fmt.Sprintf(f, args...)) }
	for range rounds {
		add("new %v", r.Intn(3) == 0)
		next, epochs, end := map[int64]int32{}, map[int64]int16{}, int64(0)
		batch := func() string {
			pid := int64(1 + r.Intn(4))
			if r.Intn(12) == 0 {
				epochs[pid] += int16(r.Intn(3)) - 1
				next[pid] = 0
			}
			epoch := max(epochs[pid], 0)
			end += 2
			if r.Intn(4) == 0 {
				return fmt.Sprintf("m:%d:%d:%d:%d", pid, epoch, r.Intn(3), r.Intn(2))
			}
			n := int32(1 + r.Intn(3))
			if _, ok := next[pid]; !ok && r.Intn(3) == 0 {
				next[pid] = 1<<31 - 1 - int32(r.Intn(5))
			}
			seq := next[pid]
			if r.Intn(8) == 0 { // a gap, or an old one again
				seq = max(0, seq+int32(r.Intn(9))-6)
			} else {
				next[pid] = record.IncrementSequence(seq, n)
			}
			return fmt.Sprintf("d:%d:%d:%d:%d:%d:%d", pid, epoch, seq, n, r.Intn(2), testNow-int64(r.Intn(3))*40_000_000)
		}
		for range 40 {
			switch r.Intn(12) {
			case 0:
				add("hw %d", r.Intn(int(end)+1))
			case 1:
				add("expire %d", testNow+int64(r.Intn(90_000_000)))
			case 2:
				add("reload %d", testNow+int64(r.Intn(90_000_000)))
			case 3:
				add("verify %d %d %d", 1+r.Intn(4), r.Intn(6), r.Intn(2))
			case 4:
				add("start %d", r.Intn(int(end)+1))
			case 5:
				b := []string{batch()}
				for range r.Intn(12) {
					b = append(b, batch())
				}
				add("append replication false %s", strings.Join(b, " "))
			default:
				add("append %s %v %s", []string{"client", "client", "coordinator"}[r.Intn(3)], r.Intn(4) > 0, batch())
			}
		}
	}
	return ops
}

// player runs operations on a Manager, as Producers.java does on Kafka's.
type player struct {
	m        *Manager
	opts     Options
	end      int64
	snapshot []byte // the newest, or nil
	at       int64  // its offset
}

func (p *player) run(t *testing.T, line string) string {
	f := strings.Fields(line)
	num := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		return n
	}
	switch f[0] {
	case "new":
		p.opts = testOptions()
		p.opts.VerificationEnabled = f[1] == "true"
		*p = player{m: New("t-0", p.opts), opts: p.opts, at: none}
	case "append":
		return p.append(f[1], f[2] == "true", f[3:], num)
	case "verify":
		if p.m.StartVerification(num(f[1]), int32(num(f[2])), int16(num(f[3])), testNow*10) == 0 {
			return "none"
		}
		return "guard"
	case "hw":
		p.m.OnHighWatermarkUpdated(num(f[1]))
	case "start":
		p.m.OnLogStartOffsetIncremented(min(p.end, num(f[1])), p.at)
	case "expire":
		p.m.RemoveExpired(num(f[1]))
	case "reload":
		p.reload(t, num(f[1]))
	}
	return "ok"
}

// reload is a restart with the newest snapshot and no log behind it.
func (p *player) reload(t *testing.T, nowMs int64) {
	if p.m.SnapshotNeeded() {
		p.snapshot, p.at = p.m.EncodeSnapshot(), p.m.MapEndOffset()
		p.m.SnapshotTaken()
	}
	p.m = New("t-0", p.opts)
	if !p.m.Truncate(0, p.end, p.at) {
		return
	}
	if p.snapshot == nil {
		p.m.StartAt(0)
		return
	}
	entries, err := DecodeSnapshot(p.snapshot)
	if err != nil {
		t.Fatal(err)
	}
	p.m.Load(entries, p.at, nowMs)
}

func (p *player) append(origin string, guarded bool, batches []string, num func(string) int64) string {
	o := map[string]record.Origin{"client": record.Client, "coordinator": record.Coordinator, "replication": record.Replication}[origin]
	var guard Guard
	offset := p.end
	var a *Append
	for _, s := range batches {
		f := strings.Split(s, ":")
		var b record.Batch
		pid := num(f[1])
		if f[0] == "m" {
			b = marker{pid: pid, epoch: int16(num(f[2])), coordinator: int32(num(f[3])), commit: f[4] == "1", offset: offset}.batch()
		} else {
			b = data{pid: pid, epoch: int16(num(f[2])), seq: int32(num(f[3])), n: int32(num(f[4])), txn: f[5] == "1", ts: num(f[6]), offset: offset}.batch()
		}
		if guarded {
			guard = p.m.VerificationGuard(pid)
		}
		if a == nil {
			a = p.m.Prepare(o, guard, false)
		}
		v, err := a.Check(b)
		var ke *kerr.Error
		switch {
		case errors.As(err, &ke):
			return fmt.Sprint("err ", ke.Code)
		case err != nil:
			return err.Error()
		case v.Duplicate:
			return fmt.Sprint("dup ", v.FirstOffset, " ", v.LastOffset, " ", v.TimestampMs)
		}
		offset = b.NextOffset()
	}
	a.Update()
	out := "ok"
	for _, d := range a.Completed() {
		out += fmt.Sprintf(" %d:%d:%d:%v:%d", d.ProducerID, d.FirstOffset, d.LastOffset, d.Aborted, p.m.LastStableOffset(d))
		if err := p.m.CompleteTxn(d); err != nil {
			return err.Error()
		}
	}
	p.end = offset
	p.m.UpdateMapEndOffset(p.end)
	return out
}

func (p *player) dump() string {
	var s strings.Builder
	for _, e := range p.m.ActiveProducers() {
		fmt.Fprintf(&s, " %d,%d,%d,%d,%d,%d,%d,%d", e.ProducerID, e.ProducerEpoch, e.LastSequence, e.LastOffset, e.OffsetDelta, e.TimestampMs,
			e.CoordinatorEpoch, e.CurrentTxnFirstOffset)
	}
	offset := func(o int64, ok bool) int64 {
		if !ok {
			return none
		}
		return o
	}
	fmt.Fprintf(&s, " unstable=%d undecided=%d end=%d late=%v", offset(p.m.FirstUnstableOffset()), offset(p.m.FirstUndecidedOffset()),
		p.m.MapEndOffset(), p.m.HasLateTransaction(testNow+1_300_000))
	return s.String()
}

// What Kafka's own classes make of thousands of operations, we make too.
func TestAgainstJava(t *testing.T) {
	if *update {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, err := io.WriteString(z, strings.Join(generate(rand.New(rand.NewSource(3)), 500), "\n")+"\n")
		if err := errors.Join(err, z.Close(), os.WriteFile(opsFile, packed.Bytes(), 0o644)); err != nil {
			t.Fatal(err)
		}
		t.Skip("operations written")
	}
	ops, want := readLines(t, opsFile), readLines(t, javaFile)
	if len(ops) != len(want) || len(ops) < 1000 {
		t.Fatalf("%d operations, %d results", len(ops), len(want))
	}
	seen := map[string]int{}
	var p player
	first, compared := 0, 0
	apart := false
	for i, op := range ops {
		if strings.HasPrefix(op, "new") {
			first, apart = i, false
		}
		// From where a producer comes with a later epoch than that of its open transaction Kafka 3.9 goes another way: it would take the records into that transaction.
		if apart = apart || p.m != nil && p.laterEpoch(op); apart {
			continue
		}
		compared++
		got := p.run(t, op)
		seen[strings.Join(strings.Fields(got)[:min(2, len(strings.Fields(got)))], " ")]++
		if got += " |" + p.dump(); got != want[i] {
			t.Fatalf("%s\n got %s\nwant %s", strings.Join(ops[first:i+1], "\n"), got, want[i])
		}
	}
	if compared < len(ops)/2 {
		t.Errorf("%d of %d operations compared", compared, len(ops))
	}
	for _, r := range []string{"err 45", "err 47", "err 48", "err 52", "guard", "none"} {
		if seen[r] == 0 {
			t.Errorf("no operation ends with %q", r)
		}
	}
}

// laterEpoch says whether an operation is about records of a later epoch than that of their producer's open transaction.
func (p *player) laterEpoch(op string) bool {
	f := strings.Fields(op)
	later := func(pid, epoch string) bool {
		id, err := strconv.ParseInt(pid, 10, 64)
		n, err2 := strconv.ParseInt(epoch, 10, 16)
		e := p.m.producers[id]
		return err == nil && err2 == nil && e != nil && e.hasTxn() && e.producerEpoch < int16(n)
	}
	if f[0] == "verify" {
		return later(f[1], f[3])
	}
	return f[0] == "append" && f[1] != "replication" && slices.ContainsFunc(f[3:], func(b string) bool {
		d := strings.Split(b, ":")
		return d[0] == "d" && later(d[1], d[2])
	})
}

func readLines(t *testing.T, file string) []string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimRight(string(b), "\n"), "\n")
}
