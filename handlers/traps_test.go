package handlers_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/handlers"
	"gokafka/record"
)

// The traps that other brokers of this protocol have fallen into, each as a test of its own. Named after what breaks in a client.

func produceOne(t *testing.T, n *node, topic string, records []byte) *kmsg.ProduceResponseTopicPartition {
	t.Helper()
	p := once[*kmsg.ProduceResponse](n, produceRequest(9, -1, topic, records)).Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		t.Fatalf("%s: %v", topic, kerr.ErrorForCode(p.ErrorCode))
	}
	return &p
}

// librdkafka reads a records field of null as an error: an empty one must be empty.
func TestTrapEmptyFetchHasEmptyRecordsNotNull(t *testing.T) {
	n := start(t, setup{})
	n.create("empty", 1)
	for v := int16(4); v <= 12; v++ { // named by topic
		q := fetchRequest("empty", 0, 0)
		q.Version = v
		p := once[*kmsg.FetchResponse](n, q).Topics[0].Partitions[0]
		if p.ErrorCode != 0 || p.RecordBatches == nil || len(p.RecordBatches) > 0 {
			t.Errorf("v%d: code %d, records nil: %v, %d bytes", v, p.ErrorCode, p.RecordBatches == nil, len(p.RecordBatches))
		}
	}
}

// A response header of version 1 makes old clients read an array count of -1: ApiVersions has header version 0 in all versions.
func TestTrapApiVersionsHeaderIsVersion0(t *testing.T) {
	n := start(t, setup{})
	for v := int16(0); v <= 4; v++ {
		q := apiVersions()
		q.Version = v
		c := n.dial()
		corr := c.send(q)
		got, body, err := c.frame()
		if err != nil || got != corr {
			t.Fatal(got, err)
		}
		if code := int16(binary.BigEndian.Uint16(body)); code != 0 { // with header version 1 a tag count would stand here
			t.Errorf("v%d: the body begins with code %d", v, code)
		}
		c.Close()
	}
}

// Clients pick versions from the advertised ranges: none may be offered that no release of Kafka 3.9 has, and librdkafka wants Produce and Fetch to
// reach versions with record batches of magic 2, zstd, and FindCoordinator to be there.
func TestTrapAdvertisedRanges(t *testing.T) {
	n := start(t, setup{})
	q := apiVersions()
	served := map[int16][2]int16{}
	for _, k := range once[*kmsg.ApiVersionsResponse](n, q).ApiKeys {
		served[k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
	}
	for key, least := range map[int16]int16{0: 7, 1: 10, 2: 7, 3: 9, 10: 0, 22: 0, 23: 2} {
		if r, ok := served[key]; !ok || r[1] < least {
			t.Errorf("key %d: served %v, clients need version %d", key, r, least)
		}
	}
	for _, row := range handlers.Table() {
		if served[row.Key.Int16()] != [2]int16{row.Min, row.Max} {
			t.Errorf("%s: advertised %v, served %d to %d", row.Key.Name(), served[row.Key.Int16()], row.Min, row.Max)
		}
	}
}

// A consumer that asks for the end of an epoch must get the exact answer: it rewinds, or reports loss, otherwise.
func TestTrapOffsetForLeaderEpochIsExact(t *testing.T) {
	n := start(t, setup{})
	n.create("epochs", 1)
	produceOne(t, n, "epochs", batch(t, 5, -1, -1, -1))
	for _, c := range []struct {
		epoch     int32
		wantEpoch int32
		wantEnd   int64
	}{{0, 0, 5}, {1, -1, -1}, {100, -1, -1}} {
		q := kmsg.NewPtrOffsetForLeaderEpochRequest()
		q.Version, q.ReplicaID = 3, -1
		topic := kmsg.NewOffsetForLeaderEpochRequestTopic()
		topic.Topic = "epochs"
		p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		p.CurrentLeaderEpoch, p.LeaderEpoch = -1, c.epoch
		topic.Partitions = append(topic.Partitions, p)
		q.Topics = append(q.Topics, topic)
		got := once[*kmsg.OffsetForLeaderEpochResponse](n, q).Topics[0].Partitions[0]
		if got.ErrorCode != 0 || got.LeaderEpoch != c.wantEpoch || got.EndOffset != c.wantEnd {
			t.Errorf("epoch %d: %+v", c.epoch, got)
		}
	}
}

func listOffset(n *node, topic string, ts int64) kmsg.ListOffsetsResponseTopicPartition {
	q := kmsg.NewPtrListOffsetsRequest()
	q.Version, q.ReplicaID = 7, -1
	tp := kmsg.NewListOffsetsRequestTopic()
	tp.Topic = topic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.CurrentLeaderEpoch, p.Timestamp = -1, ts
	tp.Partitions = append(tp.Partitions, p)
	q.Topics = append(q.Topics, tp)
	return once[*kmsg.ListOffsetsResponse](n, q).Topics[0].Partitions[0]
}

// A search by time gives the record, not its batch; what is not found is offset -1 with timestamp -1, never one of them alone.
func TestTrapListOffsetsByTimeFindsTheRecord(t *testing.T) {
	n := start(t, setup{})
	n.create("times", 1)
	b := record.NewBuilder(record.NewBatchSpec())
	for i := range int64(10) {
		if err := b.AppendAt(i, 1_700_000_000_000+10*i, nil, []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	raw, _, err := b.Build(nil, record.NewCodecs())
	if err != nil {
		t.Fatal(err)
	}
	produceOne(t, n, "times", raw)
	for _, c := range []struct{ ask, ts, offset int64 }{
		{1_700_000_000_000, 1_700_000_000_000, 0}, {1_700_000_000_031, 1_700_000_000_040, 4}, {1_700_000_000_090, 1_700_000_000_090, 9},
		{1_700_000_000_091, -1, -1}, {-3, 1_700_000_000_090, 9}, {-1, -1, 10}, {-2, -1, 0},
	} {
		if got := listOffset(n, "times", c.ask); got.ErrorCode != 0 || got.Timestamp != c.ts || got.Offset != c.offset {
			t.Errorf("%d: %+v, want timestamp %d offset %d", c.ask, got, c.ts, c.offset)
		}
	}
}

// A checksum made before attributes or timestamps were rewritten is wrong on every consumer.
func TestTrapChecksumCoversWhatTheBrokerRewrote(t *testing.T) {
	n := start(t, setup{})
	appendTime := "LogAppendTime"
	once[*kmsg.CreateTopicsResponse](n, createRequest(5, 10_000, withConfig(newTopic("stamped", 1, 1), "message.timestamp.type", &appendTime)))
	until(t, "topic", func() bool { return n.knows("stamped") })
	before := time.Now().UnixMilli()
	p := produceOne(t, n, "stamped", batch(t, 3, -1, -1, -1))
	if p.LogAppendTime < before {
		t.Errorf("append time %d", p.LogAppendTime)
	}
	got := once[*kmsg.FetchResponse](n, fetchRequest("stamped", 0, 0)).Topics[0].Partitions[0].RecordBatches
	b, _, err := record.Next(got)
	if err != nil || b.CRC() != b.ComputeCRC() || b.TimestampType() != record.LogAppendTime || b.MaxTimestamp() != p.LogAppendTime {
		t.Errorf("%v, crc %x computed %x, type %d, max %d", err, b.CRC(), b.ComputeCRC(), b.TimestampType(), b.MaxTimestamp())
	}
}

// Consumers that fetch by id loop for ever when Metadata gives zero ids.
func TestTrapTopicIDsAreThereAndServed(t *testing.T) {
	n := start(t, setup{})
	id := n.create("ids", 1)
	if id == [16]byte{} {
		t.Fatal("zero id")
	}
	produceOne(t, n, "ids", batch(t, 1, -1, -1, -1))
	for v := int16(13); v <= 17; v++ {
		q := fetchRequest("", 0, 0)
		q.Version, q.Topics[0].TopicID = v, id
		r := once[*kmsg.FetchResponse](n, q)
		if p := r.Topics[0].Partitions[0]; r.Topics[0].TopicID != id || p.ErrorCode != 0 || len(p.RecordBatches) == 0 {
			t.Errorf("v%d: %+v", v, p)
		}
	}
}

// A long poll that is not answered when data comes, or whose answer lies in a buffer, looks like a slow broker.
func TestTrapLongPollIsAnsweredWhenDataComes(t *testing.T) {
	n := start(t, setup{})
	n.create("poll", 1)
	c := n.dial()
	q := fetchRequest("poll", 0, 25*time.Second)
	corr := c.send(q)
	produceOne(t, n, "poll", batch(t, 1, -1, -1, -1))
	began := time.Now()
	r := c.answer(q, corr).(*kmsg.FetchResponse)
	if len(r.Topics[0].Partitions[0].RecordBatches) == 0 || time.Since(began) > 20*time.Second {
		t.Errorf("%d bytes after %v", len(r.Topics[0].Partitions[0].RecordBatches), time.Since(began))
	}
}

// A preferred read replica of 0 sends consumers away; it is -1.
func TestTrapPreferredReadReplicaIsNone(t *testing.T) {
	n := start(t, setup{})
	n.create("preferred", 1)
	q := fetchRequest("preferred", 0, 0)
	q.Version, q.Rack = 11, "somewhere"
	if p := once[*kmsg.FetchResponse](n, q).Topics[0].Partitions[0]; p.PreferredReadReplica != -1 || p.ErrorCode != 0 {
		t.Errorf("%+v", p)
	}
}

// Tools expect exactly the configs they asked for, and all of them when they name none.
func TestTrapDescribeConfigsGivesWhatWasAsked(t *testing.T) {
	n := start(t, setup{})
	n.create("configs", 1)
	ask := func(names []string) map[string]kmsg.ConfigType {
		q := kmsg.NewPtrDescribeConfigsRequest()
		q.Version = 4
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeTopic, "configs", names
		q.Resources = append(q.Resources, r)
		out := map[string]kmsg.ConfigType{}
		for _, c := range once[*kmsg.DescribeConfigsResponse](n, q).Resources[0].Configs {
			out[c.Name] = c.ConfigType
		}
		return out
	}
	if got := ask([]string{"retention.ms", "no.such.config"}); len(got) != 1 || got["retention.ms"] != kmsg.ConfigTypeLong {
		t.Errorf("%v", got)
	}
	if got := ask(nil); len(got) != 36 {
		t.Errorf("%d configs", len(got))
	}
}

// What was acknowledged of an idempotent producer must be known again after a restart, with its first offset.
func TestTrapProducerStateSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	n := start(t, setup{dir: dir})
	n.create("state", 1)
	pid := newProducerID(n, producerIDRequest(4, nil, 0, -1, -1)).ProducerID
	produceOne(t, n, "state", batch(t, 2, -1, -1, -1))
	first := produceOne(t, n, "state", batch(t, 3, pid, 0, 0)).BaseOffset
	n.stop()
	n = start(t, setup{dir: dir})
	until(t, "leader", func() bool { return n.knows("state") })
	if again := produceOne(t, n, "state", batch(t, 3, pid, 0, 0)).BaseOffset; again != first {
		t.Errorf("the repeated batch got offset %d, was %d", again, first)
	}
	if next := produceOne(t, n, "state", batch(t, 1, pid, 0, 3)).BaseOffset; next != first+3 {
		t.Errorf("the next batch got offset %d", next)
	}
}

// An answer given from defaults of a struct would have surplus tags and zero offsets: what is unknown is -1.
func TestTrapUnknownIsMinusOne(t *testing.T) {
	n := start(t, setup{})
	q := produceRequest(10, -1, "nowhere", batch(t, 1, -1, -1, -1))
	c := n.dial()
	corr := c.send(q)
	_, body, err := c.frame()
	if err != nil {
		t.Fatal(err)
	}
	want := kmsg.NewPtrProduceResponse()
	want.Version = 10
	topic := kmsg.NewProduceResponseTopic()
	topic.Topic = "nowhere"
	p := kmsg.NewProduceResponseTopicPartition()
	p.ErrorCode, p.BaseOffset, p.LogAppendTime, p.LogStartOffset = kerr.UnknownTopicOrPartition.Code, -1, -1, -1
	topic.Partitions = append(topic.Partitions, p)
	want.Topics = append(want.Topics, topic)
	if got := append([]byte{0}, want.AppendTo(nil)...); !bytes.Equal(body, got) {
		t.Errorf("answer %d: %x, want %x", corr, body, got)
	}
	if got := listOffset(n, "nowhere", -1); got.ErrorCode != kerr.UnknownTopicOrPartition.Code || got.Offset != -1 || got.Timestamp != -1 {
		t.Errorf("%+v", got)
	}
}

// A filter of a kind that says it is unknown breaks the request: Apache closes the connection.
func TestBrokenACLs(t *testing.T) {
	n := start(t, setup{})
	for what, q := range map[string]*kmsg.DescribeACLsRequest{
		"resource":   {Version: 1, ResourcePatternType: 3, Operation: 3, PermissionType: 3},
		"pattern":    {Version: 1, ResourceType: 2, Operation: 3, PermissionType: 3},
		"operation":  {Version: 1, ResourceType: 2, ResourcePatternType: 3, PermissionType: 3},
		"permission": {Version: 1, ResourceType: 2, ResourcePatternType: 3, Operation: 3},
	} {
		c := n.dial()
		c.send(q)
		if !c.closed() {
			t.Errorf("%s: the connection is open", what)
		}
	}
	r := once[*kmsg.DescribeACLsResponse](n, &kmsg.DescribeACLsRequest{ResourceType: 2, Operation: 3, PermissionType: 3})
	if r.ErrorCode != kerr.SecurityDisabled.Code {
		t.Error("version 0 has no pattern type:", kerr.ErrorForCode(r.ErrorCode))
	}
}
