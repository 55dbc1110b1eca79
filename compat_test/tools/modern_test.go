package tools

import (
	"context"
	"flag"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/harness"
	"gokafka/compat_test/wire"
)

var recordModern = flag.String("record-modern", "", "address of an Apache 4.1 broker, about which ConsumerGroupCommand's output is recorded for a group of KIP-848")

// modernGroup is a group of KIP-848 with one member, by single requests.
type modernGroup struct {
	t     *testing.T
	c     *wire.Conn
	epoch int32
}

const modernName = "mg" // of the group, and of its topic

func (m *modernGroup) beat(epoch int32) *kmsg.ConsumerGroupHeartbeatResponse {
	m.t.Helper()
	q := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	q.Group, q.MemberID, q.MemberEpoch, q.RebalanceTimeoutMillis = modernName, "member-1", epoch, -1
	if epoch == 0 {
		q.RebalanceTimeoutMillis, q.SubscribedTopicNames, q.Topics = 60000, []string{modernName}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	r, err := m.c.Ask(q, 1)
	skips.Need(m.t, err)
	return r.(*kmsg.ConsumerGroupHeartbeatResponse)
}

// await asks again until a code says that it is done.
func (m *modernGroup) await(what string, f func() int16) {
	m.t.Helper()
	var code int16
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if code = f(); code == 0 {
			return
		}
	}
	m.t.Fatalf("%s: %v", what, kerr.ErrorForCode(code))
}

// join fills the topic, lets the member join and own its partitions, and commits offsets.
func (m *modernGroup) join() {
	m.t.Helper()
	for p := range int32(2) {
		m.await("records", func() int16 {
			q := kmsg.NewPtrProduceRequest()
			q.Acks, q.TimeoutMillis = -1, 10000
			b := wire.Batch{Records: wire.Values(5)}
			q.Topics = []kmsg.ProduceRequestTopic{{Topic: modernName, Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: p, Records: b.Bytes()}}}}
			r, err := m.c.Ask(q, 9)
			skips.Need(m.t, err)
			return r.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
		})
	}
	m.await("a coordinator", func() int16 {
		f := kmsg.NewPtrFindCoordinatorRequest()
		f.CoordinatorKey = modernName
		r, err := m.c.Ask(f, 3)
		skips.Need(m.t, err)
		return r.(*kmsg.FindCoordinatorResponse).ErrorCode
	})
	var r *kmsg.ConsumerGroupHeartbeatResponse
	m.await("a member", func() int16 { r = m.beat(0); return r.ErrorCode })
	m.epoch = r.MemberEpoch
	if r.Assignment == nil || len(r.Assignment.Topics) != 1 || len(r.Assignment.Topics[0].Partitions) != 2 {
		m.t.Fatalf("the member's assignment is %+v", r.Assignment)
	}
	q := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	q.Group, q.MemberID, q.MemberEpoch, q.RebalanceTimeoutMillis = modernName, "member-1", m.epoch, -1
	q.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{{TopicID: r.Assignment.Topics[0].TopicID, Partitions: []int32{0, 1}}}
	_, err := m.c.Ask(q, 1)
	skips.Need(m.t, err)
	c := kmsg.NewPtrOffsetCommitRequest()
	c.Group, c.MemberID, c.Generation = modernName, "member-1", m.epoch
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = modernName
	for p := range int32(2) {
		x := kmsg.NewOffsetCommitRequestTopicPartition()
		x.Partition, x.Offset, x.LeaderEpoch = p, int64(2+p), 0
		t.Partitions = append(t.Partitions, x)
	}
	c.Topics = append(c.Topics, t)
	cr, err := m.c.Ask(c, 9)
	skips.Need(m.t, err)
	if code := cr.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode; code != 0 {
		m.t.Fatal(kerr.ErrorForCode(code))
	}
}

// TestModernGroup runs kafka-consumer-groups of 3.9.1 through its verbs with a group of KIP-848, which has a member first and then none. Apache 3.9 has no such groups with
// ZooKeeper: the output is recorded about 4.1.1.
func TestModernGroup(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a broker and a JVM: not with -short")
	}
	if target, err := harness.TargetFromEnv(); err != nil || target == harness.Apache {
		t.Skip("Apache has no such groups with ZooKeeper")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()
	jvm, err := StartJVM(ctx, dir)
	skips.Need(t, err)
	defer jvm.Close()
	addr := *recordModern
	if addr == "" {
		addr = skips.Started(t, harness.Gokafka, harness.Options{}).Addr()
	}
	c, err := wire.Dial(ctx, addr)
	skips.Need(t, err)
	defer c.Close()
	m := &modernGroup{t: t, c: c}
	g := func(args string) Step { return Step{Tool: groupTool, Args: args} }
	reset := func(args string) Step { return g("--reset-offsets --group mg --topic mg " + args) }
	looks := []Step{g("--list"), g("--list --state"), g("--list --type"), g("--list --type consumer"), g("--list --type classic"), g("--list --state Stable"), g("--list --state Empty"),
		g("--describe --group mg"), g("--describe --group mg --members"), g("--describe --group mg --members --verbose"), g("--describe --group mg --state"),
		g("--describe --group mg --state --verbose"), g("--describe --group mg --offsets --verbose"), g("--describe --all-groups")}
	var got []string
	run := func(steps ...Step) {
		t.Helper()
		for i, s := range steps {
			lines, err := s.run(ctx, jvm, dir, addr, i)
			skips.Need(t, err)
			got = append(got, lines...)
		}
	}
	run(topics("--create --topic mg --partitions 2 --replication-factor 1"))
	m.join()
	run(looks...)
	run(reset("--to-earliest --dry-run"), reset("--to-earliest --execute"), g("--delete-offsets --group mg --topic mg:1"), g("--delete --group mg"))
	m.beat(-1)
	run(looks...)
	run(reset("--to-latest --dry-run"), reset("--to-offset 1 --execute"), reset("--shift-by 1 --execute"), reset("--to-current --export"), g("--delete-offsets --group mg --topic mg:1"),
		g("--describe --group mg"), g("--delete --group mg"), g("--list"), g("--describe --group mg"), g("--delete --group mg"))
	if *recordModern != "" {
		*update = true
		defer func() { *update = false }()
	}
	compare(t, filepath.Join("..", "testdata", "tools", "modern-group.txt"), got)
}
