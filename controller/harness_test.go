package controller

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"gokafka/coordination"
	"gokafka/coordination/zktest"
	"gokafka/coordination/znode"
	"gokafka/internal/clock"
	"gokafka/metadata"
	"gokafka/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testCluster is a ZooKeeper, and brokers that are real towards it and fake towards the controller.
type testCluster struct {
	t     *testing.T
	zk    *zktest.Server
	admin *coordination.Session

	mu      sync.Mutex
	brokers map[int32]*fakeBroker // by id; also those that are down
	leaders map[office]int32
}

// office is a partition's leader epoch. Whatever happens, nobody may ever hear of two leaders of one: two brokers would
// both accept writes.
type office struct {
	topic     metadata.TopicID
	partition int32
	epoch     int32
}

func (tc *testCluster) heard(topic metadata.TopicID, partition, epoch, leader int32) {
	tc.mu.Lock()
	defer tc.mu.Unlock()
	o := office{topic, partition, epoch}
	if before, ok := tc.leaders[o]; ok && before != leader {
		tc.t.Errorf("two leaders, %d and %d, of partition %d of topic id %v in leader epoch %d", before, leader, partition, topic, epoch)
	}
	tc.leaders[o] = leader
}

func newTestCluster(t *testing.T) *testCluster {
	tc := &testCluster{t: t, zk: zktest.Start(t), brokers: map[int32]*fakeBroker{}, leaders: map[office]int32{}}
	t.Cleanup(func() { // runs last: every controller has stopped and hung up
		for _, b := range tc.sorted() {
			b.wg.Wait()
		}
	})
	tc.admin, _ = tc.zk.Open(t)
	if err := znode.CreatePersistentPaths(t.Context(), tc.g()); err != nil {
		t.Fatal(err)
	}
	return tc
}

func (tc *testCluster) g() *coordination.Generation { return tc.admin.Current() }

// fakeBroker keeps what a broker would know: roles by LeaderAndIsr, the cache by UpdateMetadata. It checks epochs as
// Kafka 3.9 does.
type fakeBroker struct {
	tc *testCluster
	id int32

	session *coordination.Session
	link    *zktest.Link
	c       *Controller
	expired *coordination.Generation

	wg sync.WaitGroup // connections

	mu          sync.Mutex
	up          bool
	conns       map[net.Conn]bool
	registered  znode.Registered
	maxEpoch    int32 // highest controller epoch seen
	requests    []string
	roles       map[metadata.TopicPartition]kmsg.LeaderAndISRRequestTopicPartition
	cache       map[metadata.TopicPartition]kmsg.UpdateMetadataRequestTopicPartition
	live        []int32
	topicNames  map[metadata.TopicID]string
	failedDir   map[metadata.TopicPartition]bool // answers KAFKA_STORAGE_ERROR
	cannotStop  bool                             // answers StopReplica with an error
	frozen      chan struct{}                    // if not nil, requests wait for it
	stopsSeen   int
	refusedSeen int // requests refused for an old controller epoch
}

// start registers a broker.
func (tc *testCluster) start(id int32) *fakeBroker {
	tc.t.Helper()
	tc.mu.Lock()
	b := tc.brokers[id]
	if b == nil {
		b = &fakeBroker{tc: tc, id: id, topicNames: map[metadata.TopicID]string{}, failedDir: map[metadata.TopicPartition]bool{}}
		tc.brokers[id] = b
	}
	tc.mu.Unlock()
	b.session, b.link = tc.zk.Open(tc.t)
	b.mu.Lock()
	b.up, b.conns, b.maxEpoch = true, map[net.Conn]bool{}, 0
	b.roles = map[metadata.TopicPartition]kmsg.LeaderAndISRRequestTopicPartition{}
	b.cache = map[metadata.TopicPartition]kmsg.UpdateMetadataRequestTopicPartition{}
	b.mu.Unlock()
	if err := b.register(tc.t.Context(), b.session.Current()); err != nil {
		tc.t.Fatal(err)
	}
	return b
}

func (b *fakeBroker) register(ctx context.Context, g *coordination.Generation) error {
	b.mu.Lock()
	prev := b.registered
	b.mu.Unlock()
	r, err := znode.RegisterBroker(ctx, g, znode.Registration{
		Broker: metadata.Broker{ID: b.id, Rack: "r" + strconv.Itoa(int(b.id)), Endpoints: []metadata.Endpoint{
			{Listener: "PLAINTEXT", Protocol: metadata.Plaintext, Host: "fake", Port: b.id},
		}}, JMXPort: -1,
	}, prev)
	b.mu.Lock()
	b.registered = r
	b.mu.Unlock()
	return err
}

// stop ends the broker's session and connections.
func (b *fakeBroker) stop() {
	b.stopController()
	if err := b.session.Close(); err != nil {
		b.tc.t.Error(err)
	}
	b.mu.Lock()
	b.up = false
	for c := range b.conns {
		c.Close()
	}
	b.mu.Unlock()
}

// expire ends the broker's session on the server, and waits for that session to begin if it has not.
func (b *fakeBroker) expire() {
	eventually(b.tc.t, "the broker has a session", func() bool {
		g := b.session.Current()
		return g.Err() == nil && g != b.expired
	})
	b.expired = b.session.Current()
	if err := b.link.Expire(b.tc.t.Context()); err != nil {
		b.tc.t.Fatal(err)
	}
}

// control starts the broker's controller.
func (b *fakeBroker) control(edit ...func(*Options)) *Controller {
	b.tc.t.Helper()
	opt := Options{
		BrokerID: b.id, Session: b.session, Clock: clock.New(), InterBrokerListener: "PLAINTEXT", DeleteTopicEnable: true,
		Dial: b.tc.dial, LeaderImbalancePerBrokerPct: 10,
		Register: func(ctx context.Context, g *coordination.Generation) (int64, error) {
			err := b.register(ctx, g)
			return b.registered.Epoch, err
		},
	}
	if testing.Verbose() && os.Getenv("CONTROLLER_LOG") != "" {
		opt.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	for _, e := range edit {
		e(&opt)
	}
	b.c = New(opt)
	if err := b.c.Start(b.tc.t.Context()); err != nil {
		b.tc.t.Fatal(err)
	}
	b.tc.t.Cleanup(b.stopController)
	return b.c
}

func (b *fakeBroker) stopController() {
	if b.c != nil {
		b.c.Stop()
	}
}

// dial reaches the broker whose port is its id.
func (tc *testCluster) dial(_ context.Context, addr string) (net.Conn, error) {
	_, port, _ := net.SplitHostPort(addr)
	id, _ := strconv.Atoi(port)
	tc.mu.Lock()
	b := tc.brokers[int32(id)]
	tc.mu.Unlock()
	if b == nil {
		return nil, errors.New("no such host")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.up {
		return nil, errors.New("connection refused")
	}
	near, far := net.Pipe()
	b.conns[far] = true
	b.wg.Go(func() { b.serve(far) })
	return near, nil
}

func (b *fakeBroker) serve(nc net.Conn) {
	defer nc.Close()
	for {
		var head [4]byte
		if _, err := io.ReadFull(nc, head[:]); err != nil {
			return
		}
		frame := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(nc, frame); err != nil {
			return
		}
		h, body, err := protocol.ParseHeader(frame)
		if err != nil {
			b.tc.t.Error(err)
			return
		}
		req, err := protocol.Decode(h.Key, h.Version, body)
		if err != nil {
			b.tc.t.Errorf("broker %d: %v", b.id, err)
			return
		}
		b.mu.Lock()
		frozen := b.frozen
		b.mu.Unlock()
		if frozen != nil {
			<-frozen
		}
		if _, err := nc.Write(protocol.AppendResponse(nil, h.Key, h.CorrelationID, b.handle(req))); err != nil {
			return
		}
	}
}

func (b *fakeBroker) handle(req kmsg.Request) kmsg.Response {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch req := req.(type) {
	case *kmsg.LeaderAndISRRequest:
		return b.leaderAndIsr(req)
	case *kmsg.UpdateMetadataRequest:
		return b.updateMetadata(req)
	case *kmsg.StopReplicaRequest:
		return b.stopReplica(req)
	}
	b.tc.t.Errorf("broker %d got %T", b.id, req)
	return req.ResponseKind()
}

// stale checks the epochs of a request: 77, 11 or 0.
func (b *fakeBroker) stale(controllerEpoch int32, brokerEpoch int64) int16 {
	switch {
	case brokerEpoch < b.registered.Epoch && brokerEpoch != -1:
		return 77
	case controllerEpoch < b.maxEpoch:
		b.refusedSeen++
		return 11
	}
	b.maxEpoch = controllerEpoch
	return 0
}

func (b *fakeBroker) leaderAndIsr(req *kmsg.LeaderAndISRRequest) kmsg.Response {
	resp := &kmsg.LeaderAndISRResponse{Version: req.Version, ErrorCode: b.stale(req.ControllerEpoch, req.BrokerEpoch)}
	var n []string
	for _, t := range req.TopicStates {
		b.topicNames[t.TopicID] = t.Topic
		rt := kmsg.LeaderAndISRResponseTopic{TopicID: t.TopicID}
		for _, p := range t.PartitionStates {
			tp := metadata.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			code := int16(0)
			b.tc.heard(t.TopicID, p.Partition, p.LeaderEpoch, p.Leader)
			old, known := b.roles[tp]
			switch {
			case b.failedDir[tp]:
				code = 56
			case known && p.LeaderEpoch <= old.LeaderEpoch:
				code = 11
			case resp.ErrorCode == 0:
				b.roles[tp] = p
			}
			rt.Partitions = append(rt.Partitions, kmsg.LeaderAndISRResponseTopicPartition{Partition: p.Partition, ErrorCode: code})
			n = append(n, fmt.Sprintf("%v leader %d/%d isr %v new %v", tp, p.Leader, p.LeaderEpoch, p.ISR, p.IsNew))
		}
		resp.Topics = append(resp.Topics, rt)
	}
	b.requests = append(b.requests, fmt.Sprintf("LeaderAndIsr v%d (%d) %s", req.Version, resp.ErrorCode, strings.Join(n, ", ")))
	return resp
}

func (b *fakeBroker) updateMetadata(req *kmsg.UpdateMetadataRequest) kmsg.Response {
	resp := &kmsg.UpdateMetadataResponse{Version: req.Version, ErrorCode: b.stale(req.ControllerEpoch, req.BrokerEpoch)}
	var n []string
	for _, t := range req.TopicStates {
		for _, p := range t.PartitionStates {
			tp := metadata.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			n = append(n, fmt.Sprintf("%v leader %d/%d", tp, p.Leader, p.LeaderEpoch))
			if p.Leader != metadata.LeaderDuringDelete {
				b.tc.heard(t.TopicID, p.Partition, p.LeaderEpoch, p.Leader)
			}
			if resp.ErrorCode != 0 {
				continue
			}
			if p.Leader == metadata.LeaderDuringDelete {
				delete(b.cache, tp)
			} else {
				b.cache[tp] = p
			}
		}
	}
	if resp.ErrorCode == 0 {
		b.live = nil
		for _, l := range req.LiveBrokers {
			b.live = append(b.live, l.ID)
		}
	}
	b.requests = append(b.requests, fmt.Sprintf("UpdateMetadata v%d (%d) live %v %s", req.Version, resp.ErrorCode, b.live, strings.Join(n, ", ")))
	return resp
}

func (b *fakeBroker) stopReplica(req *kmsg.StopReplicaRequest) kmsg.Response {
	resp := &kmsg.StopReplicaResponse{Version: req.Version, ErrorCode: b.stale(req.ControllerEpoch, req.BrokerEpoch)}
	var n []string
	for _, t := range req.Topics {
		for _, p := range t.PartitionStates {
			tp := metadata.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			code := int16(0)
			if b.cannotStop {
				code = 56
			} else if p.Delete && resp.ErrorCode == 0 {
				delete(b.roles, tp)
			}
			b.stopsSeen++
			resp.Partitions = append(resp.Partitions, kmsg.StopReplicaResponsePartition{Topic: t.Topic, Partition: p.Partition, ErrorCode: code})
			n = append(n, fmt.Sprintf("%v epoch %d delete %v", tp, p.LeaderEpoch, p.Delete))
		}
	}
	b.requests = append(b.requests, fmt.Sprintf("StopReplica v%d (%d) %s", req.Version, resp.ErrorCode, strings.Join(n, ", ")))
	return resp
}

// log returns and forgets the requests that the broker got.
func (b *fakeBroker) log() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.requests
	b.requests = nil
	return out
}

// createTopic writes a topic's znodes, as any broker does.
func (tc *testCluster) createTopic(name string, replicas ...[]int32) metadata.TopicID {
	tc.t.Helper()
	t := znode.Topic{Name: name, ID: metadata.NewTopicID(), Partitions: map[int32]znode.Assignment{}}
	for i, r := range replicas {
		t.Partitions[int32(i)] = znode.Assignment{Replicas: r}
	}
	if err := tc.g().CreateAll(tc.t.Context(), znode.EntityPath(znode.TopicEntity, name), znode.EncodeConfig(nil)); err != nil {
		tc.t.Fatal(err)
	}
	if err := znode.CreateTopic(tc.t.Context(), tc.g(), t); err != nil {
		tc.t.Fatal(err)
	}
	return t.ID
}

// states reads all partition states from the store.
func (tc *testCluster) states() map[metadata.TopicPartition]metadata.PartitionState {
	out := map[metadata.TopicPartition]metadata.PartitionState{}
	names, err := znode.ListTopics(tc.t.Context(), tc.g(), false)
	if err != nil {
		tc.t.Fatal(err)
	}
	topics, err := znode.ReadTopics(tc.t.Context(), tc.g(), names, false)
	if err != nil {
		tc.t.Fatal(err)
	}
	for _, t := range topics {
		for i := range t.Partitions {
			tp := metadata.TopicPartition{Topic: t.Name, Partition: i}
			rs, err := znode.ReadStates(tc.t.Context(), tc.g(), []metadata.TopicPartition{tp})
			if err != nil {
				tc.t.Fatal(err)
			}
			if rs[0].OK {
				out[tp] = rs[0].State
			} else {
				out[tp] = metadata.PartitionState{Leader: -9}
			}
		}
	}
	return out
}

// show is the cluster as stored and as its brokers see it. Caches are shown only where they differ from the store.
func (tc *testCluster) show() string {
	var w strings.Builder
	cur, ok, err := znode.ReadController(tc.t.Context(), tc.g(), false)
	if err != nil {
		tc.t.Fatal(err)
	}
	if ok {
		epoch, _, _, _ := znode.ReadControllerEpoch(tc.t.Context(), tc.g())
		fmt.Fprintf(&w, "controller %d epoch %d\n", cur.BrokerID, epoch)
	} else {
		fmt.Fprintln(&w, "no controller")
	}
	states := tc.states()
	for _, tp := range slices.SortedFunc(maps.Keys(states), compareTP) {
		st := states[tp]
		if st.Leader == -9 {
			fmt.Fprintf(&w, "%v has no state\n", tp)
			continue
		}
		fmt.Fprintf(&w, "%v leader %d epoch %d isr %v", tp, st.Leader, st.LeaderEpoch, st.ISR)
		if st.Recovery != 0 {
			fmt.Fprint(&w, " recovering")
		}
		for _, b := range tc.sorted() {
			if r, ok := b.role(tp); ok {
				fmt.Fprintf(&w, "; %d: %s", b.id, r)
			}
		}
		fmt.Fprintln(&w)
	}
	for _, b := range tc.sorted() {
		if !b.isUp() {
			continue
		}
		fmt.Fprintf(&w, "broker %d sees %v%s\n", b.id, b.seen(), b.differs(states))
	}
	return w.String()
}

func (tc *testCluster) sorted() []*fakeBroker {
	tc.mu.Lock()
	defer tc.mu.Unlock()
	return slices.SortedFunc(maps.Values(tc.brokers), func(a, b *fakeBroker) int { return cmp.Compare(a.id, b.id) })
}

func (b *fakeBroker) isUp() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.up
}

func (b *fakeBroker) seen() []int32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.live
}

func (b *fakeBroker) role(tp metadata.TopicPartition) (string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.roles[tp]
	switch {
	case !ok || !b.up:
		return "", false
	case p.Leader == b.id:
		return fmt.Sprintf("leads at %d", p.LeaderEpoch), true
	}
	return fmt.Sprintf("follows %d at %d", p.Leader, p.LeaderEpoch), true
}

func (b *fakeBroker) differs(states map[metadata.TopicPartition]metadata.PartitionState) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for tp, st := range states {
		if c, ok := b.cache[tp]; !ok {
			out = append(out, fmt.Sprintf("not %v", tp))
		} else if c.Leader != st.Leader || c.LeaderEpoch != st.LeaderEpoch || !slices.Equal(c.ISR, st.ISR) || c.ZKVersion != st.PartitionEpoch {
			out = append(out, fmt.Sprintf("%v leader %d epoch %d isr %v", tp, c.Leader, c.LeaderEpoch, c.ISR))
		}
	}
	for tp := range b.cache {
		if _, ok := states[tp]; !ok {
			out = append(out, fmt.Sprintf("%v still", tp))
		}
	}
	if len(out) == 0 {
		return ", cache as stored"
	}
	slices.Sort(out)
	return ", cache differs: " + strings.Join(out, ", ")
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	zktest.Eventually(t, what, ok)
}

var errStillRunning = errors.New("still running")

func within[T any](t *testing.T, f func() (T, error)) (T, error) {
	t.Helper()
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-time.After(30 * time.Second):
		var zero T
		return zero, errStillRunning
	}
}
