package replication

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"gokafka/config"
	"gokafka/internal/clock"
	"gokafka/internal/vfs"
	"gokafka/logstore"
	"gokafka/logstore/logdir"
	"gokafka/metadata"
	"gokafka/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a broker's replicas on a disk in memory.
type node struct {
	*Manager
	t    *testing.T
	fs   *vfs.Faulty
	disk *vfs.Mem
	cfg  *config.Topic // of all topics
	net  *network
	once sync.Once                          // down
	hook atomic.Pointer[func(vfs.Op) error] // fails calls of the file system; nil = none
}

// network lets the nodes of a test fetch from each other.
type network struct {
	mu    sync.Mutex
	nodes map[int32]*node
	cut   map[int32]bool // leaders who cannot be reached
	// tap sees each request and may answer it in the leader's place.
	tap func(from, to int32, q kmsg.Request) kmsg.Response
}

func testTopic() *config.Topic {
	return &config.Topic{
		CleanupDelete: true, CompressionType: "producer", DeleteRetention: 24 * time.Hour, FileDeleteDelay: time.Minute,
		FlushMessages: math.MaxInt64, FlushInterval: math.MaxInt64, IndexIntervalBytes: 4096, MaxCompactionLag: math.MaxInt64,
		MaxMessageBytes: 1048588, MinInsyncReplicas: 1, RetentionBytes: -1, Retention: -1,
		SegmentBytes: 1 << 30, SegmentIndexBytes: 10 << 20, SegmentMaxAge: 7 * 24 * time.Hour,
		TimestampBeforeMax: math.MaxInt64, TimestampAfterMax: math.MaxInt64,
		CompressionGzipLevel: -1, CompressionLz4Level: 9, CompressionZstdLevel: 3,
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newNode starts a broker on an empty disk. change may be nil.
func newNode(t *testing.T, id int32, change func(*Options)) *node {
	t.Helper()
	return openNode(t, id, vfs.NewMem(), nil, change)
}

func openNode(t *testing.T, id int32, disk *vfs.Mem, net *network, change func(*Options)) *node {
	t.Helper()
	n := &node{t: t, disk: disk, cfg: testTopic(), net: net}
	n.fs = vfs.NewFaulty(disk, func(op vfs.Op) error {
		if h := n.hook.Load(); h != nil {
			return (*h)(op)
		}
		return nil
	})
	logger := slog.New(slog.DiscardHandler)
	if os.Getenv("GOKAFKA_TEST_LOG") != "" {
		logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("broker", id)
	}
	clk := clock.New()
	logs, err := logdir.Open(logdir.Options{
		FS: n.fs, Dirs: []string{fmt.Sprintf("/d%d-a", id), fmt.Sprintf("/d%d-b", id)}, Clock: clk, Logger: logger, Codecs: record.NewCodecs(),
		TopicConfig: func(string) *config.Topic { return n.cfg }, Producers: logstore.ProducerOptions{ExpirationMs: 86400000, MaxTxnTimeoutMs: 900000},
		RecoveryThreads: 1, FileDeleteDelay: time.Minute,
		OnDirFailure: func(_ string, lost []metadata.TopicPartition, _ error) { n.LogDirFailed(lost) },
	}, id, "cluster")
	must(t, err)
	o := Options{
		BrokerID: id, Logs: logs, Metadata: metadata.NewCache(), TopicConfig: func(string) *config.Topic { return n.cfg },
		LoadTopics: func(context.Context, []string) error { return nil }, Clock: clk, Logger: logger,
		FetchWaitMax: 50 * time.Millisecond, FetchBackoff: 80 * time.Millisecond,
	}
	if net != nil {
		o.PeerAddr = func(int32) (string, bool) { return "", true }
	}
	if change != nil {
		change(&o)
	}
	n.Manager = NewManager(o)
	if net != nil {
		n.Manager.connect = func(leader int32, _ int) leaderLink {
			return leaderLink{func(ctx context.Context, q kmsg.Request) (kmsg.Response, error) {
				return net.request(ctx, id, leader, q)
			}, func() {}}
		}
		net.mu.Lock()
		net.nodes[id] = n
		net.mu.Unlock()
	}
	n.live(0, 1, 2, 3)
	t.Cleanup(n.down)
	return n
}

// down ends the node without a clean shutdown of its logs.
func (n *node) down() {
	n.once.Do(func() {
		if n.net != nil {
			n.net.mu.Lock()
			if n.net.nodes[n.brokerID] == n {
				delete(n.net.nodes, n.brokerID)
			}
			n.net.mu.Unlock()
		}
		n.Manager.Close()
		n.logs.Abandon()
	})
}

// live makes these brokers the live ones.
func (n *node) live(ids ...int32) {
	n.t.Helper()
	u := metadata.Update{ControllerID: 0}
	for _, id := range ids {
		u.Brokers = append(u.Brokers, &metadata.Broker{ID: id})
	}
	_, _, err := n.UpdateMetadata(n.t.Context(), n.controllerEpoch, u)
	must(n.t, err)
}

var (
	topicID = metadata.TopicID{1: 7}
	t0      = metadata.TopicPartition{Topic: "t", Partition: 0}
)

// state is a LeaderAndIsr of t-0.
func state(leader, epoch, partitionEpoch int32, isr ...int32) LeaderAndISRPartition {
	return LeaderAndISRPartition{
		TopicPartition: t0, TopicID: topicID, Replicas: []int32{1, 2, 3}, IsNew: true,
		State: metadata.PartitionState{ControllerEpoch: 1, Leader: leader, LeaderEpoch: epoch, PartitionEpoch: partitionEpoch, ISR: isr},
	}
}

// apply applies a state and returns its outcome.
func (n *node) apply(s LeaderAndISRPartition) error {
	n.t.Helper()
	parts := []LeaderAndISRPartition{s}
	must(n.t, n.LeaderAndISR(n.t.Context(), 1, parts))
	return parts[0].Err
}

// role is apply of a state that has to be taken.
func (n *node) role(leader, epoch, partitionEpoch int32, isr ...int32) *Partition {
	n.t.Helper()
	must(n.t, n.apply(state(leader, epoch, partitionEpoch, isr...)))
	return n.Partition(t0)
}

// produced is what a producer sends: a batch of the values.
func produced(t testing.TB, change func(*record.BatchSpec), values ...string) []byte {
	t.Helper()
	return producedAt(t, 1000, change, values...)
}

// producedAt is produced with the timestamp of the records, by which their producer expires.
func producedAt(t testing.TB, timestampMs int64, change func(*record.BatchSpec), values ...string) []byte {
	t.Helper()
	spec := record.NewBatchSpec()
	if change != nil {
		change(&spec)
	}
	b := record.NewBuilder(spec)
	for _, v := range values {
		must(t, b.Append(timestampMs, nil, []byte(v)))
	}
	out, _, err := b.Build(nil, record.NewCodecs())
	must(t, err)
	return out
}

// idempotent makes a batch one of producer 9.
func idempotent(seq int32) func(*record.BatchSpec) {
	return func(s *record.BatchSpec) { s.ProducerID, s.ProducerEpoch, s.BaseSequence = 9, 0, seq }
}

// send appends one batch to t-0.
func (n *node) send(acks int16, batch []byte) []Append {
	parts := []Append{{Topic: []byte("t"), Records: batch, Version: 9}}
	n.Append(acks, parts)
	return parts
}

// sendOK is send of values that have to be taken. They are not waited for.
func (n *node) sendOK(values ...string) {
	n.t.Helper()
	for _, v := range values {
		must(n.t, n.send(AcksLeader, produced(n.t, nil, v))[0].Err)
	}
}

// fetchAs is a fetch of a follower that has everything below offset.
func (n *node) fetchAs(id int32, offset int64) (ReadResult, error) {
	p := n.Partition(t0)
	_, epoch := p.LeaderHint()
	q := ReadRequest{ReplicaID: id, CurrentEpoch: epoch, FetchOffset: offset, LastFetchedEpoch: NoEpoch, MaxBytes: 1 << 20, MinOneBatch: true, Isolation: ReadLogEnd, OnlyLeader: true}
	r, err := p.Read(&q)
	if err != nil {
		return r, err
	}
	if r.Records != nil {
		r.Records.Release()
	}
	p.FollowerFetched(&q, &r, n.clk.Mono(), nil)
	return r, nil
}

// fetched is fetchAs that has to work.
func (n *node) fetched(id int32, offset int64) {
	n.t.Helper()
	_, err := n.fetchAs(id, offset)
	must(n.t, err)
}

// dirFails takes t-0 offline.
func (n *node) dirFails() {
	n.t.Helper()
	n.LogDirFailed([]metadata.TopicPartition{t0, {Topic: "unknown"}})
	eventually(n.t, "the partition is offline", func() bool { return n.Counts().Offline == 1 })
}

func (n *node) log() *logstore.Log {
	l, ok := n.logs.Get(t0)
	if !ok {
		return nil
	}
	return l
}

// values are the records of the log, each as epoch:value.
func (n *node) values() []string {
	n.t.Helper()
	var out []string
	l := n.log()
	for off := l.LogStartOffset(); off < l.LogEndOffset(); {
		r, err := l.Read(off, 1<<20, logstore.LogEnd, true)
		must(n.t, err)
		buf := make([]byte, r.Range.Len)
		must(n.t, r.Range.CopyTo(buf))
		r.Range.Release()
		for len(buf) > 0 {
			b, rest, err := record.Next(buf)
			must(n.t, err)
			it := b.Iterate(b.RecordsBlock())
			var r record.Record
			for it.Next(&r) {
				out = append(out, fmt.Sprintf("%d:%s", b.LeaderEpoch(), r.Value))
			}
			must(n.t, it.Err())
			off, buf = b.NextOffset(), rest
		}
	}
	return out
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// code is the Kafka error within err, nil if there is none.
func code(err error) *kerr.Error {
	var k *kerr.Error
	errors.As(err, &k)
	return k
}

func wantCode(t testing.TB, what string, err error, want *kerr.Error) {
	t.Helper()
	if code(err) != want {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func newNetwork() *network { return &network{nodes: map[int32]*node{}, cut: map[int32]bool{}} }

var errCut = errors.New("the leader cannot be reached")

func (net *network) request(ctx context.Context, from, to int32, q kmsg.Request) (kmsg.Response, error) {
	net.mu.Lock()
	n, cut, tap := net.nodes[to], net.cut[to], net.tap
	net.mu.Unlock()
	if tap != nil {
		if r := tap(from, to, q); r != nil {
			return r, nil
		}
	}
	if n == nil || cut {
		return nil, errCut
	}
	switch q := q.(type) {
	case *kmsg.FetchRequest:
		resp := n.serveFetch(ctx, q)
		net.mu.Lock()
		defer net.mu.Unlock()
		if net.cut[to] {
			return nil, errCut // cut while the request waited
		}
		return resp, nil
	case *kmsg.ListOffsetsRequest:
		return n.serveListOffsets(q), nil
	}
	return nil, errors.New("unknown request")
}

func (net *network) setCut(id int32, cut bool) {
	net.mu.Lock()
	defer net.mu.Unlock()
	net.cut[id] = cut
}

func codeOf(err error) int16 {
	if err == nil {
		return 0
	}
	if k := code(err); k != nil {
		return k.Code
	}
	return -1
}

// serveFetch answers without sessions, after a short wait if there is nothing.
func (n *node) serveFetch(ctx context.Context, q *kmsg.FetchRequest) kmsg.Response {
	began := n.clk.Mono()
	resp, bytes := n.readFetch(q, began)
	if bytes > 0 {
		return resp
	}
	w := NewWaiter()
	for i := range q.Topics {
		for j := range q.Topics[i].Partitions {
			if p := n.Manager.Partition(metadata.TopicPartition{Topic: "t", Partition: q.Topics[i].Partitions[j].Partition}); p != nil {
				defer w.Subscribe(p, nil).Cancel()
			}
		}
	}
	resp, bytes = n.readFetch(q, began)
	t := time.NewTimer(time.Duration(q.MaxWaitMillis) * time.Millisecond)
	defer t.Stop()
	for bytes == 0 {
		select {
		case <-w.Wake():
			w.TakeDirty(nil)
			resp, bytes = n.readFetch(q, began)
			continue
		case <-t.C:
		case <-ctx.Done():
		}
		break
	}
	return resp
}

func (n *node) readFetch(q *kmsg.FetchRequest, began time.Duration) (*kmsg.FetchResponse, int) {
	resp := q.ResponseKind().(*kmsg.FetchResponse)
	total := 0
	for i := range q.Topics {
		rt := kmsg.NewFetchResponseTopic()
		rt.Topic, rt.TopicID = q.Topics[i].Topic, q.Topics[i].TopicID
		for _, part := range q.Topics[i].Partitions {
			rp := kmsg.NewFetchResponseTopicPartition()
			rp.Partition = part.Partition
			total += n.readFetchPartition(q, &part, &rp, began)
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp, total
}

// readFetchPartition returns the bytes read; 1 for anything else that ends the wait.
func (n *node) readFetchPartition(q *kmsg.FetchRequest, part *kmsg.FetchRequestTopicPartition, rp *kmsg.FetchResponseTopicPartition, began time.Duration) int {
	p := n.Manager.Partition(metadata.TopicPartition{Topic: "t", Partition: part.Partition})
	if p == nil {
		rp.ErrorCode = kerr.UnknownTopicID.Code
		return 1
	}
	rq := ReadRequest{ReplicaID: max(q.ReplicaState.ID, q.ReplicaID), CurrentEpoch: part.CurrentLeaderEpoch, FetchOffset: part.FetchOffset, LastFetchedEpoch: part.LastFetchedEpoch,
		LogStartOffset: part.LogStartOffset, MaxBytes: int(part.PartitionMaxBytes), MinOneBatch: true, Isolation: ReadLogEnd, OnlyLeader: true}
	r, err := p.Read(&rq)
	if err != nil {
		rp.ErrorCode, rp.HighWatermark = codeOf(err), -1
		return 1
	}
	p.FollowerFetched(&rq, &r, began, nil)
	rp.HighWatermark, rp.LogStartOffset = r.HighWatermark, r.LogStartOffset
	if r.Diverged {
		rp.DivergingEpoch.Epoch, rp.DivergingEpoch.EndOffset = r.DivergingEpoch, r.DivergingOffset
		return 1
	}
	if r.Records == nil {
		return 0
	}
	defer r.Records.Release()
	rp.RecordBatches = make([]byte, r.Records.Len())
	if _, err := r.Records.ReadAt(rp.RecordBatches, 0); err != nil {
		rp.ErrorCode = -1
	}
	return len(rp.RecordBatches)
}

func (n *node) serveListOffsets(q *kmsg.ListOffsetsRequest) kmsg.Response {
	resp := q.ResponseKind().(*kmsg.ListOffsetsResponse)
	for _, t := range q.Topics {
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic = t.Topic
		for _, part := range t.Partitions {
			rp := kmsg.NewListOffsetsResponseTopicPartition()
			rp.Partition = part.Partition
			found, err := n.Manager.Partition(metadata.TopicPartition{Topic: t.Topic, Partition: part.Partition}).OffsetForTimestamp(part.Timestamp, ReadLogEnd, part.CurrentLeaderEpoch, true)
			rp.ErrorCode, rp.Offset, rp.LeaderEpoch = codeOf(err), found.Offset, found.LeaderEpoch
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// sameLogs waits until the logs of nodes have the same records and high watermark, and compares epochs and producers.
func sameLogs(t *testing.T, a, b *node) {
	t.Helper()
	eventually(t, "both logs end at the same offset", func() bool {
		return a.log().LogEndOffset() == b.log().LogEndOffset() && a.log().HighWatermark() == b.log().HighWatermark()
	})
	if x, y := a.values(), b.values(); !slices.Equal(x, y) {
		t.Errorf("broker %d has %v, broker %d has %v", a.brokerID, x, b.brokerID, y)
	}
	if x, y := fmt.Sprint(a.log().ActiveProducers()), fmt.Sprint(b.log().ActiveProducers()); x != y {
		t.Errorf("broker %d knows producers %v, broker %d %v", a.brokerID, x, b.brokerID, y)
	}
}
