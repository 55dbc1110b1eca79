package logstore

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/config"
	"gokafka/internal/vfs"
	"gokafka/record"
)

func txnBatch(t *testing.T, pid int64, seq int32) []byte {
	spec := record.NewBatchSpec()
	spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence, spec.Transactional = pid, 0, seq, true
	return specBatch(t, spec, 1, 20, 1000)
}

func marker(t *testing.T, pid int64, kind record.ControlType) []byte {
	b, err := record.AppendEndTxnMarker(nil, record.MarkerSpec{ProducerID: pid, Type: kind, TimestampMs: 2000})
	must(t, err)
	return b
}

// TestTransactions: the last stable offset stays at the first record of an open transaction, and of one whose marker is not replicated; the
// index of aborted transactions survives a restart, clean or not.
func TestTransactions(t *testing.T) {
	mem := vfs.NewMem()
	o := testOptions(mem, with(func(c *config.Topic) { c.SegmentBytes = 400 }))
	l := openLog(t, o)
	put := func(payload []byte, origin record.Origin) {
		t.Helper()
		if _, err := l.AppendAsLeader(payload, AppendOptions{Origin: origin}); err != nil {
			t.Fatal(err)
		}
	}
	lso := func(hw, want int64) {
		t.Helper()
		l.UpdateHighWatermark(hw)
		if got := l.LastStableOffset(); got != want {
			t.Fatalf("last stable offset %d with high watermark %d, want %d", got, hw, want)
		}
	}
	put(batch(t, 1, 20, 1), record.Client) // 0
	put(txnBatch(t, 1, 0), record.Client)  // 1
	put(txnBatch(t, 2, 0), record.Client)  // 2
	put(batch(t, 1, 20, 1), record.Client) // 3
	lso(4, 1)
	put(marker(t, 1, record.ControlAbort), record.Coordinator) // 4
	lso(4, 1)                                                  // the marker is not replicated yet
	lso(5, 2)
	put(txnBatch(t, 2, 1), record.Client)                       // 5
	put(marker(t, 2, record.ControlCommit), record.Coordinator) // 6
	lso(6, 2)
	lso(7, 7)
	put(txnBatch(t, 1, 1), record.Client)                      // 7
	put(marker(t, 1, record.ControlAbort), record.Coordinator) // 8
	put(txnBatch(t, 3, 0), record.Client)                      // 9
	lso(10, 9)
	check := func() {
		t.Helper()
		res, err := l.Read(0, 1<<20, TxnCommitted, true)
		must(t, err)
		res.Range.Release()
		if fmt.Sprint(res.Aborted) != "[{1 1 4 2}]" || res.LastStableOffset != 9 {
			t.Fatalf("aborted %v, last stable offset %d", res.Aborted, res.LastStableOffset)
		}
		all, err := l.AbortedTransactions(0, 100)
		must(t, err)
		if fmt.Sprint(all) != "[{1 1 4 2} {1 7 8 9}]" {
			t.Fatalf("aborted %v", all)
		}
		if res, err = l.Read(9, 1<<20, TxnCommitted, true); err != nil || res.Range.Len != 0 || res.Aborted == nil {
			t.Fatalf("read at the last stable offset: %+v %v", res, err)
		}
	}
	check()
	for _, clean := range []bool{true, false} {
		o.RecoveryPoint = 0
		if o.CleanShutdown = clean; clean {
			must(t, l.Close())
		} else {
			l.MarkOffline()
			l.Close()
		}
		l = openLog(t, o)
		l.UpdateHighWatermark(10)
		check()
	}
	// A truncation takes the end of a transaction back: the transaction is open again.
	if _, err := l.TruncateTo(8); err != nil {
		t.Fatal(err)
	}
	lso(8, 7)
	if !l.HasOngoingTransaction(1, 0) || l.HasOngoingTransaction(3, 0) {
		t.Errorf("ongoing: 1 %v, 3 %v", l.HasOngoingTransaction(1, 0), l.HasOngoingTransaction(3, 0))
	}
	if all, err := l.AbortedTransactions(0, 100); err != nil || fmt.Sprint(all) != "[{1 1 4 2}]" {
		t.Errorf("aborted after the truncation: %v %v", all, err)
	}
}

// TestVerification: with verification on, a transactional batch needs a guard, which one transaction uses up.
func TestVerification(t *testing.T) {
	o := testOptions(vfs.NewMem(), topicConfig())
	o.Producers.VerificationEnabled = true
	l := openLog(t, o)
	if _, err := l.AppendAsLeader(txnBatch(t, 1, 0), AppendOptions{}); !errors.Is(err, kerr.InvalidTxnState) {
		t.Fatalf("without a guard: %v", err)
	}
	guard := l.StartVerification(1, 0, 0)
	if _, err := l.AppendAsLeader(txnBatch(t, 1, 0), AppendOptions{Guard: guard}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.AppendAsLeader(txnBatch(t, 1, 1), AppendOptions{}); err != nil {
		t.Fatalf("the transaction is open: %v", err)
	}
	if _, err := l.AppendAsLeader(marker(t, 1, record.ControlAbort), AppendOptions{Origin: record.Coordinator}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.AppendAsLeader(txnBatch(t, 1, 2), AppendOptions{Guard: guard}); !errors.Is(err, kerr.InvalidTxnState) {
		t.Fatalf("with an old guard: %v", err)
	}
	if l.LogEndOffset() != 3 {
		t.Errorf("log end %d", l.LogEndOffset())
	}
}

// TestDuplicates: a batch that comes again gets the offsets of the first time, after a restart too; the answer is not in the log twice.
func TestDuplicates(t *testing.T) {
	o := testOptions(vfs.NewMem(), topicConfig())
	o.Clock.Move(time.UnixMilli(5000).Sub(o.Clock.Now())) // producers expire by the timestamps of their batches
	l := openLog(t, o)
	for seq := range int32(7) {
		mustAppend(t, l, idempotent(t, seq))
	}
	for seq, dup := range map[int32]bool{2: true, 6: true, 1: false} {
		info, err := l.AppendAsLeader(idempotent(t, seq), AppendOptions{})
		if dup && (err != nil || !info.Duplicate || info.FirstOffset != int64(seq) || info.LogAppendTime != 1000) {
			t.Errorf("sequence %d again: %+v %v", seq, info, err)
		}
		if !dup && !errors.Is(err, kerr.OutOfOrderSequenceNumber) {
			t.Errorf("sequence %d, which is forgotten: %v", seq, err)
		}
	}
	l.MarkOffline() // as a kill -9
	l.Close()
	l = openLog(t, o)
	// One batch a producer is in the snapshot that recovery takes.
	if info, err := l.AppendAsLeader(idempotent(t, 6), AppendOptions{}); err != nil || !info.Duplicate || info.FirstOffset != 6 || l.LogEndOffset() != 7 {
		t.Errorf("after recovery: %+v %v, end %d", info, err, l.LogEndOffset())
	}
}
