package controller

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/coordination"
	"gokafka/coordination/zktest"
	"gokafka/coordination/znode"
	"gokafka/metadata"
)

// active are the brokers that believe they are controller.
func (tc *testCluster) active() (out []int32) {
	for _, b := range tc.sorted() {
		if b.c != nil && b.c.IsActive() {
			out = append(out, b.id)
		}
	}
	return out
}

func (tc *testCluster) allLead(topic string, n int) bool {
	led := 0
	for tp, st := range tc.states() {
		if tp.Topic == topic && st.Leader >= 0 {
			led++
		}
	}
	return led == n
}

func TestRaceOfManyCandidatesHasOneWinner(t *testing.T) {
	tc := newTestCluster(t)
	var wg sync.WaitGroup
	for id := range int32(5) {
		b := tc.start(id)
		wg.Go(func() { b.control() })
	}
	wg.Wait()
	tc.awaitController()
	tc.createTopic("t", []int32{0, 1, 2}, []int32{3, 4})
	eventually(t, "the topic is led", func() bool { return tc.allLead("t", 2) })
	if a := tc.active(); len(a) != 1 {
		t.Errorf("controllers %v", a)
	}
	if epoch, _, _, err := znode.ReadControllerEpoch(t.Context(), tc.g()); epoch != 1 || err != nil {
		t.Errorf("epoch %d after one election, %v", epoch, err)
	}
	// Each time the node is deleted there is exactly one more office.
	for round := range int32(4) {
		if err := tc.g().Delete(t.Context(), znode.ControllerPath, coordination.AnyVersion); err != nil {
			t.Fatal(err)
		}
		eventually(t, "one controller of the next epoch", func() bool {
			a := tc.active()
			return len(a) == 1 && tc.brokers[a[0]].c.ActiveEpoch() == round+2
		})
	}
}

func TestControllerCutOffWritesNothingAfterItsSuccessorIsElected(t *testing.T) {
	tc := newTestCluster(t)
	for _, id := range []int32{1, 2} {
		tc.start(id)
	}
	old := tc.brokers[1].control()
	tc.awaitController()
	id := tc.createTopic("t", []int32{2, 1})
	eventually(t, "the topic is led", func() bool { return tc.allLead("t", 1) })
	tc.brokers[2].control()

	tc.brokers[1].link.CutAndExpire(t.Context()) // the old one does not know
	eventually(t, "a successor", func() bool { return slices.Contains(tc.active(), 2) })
	if !old.IsActive() {
		t.Fatal("the old controller knows already: the test tests nothing")
	}
	tp := metadata.TopicPartition{Topic: "t"}
	eventually(t, "the successor took the dead broker out", func() bool { return len(tc.states()[tp].ISR) == 1 })
	before := tc.states()[tp]

	// A leader asks the zombie for an ISR change that is lawful in its eyes. It is stuck in ZooKeeper until the line is back.
	type answer struct {
		rs  []AlterPartitionResult
		err error
	}
	done := make(chan answer, 1)
	processed := old.Metrics().EventsProcessed
	go func() {
		rs, err := old.AlterPartition(t.Context(), AlterPartitionRequest{BrokerID: 2, BrokerEpoch: tc.brokers[2].registered.Epoch,
			Partitions: []AlterPartition{{TopicID: id, LeaderEpoch: 0, ISR: []int32{2}, PartitionEpoch: 0}}})
		done <- answer{rs, err}
	}()
	eventually(t, "the zombie has it", func() bool {
		m := old.Metrics()
		return m.EventsProcessed > processed || m.EventQueueSize > 0
	})
	tc.brokers[1].link.Restore()
	if a := <-done; !errors.Is(a.err, kerr.NotController) {
		t.Errorf("the zombie answered %+v, %v", a.rs, a.err)
	}
	eventually(t, "the zombie has resigned", func() bool { return !old.IsActive() })
	if after := tc.states()[tp]; after.PartitionEpoch != before.PartitionEpoch {
		t.Errorf("state went from %+v to %+v", before, after)
	}
}

func TestEpochRaisedBehindTheControllersBack(t *testing.T) {
	tc := newTestCluster(t)
	tc.start(1)
	c := tc.brokers[1].control()
	tc.awaitController()
	_, version, _, err := znode.ReadControllerEpoch(t.Context(), tc.g())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tc.g().Set(t.Context(), znode.ControllerEpochPath, []byte("41"), version); err != nil {
		t.Fatal(err)
	}
	tc.createTopic("t", []int32{1})
	eventually(t, "the topic is led", func() bool { return tc.allLead("t", 1) })
	if st := tc.states()[metadata.TopicPartition{Topic: "t"}]; st.ControllerEpoch != 42 || c.ActiveEpoch() != 42 {
		t.Errorf("state %+v by a controller of epoch %d, want 42", st, c.ActiveEpoch())
	}
}

func TestBrokerRefusesTheZombiesRequests(t *testing.T) {
	tc := newTestCluster(t)
	for _, id := range []int32{1, 2, 3} {
		tc.start(id)
	}
	tc.brokers[1].control()
	tc.awaitController()
	tc.createTopic("t", []int32{3, 2})
	eventually(t, "the topic is led", func() bool { return tc.allLead("t", 1) })
	// Broker 3 is slow: the zombie's requests reach it after the successor's.
	gate := make(chan struct{})
	b3 := tc.brokers[3]
	b3.mu.Lock()
	b3.maxEpoch = 9 // as if a successor had spoken
	b3.mu.Unlock()
	close(gate)
	tc.createTopic("u", []int32{3})
	eventually(t, "it is refused", func() bool {
		b3.mu.Lock()
		defer b3.mu.Unlock()
		return b3.refusedSeen > 0
	})
	b3.mu.Lock()
	defer b3.mu.Unlock()
	if _, ok := b3.roles[metadata.TopicPartition{Topic: "u"}]; ok {
		t.Error("the broker took a role from a zombie")
	}
}

// A reply lost on the line makes the write be sent twice. The second answer, a conflict, must not be taken for a
// stranger's.
func TestLostRepliesDoNotMatter(t *testing.T) {
	tc := newTestCluster(t)
	for _, id := range []int32{1, 2} {
		tc.start(id)
	}
	drop := func(path string) <-chan struct{} {
		return tc.brokers[1].link.DropReplyIf(func(op int32, body []byte) bool {
			return op == zktest.OpMulti && contains(body, path)
		})
	}
	lost := drop(znode.ControllerPath)
	c := tc.brokers[1].control()
	<-lost
	tc.awaitController()
	if c.ActiveEpoch() != 1 {
		t.Errorf("epoch %d, want 1: the election was won at the first sending", c.ActiveEpoch())
	}

	tp := metadata.TopicPartition{Topic: "t"}
	lost = drop(znode.StatePath(tp))
	id := tc.createTopic("t", []int32{1, 2})
	<-lost
	eventually(t, "the broker leads", func() bool { _, ok := tc.brokers[1].role(tp); return ok })

	lost = drop(znode.StatePath(tp))
	rs, err := c.AlterPartition(t.Context(), AlterPartitionRequest{BrokerID: 1, BrokerEpoch: tc.brokers[1].registered.Epoch,
		Partitions: []AlterPartition{{TopicID: id, ISR: []int32{1}}}})
	<-lost
	if err != nil || rs[0].Err != nil || rs[0].State.PartitionEpoch != 1 {
		t.Fatalf("ISR change whose reply was lost: %+v, %v", rs, err)
	}
	if st := tc.states()[tp]; st.PartitionEpoch != 1 || !slices.Equal(st.ISR, []int32{1}) {
		t.Errorf("stored %+v", st)
	}
}

func contains(body []byte, path string) bool {
	for i := 0; i+len(path) <= len(body); i++ {
		if string(body[i:i+len(path)]) == path {
			return true
		}
	}
	return false
}

// A leader with an old inter.broker.protocol.version writes the state itself; the controller's picture is then stale,
// and its next write must be planned anew instead of being lost or overwriting the leader's.
func TestStateWrittenByALeaderIsReadAgain(t *testing.T) {
	tc := newTestCluster(t)
	for _, id := range []int32{1, 2, 3} {
		tc.start(id)
	}
	tc.brokers[1].control()
	tc.awaitController()
	tc.createTopic("t", []int32{2, 3, 1})
	eventually(t, "the topic is led", func() bool { return tc.allLead("t", 1) })
	tp := metadata.TopicPartition{Topic: "t"}
	st := tc.states()[tp]
	st.ISR = []int32{2, 1} // 3 fell behind
	if _, err := tc.g().Set(t.Context(), znode.StatePath(tp), znode.EncodeState(st), st.PartitionEpoch); err != nil {
		t.Fatal(err)
	}
	tc.brokers[2].stop()
	eventually(t, "a new leader", func() bool { return tc.states()[tp].Leader > 0 && tc.states()[tp].Leader != 2 })
	if st := tc.states()[tp]; st.Leader != 1 || !slices.Equal(st.ISR, []int32{1}) {
		t.Errorf("elected %+v: 3 was no longer in sync", st)
	}
}

func TestSessionExpiryAnswersWhoWaits(t *testing.T) {
	tc := newTestCluster(t)
	tc.start(1)
	c := tc.brokers[1].control()
	tc.awaitController()
	tc.brokers[1].link.Cut() // the loop gets stuck at the first event that needs ZooKeeper
	var wg sync.WaitGroup
	var refused atomic.Int32
	const clients = 20
	for range clients {
		wg.Go(func() {
			_, _, err := c.AllocateProducerIDs(t.Context(), 1, tc.brokers[1].registered.Epoch)
			if errors.Is(err, kerr.NotController) {
				refused.Add(1)
			} else {
				t.Errorf("got %v", err)
			}
		})
	}
	eventually(t, "they wait", func() bool { return c.Metrics().EventQueueSize >= clients-1 })
	tc.brokers[1].link.CutAndExpire(t.Context())
	tc.brokers[1].link.Restore()
	wg.Wait()
	eventually(t, "it is controller again", func() bool { return c.ActiveEpoch() == 2 })
	if n := refused.Load(); n != clients {
		t.Errorf("%d of %d were refused", n, clients)
	}
	if start, n, err := c.AllocateProducerIDs(t.Context(), 1, tc.brokers[1].registered.Epoch); err != nil || n != 1000 {
		t.Errorf("block %d+%d, %v", start, n, err)
	}
}

func TestTopicOfManyPartitionsIsOneRequestABroker(t *testing.T) {
	n := 2000
	if testing.Short() {
		n = 200
	}
	tc := newTestCluster(t)
	var replicas [][]int32
	for id := range int32(3) {
		tc.start(id + 1)
	}
	for i := range n {
		replicas = append(replicas, []int32{int32(i%3) + 1, int32((i+1)%3) + 1, int32((i+2)%3) + 1})
	}
	tc.brokers[1].control()
	tc.awaitController()
	eventually(t, "the brokers know each other", func() bool { return len(tc.brokers[3].seen()) == 3 })
	for _, b := range tc.sorted() {
		b.log()
	}
	tc.createTopic("big", replicas...)
	for _, b := range tc.sorted() {
		eventually(t, "broker "+strconv.Itoa(int(b.id))+" has all partitions", func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return len(b.roles) == n && len(b.cache) == n
		})
		if got := b.log(); len(got) != 2 {
			t.Errorf("broker %d got %d requests, want LeaderAndIsr and UpdateMetadata", b.id, len(got))
		}
	}
}

func TestBrokerThatDoesNotReadIsToldEverythingInTheEnd(t *testing.T) {
	tc := newTestCluster(t)
	for _, id := range []int32{1, 2} {
		tc.start(id)
	}
	c := tc.brokers[1].control(func(o *Options) { o.MaxQueuedRequests = 4 })
	tc.awaitController()
	eventually(t, "broker 2 knows broker 1", func() bool { return len(tc.brokers[2].seen()) == 2 })
	gate := make(chan struct{})
	b2 := tc.brokers[2]
	b2.mu.Lock()
	b2.frozen = gate
	b2.mu.Unlock()
	for i := range 8 {
		name := "t" + strconv.Itoa(i)
		tc.createTopic(name, []int32{2, 1})
		eventually(t, name+" is led", func() bool { return tc.allLead(name, 1) })
	}
	if c.Metrics().QueueOverflows == 0 {
		t.Fatal("nothing overflowed: the test tests nothing")
	}
	// What nobody remembers but the dropped request: a replica that was moved away.
	moved := metadata.TopicPartition{Topic: "t0"}
	if rs, err := c.AlterPartitionReassignments(t.Context(), map[metadata.TopicPartition][]int32{moved: {1}}); err != nil || rs[moved] != nil {
		t.Fatal(rs, err)
	}
	b2.mu.Lock()
	b2.frozen = nil
	b2.mu.Unlock()
	close(gate)
	eventually(t, "broker 2 leads the others and was told to delete the one", func() bool {
		b2.mu.Lock()
		defer b2.mu.Unlock()
		return len(b2.roles) == 7 && len(b2.cache) == 8 && b2.stopsSeen > 0
	})
}

func TestTopicWithoutIDGetsOne(t *testing.T) {
	tc := newTestCluster(t)
	tc.start(1)
	write := func(name string) {
		if err := znode.CreateTopic(t.Context(), tc.g(), znode.Topic{Name: name, Partitions: map[int32]znode.Assignment{0: {Replicas: []int32{1}}}}); err != nil {
			t.Fatal(err)
		}
	}
	write("old") // before the election, by a broker older than 2.8
	tc.brokers[1].control()
	tc.awaitController()
	write("new")
	for _, name := range []string{"old", "new"} {
		eventually(t, name+" is led", func() bool { return tc.allLead(name, 1) })
		topic, _, err := znode.ReadTopic(t.Context(), tc.g(), name)
		if err != nil || topic.ID.IsZero() {
			t.Errorf("%s has id %v, %v", name, topic.ID, err)
		}
	}
}

func TestBrokenZnodesCostOnlyThemselves(t *testing.T) {
	tc := newTestCluster(t)
	tc.start(1)
	for _, path := range []string{znode.TopicPath("bad"), znode.BrokerPath(7)} {
		if err := tc.g().CreateAll(t.Context(), path, []byte(`{"partitions":{"0":"x"}}`)); err != nil {
			t.Fatal(err)
		}
	}
	tc.createTopic("good", []int32{1})
	tc.brokers[1].control()
	tc.awaitController()
	eventually(t, "the good topic is led", func() bool {
		st, err := znode.ReadStates(t.Context(), tc.g(), []metadata.TopicPartition{{Topic: "good"}})
		return err == nil && st[0].OK && st[0].State.Leader == 1
	})
}
