package producerstate

import (
	"errors"
	"math"
	"testing"

	"gokafka/record"

	"github.com/twmb/franz-go/pkg/kerr"
)

// step is one Produce request. want is nil for success; dup >= 0 is the base offset of the first append.
type step struct {
	epoch  int16
	seq, n int32
	want   *kerr.Error
	dup    int64
}

// The sequences below were sent to a live Apache Kafka 3.9.1 broker.
func TestClientSequences(t *testing.T) {
	const no = -1
	gap, fenced := kerr.OutOfOrderSequenceNumber, kerr.InvalidProducerEpoch
	for name, steps := range map[string][]step{
		"as observed": {
			{0, 7, 2, nil, no}, // first ever: any sequence
			{0, 7, 2, nil, 0},
			{0, 9, 1, nil, no},
			{0, 11, 1, gap, no},
			{0, 8, 1, gap, no}, // inside an older batch
			{0, 10, 1, nil, no}, {0, 11, 1, nil, no}, {0, 12, 1, nil, no}, {0, 13, 1, nil, no}, {0, 14, 1, nil, no},
			{0, 10, 1, nil, 3}, // 5th last
			{0, 9, 1, gap, no}, // 6th last
			{1, 3, 1, gap, no},
			{1, 0, 1, nil, no},
			{0, 15, 1, fenced, no},
			{0, 14, 1, fenced, no}, // an old epoch has no duplicates
			{5, 0, 1, nil, no},
			{-1, 1, 1, fenced, no},
		},
		"wrap between batches": {
			{0, math.MaxInt32 - 1, 2, nil, no}, {0, 0, 1, nil, no}, {0, 1, 1, nil, no}, {0, math.MaxInt32 - 1, 2, nil, 0},
		},
		"wrap inside a batch": {
			{0, math.MaxInt32 - 1, 4, nil, no}, // 2147483646, 2147483647, 0, 1
			{0, math.MaxInt32 - 1, 4, nil, 0},
			{0, 2, 1, nil, no},
			{0, 4, 1, gap, no},
		},
		"overlap is not a duplicate": {
			{0, 0, 3, nil, no}, {0, 0, 2, gap, no}, {0, 1, 2, gap, no}, {0, 0, 4, gap, no}, {0, 0, 3, nil, 0},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := New("t-0", testOptions())
			end := int64(0)
			for i, s := range steps {
				b := data{pid: 3, epoch: max(s.epoch, 0), seq: s.seq, n: s.n, offset: end}.batch()
				if s.epoch < 0 {
					b = setEpoch(b, s.epoch)
				}
				before := m.EncodeSnapshot()
				v, _, err := appendOne(m, record.Client, 0, b)
				switch {
				case s.want != nil:
					if !errors.Is(err, s.want) {
						t.Fatalf("step %d %+v: %+v %v", i, s, v, err)
					}
				case err != nil || v.Duplicate != (s.dup != no):
					t.Fatalf("step %d %+v: %+v %v", i, s, v, err)
				case v.Duplicate && (v.FirstOffset != s.dup || v.LastOffset != s.dup+int64(s.n)-1 || v.TimestampMs != testNow):
					t.Fatalf("step %d %+v: %+v", i, s, v)
				case !v.Duplicate:
					end = b.NextOffset()
					continue
				}
				if string(before) != string(m.EncodeSnapshot()) {
					t.Fatalf("step %d %+v: a refusal or duplicate changed the state", i, s)
				}
			}
		})
	}
}

// setEpoch patches a batch into one that the builder refuses to make.
func setEpoch(b record.Batch, epoch int16) record.Batch {
	b[51], b[52] = byte(uint16(epoch)>>8), byte(epoch)
	b.UpdateCRC()
	return b
}

func TestCheckChangesNothing(t *testing.T) {
	m := New("t-0", testOptions())
	mustAppend(t, m, record.Client, data{pid: 1, seq: 0, txn: true}.batch())
	guard := m.StartVerification(2, 0, 0, testNow)
	before := m.EncodeSnapshot()
	// The write fails: Update is never called.
	for _, b := range []record.Batch{data{pid: 1, seq: 1, offset: 1, txn: true}.batch(), data{pid: 2, offset: 1, txn: true}.batch(),
		marker{pid: 1, offset: 1}.batch(), data{pid: 3, offset: 1}.batch()} {
		if _, err := m.Prepare(record.Coordinator, guard, false).Check(b); err != nil {
			t.Fatal(err)
		}
		if string(before) != string(m.EncodeSnapshot()) || m.VerificationGuard(2) != guard || m.Len() != 1 {
			t.Fatal("Check changed the state")
		}
	}
	if o, ok := m.FirstUnstableOffset(); !ok || o != 0 {
		t.Fatal(o, ok)
	}
	mustAppend(t, m, record.Client, data{pid: 1, seq: 1, offset: 1, txn: true}.batch())
}

func TestOriginsCheckDifferently(t *testing.T) {
	m := New("t-0", testOptions())
	mustAppend(t, m, record.Client, data{pid: 1, epoch: 2, seq: 5}.batch())
	// A coordinator's batches: no sequences, no duplicates, but epochs.
	mustAppend(t, m, record.Coordinator, data{pid: 1, epoch: 2, seq: 0, offset: 1}.batch())
	mustAppend(t, m, record.Coordinator, data{pid: 1, epoch: 2, seq: 0, offset: 2}.batch())
	mustRefuse(t, m, record.Coordinator, data{pid: 1, epoch: 1, seq: 0, offset: 3}.batch(), kerr.InvalidProducerEpoch)
	// The leader has accepted it: apply, warn.
	a := m.Prepare(record.Replication, 0, false)
	for _, b := range []record.Batch{data{pid: 1, epoch: 1, seq: 77, offset: 3}.batch(), data{pid: 1, epoch: 1, seq: 99, offset: 4}.batch()} {
		if v, err := a.Check(b); err != nil || v.Duplicate {
			t.Fatal(v, err)
		}
	}
	a.Update()
	if len(a.Warnings()) != 1 {
		t.Fatal(a.Warnings())
	}
	if p, _ := m.Producer(1); p.ProducerEpoch != 1 || p.LastSequence != 99 || p.LastOffset != 4 {
		t.Fatalf("%+v", p)
	}
	// Batches without a producer leave no state.
	mustAppend(t, m, record.Client, data{pid: -1, epoch: -1, seq: -1, offset: 5}.batch())
	if m.Len() != 1 {
		t.Fatal("state for a producer without an id")
	}
}

// A follower's append holds many batches of many producers: each is judged by the ones before it in the same append.
func TestOneAppendOfManyBatches(t *testing.T) {
	m := New("t-0", testOptions())
	a := m.Prepare(record.Replication, 0, false)
	offset := int64(0)
	for round := range int32(7) {
		for pid := range int64(20) {
			if _, err := a.Check(data{pid: pid, seq: 2 * round, n: 2, offset: offset}.batch()); err != nil {
				t.Fatal(err)
			}
			offset += 2
		}
	}
	if m.Len() != 0 {
		t.Fatal("changed before Update")
	}
	a.Update()
	if m.Len() != 20 {
		t.Fatal(m.Len())
	}
	for pid := range int64(20) {
		for round := range int32(7) {
			v, err := m.Prepare(record.Client, 0, false).Check(data{pid: pid, seq: 2 * round, n: 2, offset: offset}.batch())
			if round < 2 && !errors.Is(err, kerr.OutOfOrderSequenceNumber) {
				t.Fatalf("round %d is not the last five: %v", round, err)
			}
			if want := int64(round)*40 + 2*pid; round >= 2 && (err != nil || !v.Duplicate || v.FirstOffset != want || v.LastOffset != want+1) {
				t.Fatalf("pid %d round %d: %+v %v", pid, round, v, err)
			}
		}
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	m := New("t-0", testOptions())
	b := data{pid: 9, n: 3}.batch()
	mustAppend(t, m, record.Client, b)
	seq := int32(3)
	allocs := testing.AllocsPerRun(100, func() {
		b.SetBaseOffset(int64(seq))
		b[53], b[54], b[55], b[56] = byte(seq>>24), byte(seq>>16), byte(seq>>8), byte(seq)
		seq += 3
		a := m.Prepare(record.Client, 0, false)
		if v, err := a.Check(b); err != nil || v.Duplicate {
			t.Fatal(v, err)
		}
		a.Update()
		m.UpdateMapEndOffset(b.NextOffset())
		if v, err := m.Prepare(record.Client, 0, false).Check(b); err != nil || !v.Duplicate {
			t.Fatal(v, err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations per append", allocs)
	}
}
