package handlers

import (
	"bytes"
	"testing"

	"gokafka/protocol"
	"gokafka/record"
)

// storedRecords are records of a partition.
type storedRecords struct {
	*bytes.Reader
	released *int
}

func (s storedRecords) Len() int { return int(s.Size()) }
func (s storedRecords) Release() { *s.released++ }

// However many partitions an answer has, it holds a bounded part of what it converts until it is sent, and lets go of all its records once.
func TestConvertedAnswerIsBounded(t *testing.T) {
	h := &Handlers{Options: Options{Codecs: record.NewCodecs()}}
	b := record.NewBuilder(record.NewBatchSpec())
	for i := range int64(100) {
		if err := b.AppendAt(i, 1000, nil, make([]byte, 5000)); err != nil {
			t.Fatal(err)
		}
	}
	batch, _, err := b.Build(nil, h.Codecs)
	if err != nil {
		t.Fatal(err)
	}
	resp, released, held := &protocol.FetchResponse{}, 0, 0
	for p := range int32(100) {
		r := protocol.NewFetchResult("t", [16]byte{}, p)
		r.Records = storedRecords{bytes.NewReader(batch), &released}
		h.downConvert(&r, conversion(2, 0), &held)
		resp.Results = append(resp.Results, r)
	}
	sum := 0
	for i := range resp.Results {
		sum += resp.Results[i].Records.(*converted).HeldBytes()
	}
	if sum > maxHeldBytes || sum < maxHeldBytes/4 {
		t.Errorf("%d bytes held", sum)
	}
	last := resp.Results[99].Records
	out := make([]byte, last.Len())
	if _, err := last.ReadAt(out, 0); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		raw, magic, rest, err := record.NextAny(out)
		if err != nil || magic != 1 || record.LegacyBatch(raw).Offset() != int64(i) {
			t.Fatalf("record %d: magic %d, %v", i, magic, err)
		}
		out = rest
	}
	resp.Release()
	if released != 100 {
		t.Errorf("%d of 100 were released", released)
	}
}
