package protocol

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// readProduceRef decodes by kmsg what ReadProduce decodes by hand.
func readProduceRef(version int16, body []byte) (ProduceHead, []ProducePart, error) {
	if version >= 9 {
		var err error
		if body, err = SkipTags(body); err != nil {
			return ProduceHead{}, nil, err
		}
	}
	q := kmsg.NewProduceRequest()
	q.Version = version
	if err := q.ReadFrom(body); err != nil {
		return ProduceHead{}, nil, err
	}
	h := ProduceHead{Acks: q.Acks, TimeoutMs: q.TimeoutMillis}
	if q.TransactionID != nil {
		h.TransactionalID = []byte(*q.TransactionID)
	}
	var parts []ProducePart
	for _, t := range q.Topics {
		for _, p := range t.Partitions {
			parts = append(parts, ProducePart{Topic: []byte(t.Topic), TopicID: t.TopicID, Partition: p.Partition, Records: p.Records})
		}
	}
	return h, parts, nil
}

func compareProduce(t interface {
	Fatalf(string, ...any)
	Helper()
}, version int16, body []byte) {
	t.Helper()
	h, parts, err := ReadProduce(version, body, nil)
	rh, rparts, rerr := readProduceRef(version, body)
	if (err != nil) != (rerr != nil) {
		t.Fatalf("v%d %x: error %v, kmsg's %v", version, body, err, rerr)
	}
	if err != nil {
		return
	}
	if h.Acks != rh.Acks || h.TimeoutMs != rh.TimeoutMs || !bytes.Equal(h.TransactionalID, rh.TransactionalID) ||
		(h.TransactionalID == nil) != (rh.TransactionalID == nil) || len(parts) != len(rparts) {
		t.Fatalf("v%d: %+v with %d parts, kmsg's %+v with %d", version, h, len(parts), rh, len(rparts))
	}
	for i := range parts {
		a, b := parts[i], rparts[i]
		if !bytes.Equal(a.Topic, b.Topic) || a.TopicID != b.TopicID || a.Partition != b.Partition || !bytes.Equal(a.Records, b.Records) || (a.Records == nil) != (b.Records == nil) {
			t.Fatalf("v%d part %d: %+v, kmsg's %+v", version, i, a, b)
		}
	}
}

func produceBody(version int16, q *kmsg.ProduceRequest) []byte {
	q.Version = version
	var b []byte
	if version >= 9 {
		b = append(b, 0)
	}
	return q.AppendTo(b)
}

func TestReadProduceEqualsKmsg(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := kmsg.NewProduceRequest()
		q.Acks = rapid.Int16().Draw(t, "acks")
		q.TimeoutMillis = rapid.Int32().Draw(t, "timeout")
		if rapid.Bool().Draw(t, "txn") {
			id := rapid.StringN(0, 20, -1).Draw(t, "id")
			q.TransactionID = &id
		}
		for range rapid.IntRange(0, 4).Draw(t, "topics") {
			topic := kmsg.NewProduceRequestTopic()
			topic.Topic = rapid.StringN(0, 12, -1).Draw(t, "topic")
			topic.TopicID = [16]byte{rapid.Byte().Draw(t, "id"), 15: 7}
			for range rapid.IntRange(0, 4).Draw(t, "partitions") {
				p := kmsg.NewProduceRequestTopicPartition()
				p.Partition = rapid.Int32().Draw(t, "partition")
				if rapid.Bool().Draw(t, "records") {
					p.Records = rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "bytes")
				}
				topic.Partitions = append(topic.Partitions, p)
			}
			q.Topics = append(q.Topics, topic)
		}
		v := int16(rapid.IntRange(0, 13).Draw(t, "version2"))
		body := produceBody(v, &q)
		compareProduce(t, v, body)
		compareProduce(t, v, body[:rapid.IntRange(0, len(body)).Draw(t, "cut")])
	})
}

func FuzzReadProduce(f *testing.F) {
	q := kmsg.NewProduceRequest()
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic = "t"
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = []byte("records")
	topic.Partitions = append(topic.Partitions, p)
	q.Topics = append(q.Topics, topic)
	for v := int16(0); v <= 13; v++ {
		f.Add(v, produceBody(v, &q))
	}
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		if version < 0 || version > 13 {
			return
		}
		compareProduce(t, version, body)
	})
}

func TestReadProduceDoesNotAllocate(t *testing.T) {
	q := kmsg.NewProduceRequest()
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic = "topic"
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = make([]byte, 1000)
	topic.Partitions = append(topic.Partitions, p)
	q.Topics = append(q.Topics, topic)
	body := produceBody(9, &q)
	parts := make([]ProducePart, 0, 4)
	if n := testing.AllocsPerRun(100, func() {
		if _, _, err := ReadProduce(9, body, parts[:0]); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestProduceResponseEqualsKmsg(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := int16(rapid.IntRange(0, 13).Draw(t, "version"))
		ref := kmsg.NewProduceResponse()
		ref.Version = v
		ref.ThrottleMillis = rapid.Int32().Draw(t, "throttle")
		own := ProduceResponse{Version: v, ThrottleMs: ref.ThrottleMillis}
		for i := range rapid.IntRange(0, 3).Draw(t, "topics") {
			topic := kmsg.NewProduceResponseTopic()
			topic.Topic = string(rune('a' + i))
			if v >= 13 {
				topic.TopicID = [16]byte{byte(i + 1)}
			}
			for range rapid.IntRange(1, 3).Draw(t, "partitions") {
				p := kmsg.NewProduceResponseTopicPartition()
				p.Partition = rapid.Int32().Draw(t, "partition")
				p.ErrorCode = rapid.Int16().Draw(t, "error")
				p.BaseOffset = rapid.Int64().Draw(t, "base")
				p.LogAppendTime = rapid.Int64().Draw(t, "time")
				p.LogStartOffset = rapid.Int64().Draw(t, "start")
				r := ProduceResult{Topic: []byte(topic.Topic), TopicID: topic.TopicID, Partition: p.Partition, ErrorCode: p.ErrorCode, BaseOffset: p.BaseOffset,
					LogAppendTime: p.LogAppendTime, LogStartOffset: p.LogStartOffset, Leader: NoLeaderHint}
				for range rapid.IntRange(0, 2).Draw(t, "errors") {
					e := kmsg.NewProduceResponseTopicPartitionErrorRecord()
					e.RelativeOffset = rapid.Int32().Draw(t, "index")
					msg := rapid.StringN(0, 5, -1).Draw(t, "message")
					if msg != "" {
						e.ErrorMessage = &msg
					}
					p.ErrorRecords = append(p.ErrorRecords, e)
					r.RecordErrors = append(r.RecordErrors, RecordError{e.RelativeOffset, msg})
				}
				if msg := rapid.StringN(0, 5, -1).Draw(t, "summary"); msg != "" {
					p.ErrorMessage = &msg
					r.ErrorMessage = msg
				}
				if v >= 10 && rapid.Bool().Draw(t, "hint") {
					p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = 3, 9
					r.Leader = LeaderHint{3, 9}
				}
				topic.Partitions = append(topic.Partitions, p)
				own.Results = append(own.Results, r)
			}
			ref.Topics = append(ref.Topics, topic)
		}
		if v >= 10 && rapid.Bool().Draw(t, "nodes") {
			rack := "r1"
			ref.Brokers = append(ref.Brokers, kmsg.ProduceResponseBroker{NodeID: 1, Host: "h", Port: 2, Rack: &rack}, kmsg.ProduceResponseBroker{NodeID: 2, Host: "hh", Port: 3})
			own.NodeEndpoints = []NodeEndpoint{{1, "h", 2, "r1"}, {2, "hh", 3, ""}}
		}
		want := AppendResponse(nil, KeyProduce, 77, &ref)
		got := AppendResponse([]byte("x"), KeyProduce, 77, &own)[1:]
		if !bytes.Equal(got, want) {
			t.Fatalf("v%d\n got %x\nwant %x", v, got, want)
		}
	})
}

type memRecords []byte

func (m memRecords) Len() int                                { return len(m) }
func (m memRecords) ReadAt(p []byte, off int64) (int, error) { return copy(p, m[off:]), nil }
func (m memRecords) Release()                                {}

func TestFetchResponseEqualsKmsg(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := int16(rapid.IntRange(0, 18).Draw(t, "version"))
		ref := kmsg.NewFetchResponse()
		ref.Version = v
		own := FetchResponse{Version: v}
		ref.ThrottleMillis = rapid.Int32().Draw(t, "throttle")
		own.ThrottleMs = ref.ThrottleMillis
		if v >= 7 {
			ref.ErrorCode, ref.SessionID = rapid.Int16().Draw(t, "error"), rapid.Int32().Draw(t, "session")
			own.ErrorCode, own.SessionID = ref.ErrorCode, ref.SessionID
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "topics") {
			topic := kmsg.NewFetchResponseTopic()
			topic.Topic, topic.TopicID = string(rune('a'+i)), [16]byte{byte(i + 1)}
			for range rapid.IntRange(1, 3).Draw(t, "partitions") {
				r := NewFetchResult(topic.Topic, topic.TopicID, rapid.Int32().Draw(t, "partition"))
				p := kmsg.NewFetchResponseTopicPartition()
				p.Partition = r.Partition
				p.LastStableOffset, p.LogStartOffset = -1, -1
				if rapid.Bool().Draw(t, "ok") {
					p.HighWatermark, p.LastStableOffset = rapid.Int64().Draw(t, "hw"), rapid.Int64().Draw(t, "lso")
					r.HighWatermark, r.LastStableOffset = p.HighWatermark, p.LastStableOffset
					if v >= 5 {
						p.LogStartOffset = rapid.Int64().Draw(t, "start")
						r.LogStartOffset = p.LogStartOffset
					}
				} else {
					p.HighWatermark = -1
					p.ErrorCode = rapid.Int16().Draw(t, "code")
					r.ErrorCode = p.ErrorCode
				}
				if rapid.Bool().Draw(t, "aborted") {
					p.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
					r.Aborted = []AbortedTransaction{}
					for range rapid.IntRange(0, 2).Draw(t, "n") {
						a := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
						a.ProducerID, a.FirstOffset = rapid.Int64().Draw(t, "pid"), rapid.Int64().Draw(t, "first")
						p.AbortedTransactions = append(p.AbortedTransactions, a)
						r.Aborted = append(r.Aborted, AbortedTransaction{a.ProducerID, a.FirstOffset})
					}
				}
				if v >= 12 && rapid.Bool().Draw(t, "diverging") {
					p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset = 4, 5
					r.Diverging = EpochEndOffset{4, 5}
				}
				if v >= 12 && rapid.Bool().Draw(t, "hint") {
					p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = 6, 7
					r.Leader = LeaderHint{6, 7}
				}
				p.RecordBatches = rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "records")
				if p.RecordBatches == nil {
					p.RecordBatches = []byte{}
				}
				if len(p.RecordBatches) > 0 {
					r.Records = memRecords(p.RecordBatches)
				}
				topic.Partitions = append(topic.Partitions, p)
				own.Results = append(own.Results, r)
			}
			ref.Topics = append(ref.Topics, topic)
		}
		if v >= 16 && rapid.Bool().Draw(t, "nodes") {
			ref.Brokers = append(ref.Brokers, kmsg.FetchResponseBroker{NodeID: 2, Host: "hh", Port: 3})
			own.NodeEndpoints = []NodeEndpoint{{2, "hh", 3, ""}}
		}
		want := AppendResponse(nil, KeyFetch, 5, &ref)
		frame, cuts := own.AppendFrame([]byte("xy"), nil, 5)
		var got []byte
		at := 2
		for _, c := range cuts {
			got = append(got, frame[at:c.At]...)
			got = append(got, c.Records.(memRecords)...)
			at = c.At
		}
		got = append(got, frame[at:]...)
		if !bytes.Equal(got, want) {
			t.Fatalf("v%d\n got %x\nwant %x", v, got, want)
		}
	})
}

func TestParseHeader(t *testing.T) {
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID("me"))
	for _, q := range []kmsg.Request{kmsg.NewPtrMetadataRequest(), kmsg.NewPtrProduceRequest()} {
		frame := f.AppendRequest(nil, q, 42)
		if got := int(binary.BigEndian.Uint32(frame)); got != len(frame)-4 {
			t.Fatal(got)
		}
		h, _, err := ParseHeader(frame[4:])
		if err != nil || h.Key != q.Key() || h.Version != q.GetVersion() || h.CorrelationID != 42 {
			t.Errorf("%+v %v", h, err)
		}
		if string(h.ClientID) != "me" {
			t.Errorf("client id %q", h.ClientID)
		}
		for cut := range 8 {
			if _, _, err := ParseHeader(frame[4 : 4+cut]); err == nil {
				t.Errorf("a header of %d bytes passed", cut)
			}
		}
	}
	// ControlledShutdown v0 has no client id; what follows is the body: broker id 3.
	h, rest, err := ParseHeader([]byte{0, 7, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3})
	if err != nil || h.CorrelationID != 9 || len(rest) != 4 {
		t.Errorf("%+v %x %v", h, rest, err)
	}
	// A client id that reaches beyond the frame.
	if _, _, err := ParseHeader([]byte{0, 3, 0, 0, 0, 0, 0, 1, 0x7f, 0xff, 'x'}); err == nil {
		t.Error("overlong client id passed")
	}
	// Null client id.
	h, rest, err = ParseHeader([]byte{0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 'x'})
	if err != nil || h.ClientID != nil || string(rest) != "x" {
		t.Errorf("%+v %q %v", h, rest, err)
	}
}
