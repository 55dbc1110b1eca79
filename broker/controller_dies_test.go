package broker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/coordination"
	"gokafka/coordination/zktest"
	"gokafka/coordination/znode"
	"gokafka/metadata"
	"gokafka/settings"
)

// trap kills a controller after its n-th write to ZooKeeper or request to a broker since it was set.
type trap struct {
	mu    sync.Mutex
	host  string // of the controller; "" = not set
	left  int
	after string // what it had just done
	fired chan struct{}
}

// done counts something that a host did, and says whether it dies of it.
func (k *trap) done(host, what string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if what == "" || host != k.host || k.left == 0 {
		return false
	}
	if k.left--; k.left > 0 {
		return false
	}
	k.after = what
	close(k.fired)
	return true
}

func (k *trap) set(host string, n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.host, k.left = host, n
}

// unset says whether it was not sprung.
func (k *trap) unset() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.host = ""
	return k.left > 0
}

// controlKeys are the requests of controllers.
var controlKeys = map[uint16]string{4: "LeaderAndISR", 5: "StopReplica", 6: "UpdateMetadata"}

// watch lets the trap see what hosts write.
func (k *trap) watch(s *simNet) {
	s.lines = func(host string, dial coordination.Dialer) *zktest.Link {
		link := zktest.NewLink(dial)
		// The write reaches ZooKeeper, and nobody hears of it.
		link.DropReplyIf(func(op int32, body []byte) bool { return k.done(host, writeKind(op, body)) })
		return link
	}
	s.written = func(host, _ string, b []byte) {
		if len(b) > 6 && int(binary.BigEndian.Uint32(b)) == len(b)-4 && k.done(host, controlKeys[binary.BigEndian.Uint16(b[4:])]) {
			s.setDown(host, true)
		}
	}
}

// duty is something that a controller does on request or because something happened.
type duty struct {
	name string
	// before prepares, with a controller that lives on; do asks for it, more than once if need be; done says whether it is done.
	before func(s *simulation, adm *kadm.Client)
	do     func(ctx context.Context, s *simulation, adm *kadm.Client) error
	done   func(s *simulation) bool
	// down is a broker that stays down until the duty is done with the controller killed; -1 = none.
	down int
}

const dutyTopic = "extra-0"

// The controller is 0 at first: it starts first.
var duties = []duty{
	{name: "create", down: -1, do: createDuty, done: func(s *simulation) bool { return s.placed(0, 0, 1, 2) && s.placed(1, 1, 2, 0) }},
	{name: "grow", down: -1, before: created, do: func(ctx context.Context, _ *simulation, adm *kadm.Client) error {
		r, err := adm.UpdatePartitions(ctx, 4, dutyTopic)
		return firstErr(err, r[dutyTopic].Err, "INVALID_PARTITIONS")
	}, done: func(s *simulation) bool { return s.partitionsOf() == 4 }},
	{name: "delete", down: -1, before: created, do: deleteDuty, done: func(s *simulation) bool { return s.partitionsOf() == 0 }},
	{name: "delete with a dead replica", down: 2, before: created, do: deleteDuty, done: func(s *simulation) bool { return s.partitionsOf() == 0 }},
	{name: "elect", down: -1, before: func(s *simulation, adm *kadm.Client) {
		created(s, adm)
		s.move(adm, dutyTopic, 1, 0, 2) // leads as before
		s.eventually("it is moved", func() bool { return s.placed(0, 1, 0, 2) })
	}, do: func(ctx context.Context, _ *simulation, adm *kadm.Client) error {
		var set kadm.TopicsSet
		set.Add(dutyTopic, 0)
		r, err := adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, set)
		return firstErr(err, r[dutyTopic][0].Err, "ELECTION_NOT_NEEDED")
	}, done: func(s *simulation) bool { p := s.part(0); return p != nil && p.Leader == 1 }},
	{name: "move", down: -1, before: created, do: moveDuty(1, []int32{2, 0}), done: func(s *simulation) bool { return s.placed(1, 2, 0) }},
	{name: "cancel a move", down: -1, before: func(s *simulation, adm *kadm.Client) {
		created(s, adm)
		s.moveTo(adm, dutyTopic, 0, 1)
		cl := s.client(kgo.ProducerBatchCompression(kgo.NoCompression()))
		defer cl.Close()
		for range 20 {
			if err := cl.ProduceSync(context.Background(), &kgo.Record{Topic: dutyTopic, Value: make([]byte, 1000)}).FirstErr(); err != nil {
				s.t.Fatal(err)
			}
		}
		if _, err := adm.AlterTopicConfigs(context.Background(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "leader.replication.throttled.replicas", Value: kadm.StringPtr("*")}}, dutyTopic); err != nil {
			s.t.Fatal(err)
		}
		for id := range s.up {
			setBroker(s.t, adm, int32(id), "leader.replication.throttled.rate", "1")
		}
		time.Sleep(time.Second)
		s.move(adm, dutyTopic, 2, 1)
		time.Sleep(5 * time.Second)
	}, do: func(ctx context.Context, s *simulation, adm *kadm.Client) error {
		return ignoreErr(moveDuty(0, nil)(ctx, s, adm), "NO_REASSIGNMENT_IN_PROGRESS")
	}, done: func(s *simulation) bool { return s.placed(0, 1, 0) }}, // in the order of the target, as in Apache
	{name: "broker leaves and comes", down: -1, before: created, do: func(ctx context.Context, s *simulation, _ *kadm.Client) error {
		if s.up[2] == nil {
			return nil
		}
		b := s.up[2]
		s.up[2] = nil
		err := b.Stop(ctx)
		s.net.setDown(simHostOf(2), true)
		s.start(2)
		return err
	}, done: func(s *simulation) bool { return s.placed(0, 0, 1, 2) }},
	{name: "broker dies", down: -1, before: created, do: func(_ context.Context, s *simulation, _ *kadm.Client) error {
		if s.up[1] != nil {
			s.kill(1)
			time.Sleep(20 * time.Second)
			s.start(1)
		}
		return nil
	}, done: func(s *simulation) bool { return s.placed(1, 1, 2, 0) }},
	{name: "unclean election", down: -1, before: func(s *simulation, adm *kadm.Client) {
		created(s, adm)
		s.move(adm, dutyTopic, 1, 2)
		s.eventually("it is moved", func() bool { return s.placed(0, 1, 2) })
		s.kill(2)
		s.eventually("one replica is in sync", func() bool { p := s.part(0); return p != nil && len(p.ISR) == 1 })
		s.kill(1)
		time.Sleep(20 * time.Second)
		s.start(2)
		time.Sleep(10 * time.Second)
	}, do: func(ctx context.Context, _ *simulation, adm *kadm.Client) error {
		r, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "unclean.leader.election.enable", Value: kadm.StringPtr("true")}}, dutyTopic)
		if err == nil {
			err = r[0].Err
		}
		return err
	}, done: func(s *simulation) bool { p := s.part(0); return p != nil && p.Leader == 2 }},
	{name: "config", down: -1, before: created, do: func(ctx context.Context, s *simulation, _ *kadm.Client) error {
		value := "777"
		for _, b := range s.living() { // the broker that is asked writes it
			return b.settings.AlterTopic(ctx, dutyTopic, []settings.Op{{Name: "flush.ms", Value: &value}}, false)
		}
		return errors.New("no broker is up")
	}, done: func(s *simulation) bool {
		for _, b := range s.up {
			if b != nil && b.settings.Topic(dutyTopic).FlushInterval != 777*time.Millisecond {
				return false
			}
		}
		return true
	}},
	{name: "topic by a ZooKeeper tool", down: -1, do: func(ctx context.Context, s *simulation, _ *kadm.Client) error {
		_, err := s.session.Current().Create(ctx, znode.TopicPath(dutyTopic), []byte(`{"version":1,"partitions":{"0":[0,1,2],"1":[1,2,0]}}`), coordination.Persistent)
		if errors.Is(err, coordination.ErrNodeExists) {
			return nil
		}
		return err
	}, done: func(s *simulation) bool { return s.placed(0, 0, 1, 2) && s.placed(1, 1, 2, 0) }},
	{name: "partitions by a ZooKeeper tool", down: -1, before: created, do: func(ctx context.Context, s *simulation, _ *kadm.Client) error {
		g := s.session.Current()
		data, stat, err := g.Get(ctx, znode.TopicPath(dutyTopic))
		if err != nil || strings.Contains(string(data), `"2":`) {
			return err
		}
		_, err = g.Set(ctx, znode.TopicPath(dutyTopic), []byte(strings.Replace(string(data), `"1":`, `"2":[2,0,1],"1":`, 1)), stat.Version)
		return err
	}, done: func(s *simulation) bool { return s.placed(2, 2, 0, 1) }},
	{name: "deletion by a ZooKeeper tool", down: -1, before: created, do: func(ctx context.Context, s *simulation, _ *kadm.Client) error {
		if s.partitionsOf() == 0 {
			return nil
		}
		_, err := s.session.Current().Create(ctx, znode.DeleteTopicsPath+"/"+dutyTopic, nil, coordination.Persistent)
		if errors.Is(err, coordination.ErrNodeExists) {
			return nil
		}
		return err
	}, done: func(s *simulation) bool { return s.partitionsOf() == 0 }},
	{name: "by znodes", down: -1, before: created, do: func(ctx context.Context, s *simulation, _ *kadm.Client) error {
		g := s.session.Current()
		for path, data := range map[string]string{
			znode.ReassignPartitionsPath: fmt.Sprintf(`{"version":1,"partitions":[{"topic":%q,"partition":1,"replicas":[2,0]}]}`, dutyTopic),
			znode.PreferredElectionPath:  fmt.Sprintf(`{"version":1,"partitions":[{"topic":%q,"partition":0}]}`, dutyTopic),
		} {
			if _, err := g.Create(ctx, path, []byte(data), coordination.Persistent); err != nil && !errors.Is(err, coordination.ErrNodeExists) {
				return err
			}
		}
		return nil
	}, done: func(s *simulation) bool {
		g := s.session.Current()
		for _, path := range []string{znode.ReassignPartitionsPath, znode.PreferredElectionPath} {
			if stat, err := g.Exists(context.Background(), path); err != nil || stat != nil {
				return false
			}
		}
		return s.placed(1, 2, 0)
	}},
}

func createDuty(ctx context.Context, s *simulation, _ *kadm.Client) error {
	q := kmsg.NewPtrCreateTopicsRequest()
	q.TimeoutMillis = 5000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = dutyTopic, -1, -1
	for i, replicas := range [][]int32{{0, 1, 2}, {1, 2, 0}} {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = int32(i), replicas
		t.ReplicaAssignment = append(t.ReplicaAssignment, a)
	}
	q.Topics = append(q.Topics, t)
	cl := s.client()
	defer cl.Close()
	resp, err := q.RequestWith(ctx, cl)
	if err == nil {
		err = ignoreErr(kerr.ErrorForCode(resp.Topics[0].ErrorCode), "TOPIC_ALREADY_EXISTS")
	}
	return err
}

func created(s *simulation, adm *kadm.Client) {
	s.eventually("the topic is created", func() bool {
		return createDuty(context.Background(), s, adm) == nil && s.placed(0, 0, 1, 2) && s.placed(1, 1, 2, 0)
	})
}

func deleteDuty(ctx context.Context, _ *simulation, adm *kadm.Client) error {
	r, err := adm.DeleteTopics(ctx, dutyTopic)
	return firstErr(err, r[dutyTopic].Err, "UNKNOWN_TOPIC_OR_PARTITION")
}

func moveDuty(p int32, replicas []int32) func(context.Context, *simulation, *kadm.Client) error {
	return func(ctx context.Context, _ *simulation, adm *kadm.Client) error {
		var r kadm.AlterPartitionAssignmentsReq
		if replicas == nil {
			r.CancelAssign(dutyTopic, p)
		} else {
			r.Assign(dutyTopic, p, replicas)
		}
		resp, err := adm.AlterPartitionAssignments(ctx, r)
		if err == nil {
			err = resp[dutyTopic][p].Err
		}
		return err
	}
}

// part is partition p of the duties' topic as a live broker sees it.
func (s *simulation) part(p int32) *metadata.Partition {
	for _, b := range s.up {
		if b != nil {
			return b.cache.Image().Partition(metadata.TopicPartition{Topic: dutyTopic, Partition: p})
		}
	}
	return nil
}

// placed says whether a partition is on these replicas, all of them in sync.
func (s *simulation) placed(p int32, replicas ...int32) bool {
	part := s.part(p)
	return part != nil && slices.Equal(part.Replicas, replicas) && len(part.ISR) == len(replicas) && part.Leader >= 0
}

func (s *simulation) partitionsOf() int {
	z, _, err := znode.ReadTopic(context.Background(), s.session.Current(), dutyTopic)
	if err != nil {
		return 0
	}
	return len(z.Partitions)
}

// The controller dies after each of its writes to ZooKeeper and each of its requests to brokers, in each of its duties: the next one finishes what was begun, or nothing
// was; what is asked for again is done; and no znode, directory or state is left over.
func TestControllerDiesAnywhere(t *testing.T) {
	for _, d := range duties {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			var steps []string
			for n := 1; ; n++ {
				if n > 80 {
					t.Fatal("the duty has no end")
				}
				after := ""
				synctest.Test(t, func(t *testing.T) { after = d.kill(t, n) })
				if after == "" || t.Failed() {
					break
				}
				steps = append(steps, after)
			}
			t.Logf("killed after: %v", steps)
			if len(steps) < 2 {
				t.Errorf("only %d places to die at", len(steps))
			}
		})
	}
}

// kill lets the controller die after the n-th thing that it does for the duty, and says what that was; "" when it does less.
func (d *duty) kill(t *testing.T, n int) string {
	k := &trap{fired: make(chan struct{})}
	s := newSimulationWith(t, 1, simOptions{brokers: 3, firstAlone: true, prepare: k.watch, props: map[string]string{
		"replica.fetch.wait.max.ms": "100", "replica.fetch.max.bytes": "1000", "replica.fetch.response.max.bytes": "1000"}})
	defer s.end()
	cl := s.client()
	defer cl.Close()
	adm := kadm.NewClient(cl)
	if d.before != nil {
		d.before(s, adm)
	}
	if d.down >= 0 {
		s.kill(d.down)
		time.Sleep(20 * time.Second)
	}
	if t.Failed() {
		return ""
	}
	k.set(simHostOf(0), n)
	doing := make(chan struct{})
	go func() {
		defer close(doing)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = d.do(ctx, s, adm) // it may die of it
	}()
	later := time.After(25 * time.Second) // whatever follows from it; and the death is noticed
	for fired := k.fired; doing != nil || later != nil; {
		select {
		case <-fired:
			s.kill(0)
			fired = nil
		case <-doing:
			doing = nil
		case <-later:
			later = nil
		}
	}
	unsprung := k.unset()
	s.eventually("the duty is done", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return d.do(ctx, s, adm) == nil
	})
	if d.down >= 0 {
		time.Sleep(20 * time.Second)
	}
	for id := range s.up {
		if s.up[id] == nil {
			s.start(id)
		}
	}
	s.eventually(fmt.Sprintf("%s, killed at step %d after %s: it is as asked for", d.name, n, k.after), func() bool { return d.done(s) })
	if t.Failed() {
		t.Logf("partitions: %+v, %+v", s.part(0), s.part(1))
	}
	why := ""
	s.eventually("all agree", func() bool { why = s.disagreement(); return why == "" })
	if why != "" {
		t.Errorf("%s, killed at step %d after %s: %s", d.name, n, k.after, why)
	}
	if d.done(s) && s.partitionsOf() == 0 { // the name is free, and nothing of before is under it
		created(s, adm)
		s.eventually("all agree of the new topic", func() bool { return s.disagreement() == "" })
	}
	if unsprung {
		return ""
	}
	return k.after
}
