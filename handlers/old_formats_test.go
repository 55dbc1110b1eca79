package handlers_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/record"
	"gokafka/security"
)

// messageSet is n messages of an old magic, wrapped if there is a codec.
func messageSet(t testing.TB, magic int8, codec record.Codec, n, valueBytes int) []byte {
	t.Helper()
	var b record.LegacyBuilder
	b.Reset(record.LegacySpec{Magic: magic, Codec: codec, Level: codec.DefaultLevel()})
	for i := range n {
		if err := b.Append(int64(i), time.Now().UnixMilli(), fmt.Appendf(nil, "k%d", i), bytes.Repeat([]byte{'v'}, valueBytes)); err != nil {
			t.Fatal(err)
		}
	}
	set, err := b.Build(nil, record.NewCodecs())
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// offsetsIn are the offsets of all records in what a fetch gives, of any magic; a part of a batch at the end is left out.
func offsetsIn(t testing.TB, set []byte) (offsets []int64, magic int8) {
	t.Helper()
	c := record.NewCodecs()
	for {
		raw, m, rest, err := record.NextAny(set)
		if err != nil {
			return offsets, magic
		}
		magic, set = max(magic, m), rest
		it, _, err := c.IterateAny(raw, nil, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for r := (record.Record{}); it.Next(&r); {
			offsets = append(offsets, r.Offset)
		}
		if it.Err() != nil {
			t.Fatal(it.Err())
		}
	}
}

// createWith makes a topic of one partition with configs.
func (n *node) createWith(topic string, configs map[string]string) {
	n.t.Helper()
	q := kmsg.NewPtrCreateTopicsRequest()
	q.Version, q.TimeoutMillis = 7, int32(patience.Milliseconds())
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic, 1, 1
	for name, value := range configs {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = name, &value
		t.Configs = append(t.Configs, c)
	}
	q.Topics = append(q.Topics, t)
	if r := once[*kmsg.CreateTopicsResponse](n, q); r.Topics[0].ErrorCode != 0 {
		n.t.Fatalf("topic %s: error %d", topic, r.Topics[0].ErrorCode)
	}
}

// What an old producer sends, consumers of all versions read in the format they know.
func TestOldProducersAndConsumers(t *testing.T) {
	n := start(t, setup{})
	n.create("t", 1)
	want := int64(0)
	for v := range int16(3) {
		for _, codec := range []record.Codec{record.None, record.Gzip, record.Snappy, record.LZ4} {
			for magic := range int8(2) {
				p := once[*kmsg.ProduceResponse](n, produceRequest(v, -1, "t", messageSet(t, magic, codec, 3, 100))).Topics[0].Partitions[0]
				if p.ErrorCode != 0 || p.BaseOffset != want {
					t.Fatalf("v%d, %v, magic %d: code %d, offset %d", v, codec, magic, p.ErrorCode, p.BaseOffset)
				}
				want += 3
			}
		}
	}
	for v := range int16(13) {
		next := int64(0)
		for next < want {
			q := fetchRequest("t", next, 0)
			q.Version = v
			p := once[*kmsg.FetchResponse](n, q).Topics[0].Partitions[0]
			offsets, magic := offsetsIn(t, p.RecordBatches)
			if p.ErrorCode != 0 || p.HighWatermark != want || len(offsets) == 0 {
				t.Fatalf("v%d: code %d, high watermark %d, %d records", v, p.ErrorCode, p.HighWatermark, len(offsets))
			}
			if most := map[bool]int8{v < 2: 0, v == 2 || v == 3: 1, v >= 4: 2}[true]; magic != most {
				t.Errorf("v%d: magic %d", v, magic)
			}
			for _, o := range offsets {
				if o > next {
					t.Fatalf("v%d: offset %d, want %d", v, o, next)
				}
				next = max(next, o+1)
			}
		}
	}
}

// A set without one whole message is a success that appends nothing, and nobody waits for it.
func TestNothingToAppend(t *testing.T) {
	n := start(t, setup{})
	n.create("t", 1)
	set := messageSet(t, 1, record.None, 1, 10)
	for _, acks := range []int16{1, -1} {
		for _, part := range [][]byte{{}, set[:5], set[:len(set)-1]} {
			p := once[*kmsg.ProduceResponse](n, produceRequest(2, acks, "t", part)).Topics[0].Partitions[0]
			if p.ErrorCode != 0 || p.BaseOffset != -1 {
				t.Errorf("acks %d, %d bytes: code %d, offset %d", acks, len(part), p.ErrorCode, p.BaseOffset)
			}
		}
	}
	q := produceRequest(2, 0, "t", set[:5])
	c := n.dial()
	c.send(q)
	if p := ask[*kmsg.ProduceResponse](c, produceRequest(2, 1, "t", set)).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.BaseOffset != 0 {
		t.Error("after one without acks:", p.ErrorCode, p.BaseOffset)
	}
}

// A wrapper of some KB that unpacks to hundreds of MB is refused before it takes such memory.
func TestPackedMessageIsBounded(t *testing.T) {
	n := start(t, setup{})
	n.create("t", 1)
	bomb := messageSet(t, 1, record.Gzip, 80, 1<<20)
	if len(bomb) > 1<<20 {
		t.Fatal("not a bomb:", len(bomb))
	}
	p := once[*kmsg.ProduceResponse](n, produceRequest(2, 1, "t", bomb)).Topics[0].Partitions[0]
	if p.ErrorCode != kerr.MessageTooLarge.Code {
		t.Error("code", p.ErrorCode)
	}
}

// The topic's settings go before the partition's error, zstd before conversion; but not before what the requester may not read.
func TestOldFetchRefusals(t *testing.T) {
	n := start(t, setup{authorizer: denyReads("secret")})
	for topic, configs := range map[string]map[string]string{
		"zstd": {"compression.type": "zstd"}, "off": {"message.downconversion.enable": "false"},
		"both": {"compression.type": "zstd", "message.downconversion.enable": "false"}, "secret": {"compression.type": "zstd"}, "plain": nil,
	} {
		n.createWith(topic, configs)
	}
	const unsupported, zstd, denied, beyond = 35, 76, 29, 1
	for topic, want := range map[string][3]int16{ // versions up to 3, up to 9, later; each asked for an offset that is not there
		"plain": {beyond, beyond, beyond}, "off": {unsupported, beyond, beyond}, "zstd": {zstd, zstd, beyond}, "both": {zstd, zstd, beyond}, "secret": {denied, denied, denied},
	} {
		for v := range int16(13) {
			q := fetchRequest(topic, 99, 0)
			q.Version = v
			code := want[0]
			if v > 9 {
				code = want[2]
			} else if v > 3 {
				code = want[1]
			}
			if p := once[*kmsg.FetchResponse](n, q).Topics[0].Partitions[0]; p.ErrorCode != code || v > 3 && p.RecordBatches == nil {
				t.Errorf("%s, v%d: code %d, want %d", topic, v, p.ErrorCode, code)
			}
		}
	}
}

type denyReads string

func (d denyReads) Authorize(_ context.Context, _ security.Principal, _ string, op security.Operation, _ security.ResourceType, name string) bool {
	return op != security.Read || name != string(d)
}

// Many partitions that are converted hold a bounded part of what they convert, and all come whole.
func TestConversionOfManyPartitions(t *testing.T) {
	const parts = 40
	n := start(t, setup{})
	n.create("t", parts)
	q := fetchRequest("t", 0, 0)
	q.Version, q.MaxBytes = 3, 50<<20
	q.Topics[0].Partitions = nil
	for p := range int32(parts) {
		r := produceRequest(2, 1, "t", messageSet(t, 1, record.None, 300, 900))
		r.Topics[0].Partitions[0].Partition = p
		if got := once[*kmsg.ProduceResponse](n, r).Topics[0].Partitions[0]; got.ErrorCode != 0 {
			t.Fatal(got.ErrorCode)
		}
		fp := kmsg.NewFetchRequestTopicPartition()
		fp.Partition, fp.PartitionMaxBytes = p, 1<<20
		q.Topics[0].Partitions = append(q.Topics[0].Partitions, fp)
	}
	for _, p := range once[*kmsg.FetchResponse](n, q).Topics[0].Partitions {
		if offsets, magic := offsetsIn(t, p.RecordBatches); len(offsets) != 300 || magic != 1 {
			t.Errorf("partition %d: code %d, %d records of magic %d", p.Partition, p.ErrorCode, len(offsets), magic)
		}
	}
}

// ListOffsets 0 tells the starts of segments, newest first.
func TestListOldOffsets(t *testing.T) {
	n := start(t, setup{})
	n.createWith("t", map[string]string{"segment.bytes": "1000"})
	for range 30 {
		produceOne(t, n, "t", batch(t, 1, -1, 0, 0))
	}
	ask := func(ts int64, most int32) kmsg.ListOffsetsResponseTopicPartition {
		q := kmsg.NewPtrListOffsetsRequest()
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp, p.MaxNumOffsets = ts, most
		rt := kmsg.NewListOffsetsRequestTopic()
		rt.Topic, rt.Partitions = "t", append(rt.Partitions, p)
		q.ReplicaID, q.Topics = -1, append(q.Topics, rt)
		return once[*kmsg.ListOffsetsResponse](n, q).Topics[0].Partitions[0]
	}
	for _, x := range []struct {
		ts   int64
		most int32
		want []int64
		code int16
	}{
		{-1, 1, []int64{30}, 0}, {-1, 2, []int64{30, 26}, 0}, {-1, 100, []int64{30, 26, 13, 0}, 0}, {-2, 100, []int64{0}, 0}, {0, 100, nil, 0},
		{time.Now().UnixMilli() + 1e9, 3, []int64{30, 26, 13}, 0}, {-1, 0, nil, 0}, {-1, -1, nil, -1}, {-3, 1, nil, 35},
	} {
		p := ask(x.ts, x.most)
		if fmt.Sprint(p.OldStyleOffsets) != fmt.Sprint(x.want) || p.ErrorCode != x.code {
			t.Errorf("time %d, %d offsets: %v, code %d", x.ts, x.most, p.OldStyleOffsets, p.ErrorCode)
		}
	}
}
