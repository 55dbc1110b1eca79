package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.uber.org/goleak"

	"gokafka/config"
	"gokafka/internal/clock"
	"gokafka/internal/vfs"
	"gokafka/logstore"
	"gokafka/logstore/logdir"
	"gokafka/metadata"
	"gokafka/protocol"
	"gokafka/record"
	"gokafka/replication"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// countingFS counts the open log segments. A segment is closed when its log is, and every answer that holds records of it has let go of them.
type countingFS struct {
	*vfs.Mem
	open atomic.Int64
}

type countedFile struct {
	vfs.File
	open *atomic.Int64
}

func (f *countingFS) OpenFile(name string, flag int, perm os.FileMode) (vfs.File, error) {
	file, err := f.Mem.OpenFile(name, flag, perm)
	if err != nil || !strings.HasSuffix(name, ".log") {
		return file, err
	}
	f.open.Add(1)
	return &countedFile{file, &f.open}, nil
}

func (f *countedFile) Close() error {
	f.open.Add(-1)
	return f.File.Close()
}

// host is broker 0: real logs in memory, real partitions, and the manager under test.
type host struct {
	tb       testing.TB
	fs       *countingFS
	clk      *clock.Clock
	cfg      *config.Topic
	logs     *logdir.Manager
	cache    *metadata.Cache
	replicas *replication.Manager
	m        *Manager
	epoch    int32 // of the last LeaderAndIsr
	codecs   *record.Codecs
	closed   bool
}

// newHost starts a broker with slots sessions. At the end of the test it is closed.
func newHost(tb testing.TB, slots int) *host {
	tb.Helper()
	h := &host{tb: tb, fs: &countingFS{Mem: vfs.NewMem()}, clk: clock.New(), cache: metadata.NewCache(), codecs: record.NewCodecs()}
	cfg, err := config.NewBroker(map[string]string{"broker.id": "0", "log.dirs": "/data", "zookeeper.connect": "unused:2181"})
	if err != nil {
		tb.Fatal(err)
	}
	h.cfg = cfg.Topic()
	topicConfig := func(string) *config.Topic { return h.cfg }
	logger := slog.New(slog.DiscardHandler)
	h.logs, err = logdir.Open(logdir.Options{FS: h.fs, Dirs: []string{"/data"}, Clock: h.clk, Logger: logger, Codecs: h.codecs, TopicConfig: topicConfig,
		Producers: logstore.ProducerOptions{ExpirationMs: 86400000, MaxTxnTimeoutMs: 900000}, RecoveryThreads: 1}, 0, "cluster")
	if err != nil {
		tb.Fatal(err)
	}
	h.replicas = replication.NewManager(replication.Options{BrokerID: 0, Logs: h.logs, Metadata: h.cache, TopicConfig: topicConfig,
		LoadTopics: func(context.Context, []string) error { return nil }, Clock: h.clk, Logger: logger})
	h.m = NewManager(Options{Replicas: h.replicas, Metadata: h.cache, Clock: h.clk, Logger: logger, MaxSessions: slots})
	tb.Cleanup(h.close)
	return h
}

// close closes everything, unless that has been done, and checks that no segment is held any more.
func (h *host) close() {
	if h.closed {
		return
	}
	h.closed = true
	h.m.Close()
	h.replicas.Close()
	if err := h.logs.Close(); err != nil {
		h.tb.Error(err)
	}
	if n := h.fs.open.Load(); n != 0 {
		h.tb.Errorf("%d segments are still held: records were not released, or twice", n)
	}
}

func tp(topic string, p int32) metadata.TopicPartition {
	return metadata.TopicPartition{Topic: topic, Partition: p}
}

// assign makes partitions of a topic led by a broker, with an ISR, in a new leader epoch, and the cluster know of it.
func (h *host) assign(topic string, id metadata.TopicID, n int, leader int32, isr ...int32) {
	h.tb.Helper()
	h.epoch++
	var states []replication.LeaderAndISRPartition
	u := metadata.TopicUpdate{Name: topic, ID: id}
	replicas := []int32{0, 1}
	if len(isr) == 0 {
		isr = []int32{0}
	}
	for p := range int32(n) {
		state := metadata.PartitionState{ControllerEpoch: 1, Leader: leader, LeaderEpoch: h.epoch, ISR: isr, PartitionEpoch: h.epoch}
		states = append(states, replication.LeaderAndISRPartition{TopicPartition: tp(topic, p), TopicID: id, State: state, Replicas: replicas, IsNew: true})
		u.Partitions = append(u.Partitions, metadata.PartitionUpdate{Index: p, PartitionState: state, Replicas: replicas})
	}
	h.update(u)
	if err := h.replicas.LeaderAndISR(h.tb.Context(), 1, states); err != nil {
		h.tb.Fatal(err)
	}
	for i := range states {
		if states[i].Err != nil {
			h.tb.Fatal(states[i].Err)
		}
	}
}

func (h *host) update(topics ...metadata.TopicUpdate) {
	h.tb.Helper()
	u := metadata.Update{ControllerID: 0, Brokers: []*metadata.Broker{{ID: 0}, {ID: 1}}, Topics: topics}
	if _, _, err := h.replicas.UpdateMetadata(h.tb.Context(), 1, u); err != nil {
		h.tb.Fatal(err)
	}
}

// lead makes a topic of n partitions that this broker leads.
func (h *host) lead(topic string, n int) {
	h.tb.Helper()
	h.assign(topic, metadata.TopicID{}, n, 0)
}

// forget removes a topic from the picture of the cluster, as the first step of its deletion does.
func (h *host) forget(topic string, n int) {
	h.tb.Helper()
	u := metadata.TopicUpdate{Name: topic}
	for p := range int32(n) {
		u.Partitions = append(u.Partitions, metadata.PartitionUpdate{Index: p,
			PartitionState: metadata.PartitionState{Leader: metadata.LeaderDuringDelete}})
	}
	h.update(u)
}

// remove deletes the replicas of a topic.
func (h *host) remove(topic string, n int) {
	h.tb.Helper()
	var parts []replication.StopReplicaPartition
	for p := range int32(n) {
		parts = append(parts, replication.StopReplicaPartition{TopicPartition: tp(topic, p), LeaderEpoch: -2, Delete: true})
	}
	if err := h.replicas.StopReplica(h.tb.Context(), 1, parts); err != nil {
		h.tb.Fatal(err)
	}
	for i := range parts {
		if parts[i].Err != nil {
			h.tb.Fatal(parts[i].Err)
		}
	}
}

// batch builds a batch of n records whose values have size bytes.
func (h *host) batch(n, size int) []byte {
	b := record.NewBuilder(record.NewBatchSpec())
	for i := range n {
		if err := b.AppendAt(int64(i), 1000, nil, bytes.Repeat([]byte{'v'}, size)); err != nil {
			panic(err)
		}
	}
	out, _, err := b.Build(nil, h.codecs)
	if err != nil {
		panic(err)
	}
	return out
}

// append appends a batch and returns its size. Goroutines may call it.
func (h *host) append(topic string, p int32, n, size int) int {
	b := h.batch(n, size)
	a := []replication.Append{{Topic: []byte(topic), Partition: p, Records: b, Version: 9}}
	if h.replicas.Append(replication.AcksLeader, a); a[0].Err != nil {
		panic(a[0].Err)
	}
	return len(b)
}

func (h *host) log(topic string, p int32) *logstore.Log {
	l, ok := h.logs.Get(tp(topic, p))
	if !ok {
		h.tb.Fatalf("no log of %s-%d", topic, p)
	}
	return l
}

func code(err error) int16 {
	var ke *kerr.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &ke):
		return ke.Code
	}
	return -1
}

// ask is a request for parts, without a session and without waiting.
func ask(parts ...Part) *Request {
	return &Request{Version: 12, ReplicaID: -1, MinBytes: 1, MaxBytes: 50 << 20, SessionEpoch: EpochFinal, Parts: parts,
		Authorize: func(string) error { return nil }, Code: code}
}

// in makes q a request of a session.
func (q *Request) in(id, epoch int32) *Request {
	q.SessionID, q.SessionEpoch = id, epoch
	return q
}

func (q *Request) wait(d time.Duration) *Request {
	q.MaxWait = d
	return q
}

func part(topic string, p int32, offset int64) Part {
	return Part{Topic: topic, Partition: p, CurrentEpoch: replication.NoEpoch, FetchOffset: offset, LastFetchedEpoch: replication.NoEpoch, LogStartOffset: -1, MaxBytes: 1 << 20}
}

func partByID(id metadata.TopicID, topic string, p int32, offset int64) Part {
	out := part(topic, p, offset)
	out.ID = id
	return out
}

// do serves q, copies the answer out, and releases it.
func (h *host) do(q *Request) answer { return h.doCtx(h.tb.Context(), q) }

func (h *host) doCtx(ctx context.Context, q *Request) answer {
	resp := h.m.Serve(ctx, q)
	defer resp.Release()
	a := answer{code: resp.ErrorCode, session: resp.SessionID}
	for i := range resp.Results {
		r := &resp.Results[i]
		g := got{FetchResult: *r, next: -1}
		if r.Records != nil {
			g.size = r.Records.Len()
			buf := make([]byte, g.size)
			if _, err := r.Records.ReadAt(buf, 0); err != nil {
				h.tb.Errorf("records of %s-%d: %v", r.Topic, r.Partition, err)
				continue
			}
			for len(buf) > 0 {
				b, rest, err := record.Next(buf)
				if err != nil {
					h.tb.Errorf("records of %s-%d: %v", r.Topic, r.Partition, err)
					break
				}
				for o := b.BaseOffset(); o <= b.LastOffset(); o++ {
					g.offsets = append(g.offsets, o)
				}
				g.next, buf = b.NextOffset(), rest
			}
		}
		a.parts = append(a.parts, g)
	}
	return a
}

// answer is a copy of an answer.
type answer struct {
	code    int16
	session int32
	parts   []got
}

// got is what an answer says of a partition.
type got struct {
	protocol.FetchResult
	size    int
	offsets []int64
	next    int64 // after the last record, -1 without
}

// String tells what matters, in order: "a-0:err3 b-1[5..9]".
func (a answer) String() string {
	var out []string
	if a.code != 0 {
		out = append(out, fmt.Sprintf("error %d", a.code))
	}
	for _, g := range a.parts {
		s := fmt.Sprintf("%s-%d", g.Topic, g.Partition)
		if g.ErrorCode != 0 {
			s += fmt.Sprintf(":err%d", g.ErrorCode)
		}
		if len(g.offsets) > 0 {
			s += fmt.Sprintf("[%d..%d]", g.offsets[0], g.next-1)
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

// expect compares an answer's String.
func expect(tb testing.TB, what string, a answer, want string) {
	tb.Helper()
	if a.String() != want {
		tb.Errorf("%s: %q, want %q", what, a, want)
	}
}

func newResponse() *protocol.FetchResponse { return &protocol.FetchResponse{Version: 12} }

var errDenied = fmt.Errorf("denied: %w", kerr.TopicAuthorizationFailed)
