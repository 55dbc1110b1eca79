package broker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/groups"
	"gokafka/metadata"
)

// groupSim is a simulation with a client that plays members of groups.
type groupSim struct {
	*simulation
	cl      *kgo.Client
	adm     *kadm.Client
	players []*player
}

func inGroupSim(t *testing.T, brokers int, props map[string]string, f func(s *groupSim)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		all := map[string]string{"offsets.topic.num.partitions": "3", "offsets.topic.replication.factor": fmt.Sprint(brokers), "min.insync.replicas": "1"}
		for k, v := range props {
			all[k] = v
		}
		s := &groupSim{simulation: newSimulationWith(t, 1, simOptions{brokers: brokers, firstAlone: true, props: all})}
		defer s.end()
		s.cl = s.client(kgo.RetryTimeout(time.Minute))
		defer s.cl.Close()
		s.adm = kadm.NewClient(s.cl)
		s.eventually("the topic is created", func() bool {
			r, err := s.adm.CreateTopics(context.Background(), 2, int16(brokers), nil, "t")
			return err == nil && ignoreErr(r["t"].Err, "TOPIC_ALREADY_EXISTS") == nil
		})
		s.eventually("there is a coordinator", func() bool { _, err := s.coordinatorOf("g"); return err == nil && s.state() == "Dead 0" })
		defer func() {
			for _, p := range s.players {
				p.cl.Close()
			}
		}()
		f(s)
	})
}

// player returns a member to be. It has its own connections: a broker serves the requests of one in turn, so that a JoinGroup would hold up the next.
func (s *groupSim) player() *player {
	p := &player{s: s, cl: s.client(kgo.RetryTimeout(time.Minute))}
	s.players = append(s.players, p)
	return p
}

func (s *groupSim) coordinatorOf(group string) (int32, error) {
	q := kmsg.NewPtrFindCoordinatorRequest()
	q.CoordinatorKey, q.CoordinatorKeys = group, []string{group} // of older and newer versions
	for id, b := range s.up {
		if b != nil {
			resp, err := s.cl.Broker(id).Request(context.Background(), q)
			if err != nil {
				return -1, err
			}
			r := resp.(*kmsg.FindCoordinatorResponse)
			code, node := r.ErrorCode, r.NodeID
			if len(r.Coordinators) > 0 {
				code, node = r.Coordinators[0].ErrorCode, r.Coordinators[0].NodeID
			}
			return node, kerr.ErrorForCode(code)
		}
	}
	return -1, kerr.CoordinatorNotAvailable
}

// ask sends a request to the coordinator of group g, once.
func ask[R kmsg.Response](s *groupSim, q kmsg.Request) R {
	s.t.Helper()
	return askBy[R](s, s.cl, q)
}

func askBy[R kmsg.Response](s *groupSim, cl *kgo.Client, q kmsg.Request) R {
	s.t.Helper()
	id, err := s.coordinatorOf("g")
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := cl.Broker(int(id)).Request(context.Background(), q)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.(R)
}

// player is a member of g.
type player struct {
	s          *groupSim
	cl         *kgo.Client
	id         string
	generation int32
	leader     bool
	err        error
	took       time.Duration
}

// join joins in the background; the channel is closed when it is answered.
func (p *player) join(rebalance time.Duration) <-chan struct{} {
	done := make(chan struct{})
	q := kmsg.NewPtrJoinGroupRequest()
	q.Group, q.MemberID, q.ProtocolType, q.SessionTimeoutMillis, q.RebalanceTimeoutMillis = "g", p.id, "consumer", 10000, int32(rebalance.Milliseconds())
	rp := kmsg.NewJoinGroupRequestProtocol()
	m := kmsg.NewConsumerMemberMetadata()
	m.Topics = []string{"t"}
	rp.Name, rp.Metadata = "range", m.AppendTo(nil)
	q.Protocols = append(q.Protocols, rp)
	began := time.Now()
	go func() {
		defer close(done)
		r := askBy[*kmsg.JoinGroupResponse](p.s, p.cl, q)
		if p.err = kerr.ErrorForCode(r.ErrorCode); p.err == kerr.MemberIDRequired {
			q.MemberID = r.MemberID
			r = askBy[*kmsg.JoinGroupResponse](p.s, p.cl, q)
			p.err = kerr.ErrorForCode(r.ErrorCode)
		}
		p.id, p.generation, p.leader, p.took = r.MemberID, r.Generation, r.LeaderID == r.MemberID, time.Since(began)
	}()
	return done
}

func (p *player) sync() error {
	q := kmsg.NewPtrSyncGroupRequest()
	kind, protocol := "consumer", "range"
	q.Group, q.MemberID, q.Generation, q.ProtocolType, q.Protocol = "g", p.id, p.generation, &kind, &protocol
	return kerr.ErrorForCode(askBy[*kmsg.SyncGroupResponse](p.s, p.cl, q).ErrorCode)
}

func (p *player) beat() error {
	q := kmsg.NewPtrHeartbeatRequest()
	q.Group, q.MemberID, q.Generation = "g", p.id, p.generation
	return kerr.ErrorForCode(askBy[*kmsg.HeartbeatResponse](p.s, p.cl, q).ErrorCode)
}

// live beats until the group rebalances or the member is out, at most for d.
func (p *player) live(d time.Duration) error {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
		if err := p.beat(); err != nil {
			return err
		}
	}
	return nil
}

// commit commits an offset of t-0.
func (s *groupSim) commit(member string, generation int32, offset int64) error {
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Group, q.MemberID, q.Generation = "g", member, generation
	t, p := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
	t.Topic, p.Offset = "t", offset
	t.Partitions = append(t.Partitions, p)
	q.Topics = append(q.Topics, t)
	return kerr.ErrorForCode(ask[*kmsg.OffsetCommitResponse](s, q).Topics[0].Partitions[0].ErrorCode)
}

func (s *groupSim) committed() int64 {
	q := kmsg.NewPtrOffsetFetchRequest()
	g := kmsg.NewOffsetFetchRequestGroup()
	t := kmsg.NewOffsetFetchRequestGroupTopic()
	t.Topic, t.Partitions, g.Group = "t", []int32{0}, "g"
	g.Topics = append(g.Topics, t)
	q.Groups = append(q.Groups, g)
	r := ask[*kmsg.OffsetFetchResponse](s, q)
	if r.Groups[0].ErrorCode != 0 {
		return -2
	}
	return r.Groups[0].Topics[0].Partitions[0].Offset
}

func (s *groupSim) state() string {
	q := kmsg.NewPtrDescribeGroupsRequest()
	q.Groups = []string{"g"}
	g := ask[*kmsg.DescribeGroupsResponse](s, q).Groups[0]
	return fmt.Sprint(g.State, " ", len(g.Members))
}

func wantErr(t *testing.T, what string, got error, want *kerr.Error) {
	t.Helper()
	if (want != nil || got != nil) && got != error(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// The clocks of a group: the first generation waits for more members; who is silent is out after its session, who does not join again after the rebalance
// timeout, who does not ask for its assignment too; an id that was given out and is not used holds nobody up.
func TestGroupClocks(t *testing.T) {
	inGroupSim(t, 1, map[string]string{"group.initial.rebalance.delay.ms": "3000", "group.max.size": "3"}, func(s *groupSim) {
		a, b := s.player(), s.player()
		aJoined := a.join(20 * time.Second)
		time.Sleep(2 * time.Second)
		bJoined := b.join(20 * time.Second)
		<-aJoined
		<-bJoined
		if a.err != nil || b.err != nil || a.generation != 1 || b.generation != 1 || a.took < 5*time.Second || a.took > 7*time.Second {
			t.Fatalf("first generation: %+v, %+v", a, b) // 3 s, and 3 s more since b came
		}
		leader, other := a, b
		if b.leader {
			leader, other = b, a
		}
		synced := make(chan error)
		go func() { synced <- other.sync() }()
		time.Sleep(time.Second)
		wantErr(t, "leader's assignment", leader.sync(), nil)
		wantErr(t, "the other's assignment", <-synced, nil)
		// b is silent: after its session a has to join again, alone.
		began := time.Now()
		wantErr(t, "heartbeats beside a silent member", a.live(time.Minute), kerr.RebalanceInProgress)
		if d := time.Since(began); d < 9*time.Second || d > 13*time.Second {
			t.Errorf("a silent member was out after %s", d)
		}
		<-a.join(20 * time.Second)
		if a.err != nil || a.generation != 2 {
			t.Fatalf("%+v", a)
		}
		wantErr(t, "silent member", b.beat(), kerr.UnknownMemberID)
		wantErr(t, "sync", a.sync(), nil)
		// A member joins; a goes on beating but does not join again: it is out after the rebalance timeout.
		c := s.player()
		cJoined := c.join(20 * time.Second)
		time.Sleep(time.Second)
		wantErr(t, "rebalance", a.beat(), kerr.RebalanceInProgress)
		for range 25 {
			_ = a.beat()
			time.Sleep(time.Second)
		}
		<-cJoined
		if c.err != nil || c.generation != 3 || c.took < 19*time.Second {
			t.Errorf("%+v", c)
		}
		wantErr(t, "who did not join again", a.beat(), kerr.UnknownMemberID)
		// c beats, but never asks for its assignment.
		wantErr(t, "without its assignment", c.live(time.Minute), kerr.UnknownMemberID)
		s.eventually("the group is empty", func() bool { return s.state() == "Empty 0" })
		// An id that is not used blocks a rebalance for its session at most.
		q := kmsg.NewPtrJoinGroupRequest()
		q.Group, q.ProtocolType, q.SessionTimeoutMillis, q.RebalanceTimeoutMillis = "g", "consumer", 10000, 60000
		rp := kmsg.NewJoinGroupRequestProtocol()
		rp.Name = "range"
		q.Protocols = append(q.Protocols, rp)
		if r := ask[*kmsg.JoinGroupResponse](s, q); r.ErrorCode != kerr.MemberIDRequired.Code {
			t.Fatal(r)
		}
		d := s.player()
		<-d.join(60 * time.Second)
		if d.err != nil || d.took > 15*time.Second {
			t.Errorf("%+v", d)
		}
		wantErr(t, "sync", d.sync(), nil)
		// Three members at most.
		var members []<-chan struct{}
		list := []*player{s.player(), s.player(), s.player()}
		for _, p := range list {
			members = append(members, p.join(20*time.Second))
		}
		time.Sleep(time.Second)
		<-d.join(20 * time.Second)
		refused := 0
		for _, m := range members {
			<-m
		}
		for _, p := range append(list, d) {
			if p.err == kerr.GroupMaxSizeReached {
				refused++
			}
		}
		if refused != 1 {
			t.Errorf("%d of four were refused in a group of three", refused)
		}
	})
}

// A commit is not answered before it is replicated, and what is not is not fetched.
func TestCommitWaitsForReplicas(t *testing.T) {
	inGroupSim(t, 3, map[string]string{"offsets.commit.timeout.ms": "3000"}, func(s *groupSim) {
		wantErr(t, "commit", s.commit("", -1, 5), nil)
		id, err := s.coordinatorOf("g")
		if err != nil {
			t.Fatal(err)
		}
		stall := func(on bool) {
			for other := range s.up {
				if other != int(id) {
					s.net.setStalled(simHostOf(int(id)), simHostOf(other), on)
				}
			}
		}
		stall(true)
		began := time.Now()
		wantErr(t, "commit without followers", s.commit("", -1, 6), kerr.CoordinatorNotAvailable)
		if d := time.Since(began); d < 3*time.Second || d > 4*time.Second {
			t.Errorf("answered after %s", d)
		}
		if at := s.committed(); at != 5 {
			t.Errorf("%d is committed", at)
		}
		stall(false)
		s.eventually("a later commit succeeds", func() bool { return s.commit("", -1, 7) == nil })
		if at := s.committed(); at != 7 {
			t.Errorf("%d is committed", at)
		}
	})
}

// Offsets expire: of who only commits since the commit, of a group that became empty since then, of members never.
func TestOffsetsExpire(t *testing.T) {
	props := map[string]string{"offsets.retention.minutes": "2", "offsets.retention.check.interval.ms": "10000", "group.initial.rebalance.delay.ms": "0"}
	inGroupSim(t, 1, props, func(s *groupSim) {
		wantErr(t, "commit", s.commit("", -1, 5), nil)
		time.Sleep(100 * time.Second)
		if at := s.committed(); at != 5 {
			t.Errorf("%d is committed", at)
		}
		time.Sleep(40 * time.Second)
		if at := s.committed(); at != -1 || s.state() != "Dead 0" {
			t.Errorf("%d is committed by %s", at, s.state())
		}
		a := s.player()
		<-a.join(20 * time.Second)
		wantErr(t, "sync", a.sync(), nil)
		wantErr(t, "commit", s.commit(a.id, a.generation, 6), nil)
		wantErr(t, "heartbeats", a.live(5*time.Minute), nil)
		if at := s.committed(); at != 6 {
			t.Errorf("%d is committed", at)
		}
		time.Sleep(100 * time.Second) // its session has ended
		if at := s.committed(); at != 6 || s.state() != "Empty 0" {
			t.Errorf("%d is committed by %s", at, s.state())
		}
		time.Sleep(60 * time.Second)
		if at := s.committed(); at != -1 || s.state() != "Dead 0" {
			t.Errorf("%d is committed by %s", at, s.state())
		}
	})
}

// What a coordinator says of its groups is what the next one reads from the log, whenever it is killed.
func TestNextCoordinatorKnowsTheSame(t *testing.T) {
	for round := range 5 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Parallel()
			inGroupSim(t, 3, map[string]string{"group.initial.rebalance.delay.ms": "0"}, func(s *groupSim) {
				rnd := rand.New(rand.NewPCG(uint64(round), 5))
				a := s.player()
				<-a.join(20 * time.Second)
				wantErr(t, "sync", a.sync(), nil)
				ctx := context.Background()
				for range 60 {
					name := fmt.Sprint("simple-", rnd.IntN(4))
					switch rnd.IntN(8) {
					case 0:
						_, _ = s.adm.DeleteGroups(ctx, name)
					case 1:
						var set kadm.TopicsSet
						set.Add("t", int32(rnd.IntN(2)))
						_, _ = s.adm.DeleteOffsets(ctx, name, set)
					case 2:
						_ = s.commit(a.id, a.generation, rnd.Int64N(100))
					default:
						var o kadm.Offsets
						o.AddOffset("t", int32(rnd.IntN(2)), rnd.Int64N(100), -1)
						_, _ = s.adm.CommitOffsets(ctx, name, o)
					}
					_ = a.beat()
				}
				before := s.allGroups()
				for n := int32(0); n < 3; n++ { // the coordinators of all partitions
					if id := s.up[0].cache.Image().Partition(offsetsPart(n)).Leader; s.up[id] != nil && id != 0 {
						s.kill(int(id))
					}
				}
				s.eventually("another one knows the groups", func() bool { return s.allGroups() == before })
				if after := s.allGroups(); after != before {
					t.Errorf("before:\n%s\nafter:\n%s", before, after)
				}
			})
		})
	}
}

// allGroups is what coordinators say of all groups, as text.
func (s *groupSim) allGroups() string {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var up []string
	for id := range s.up {
		if s.up[id] != nil {
			up = append(up, net.JoinHostPort(simHostOf(id), "9092"))
		}
	}
	cl := s.client(kgo.SeedBrokers(up...)) // that has not heard of earlier coordinators
	defer cl.Close()
	adm := kadm.NewClient(cl)
	out := ""
	for _, name := range []string{"g", "simple-0", "simple-1", "simple-2", "simple-3"} {
		offsets, err := adm.FetchOffsets(ctx, name)
		if err != nil {
			return err.Error()
		}
		for _, o := range offsets.Sorted() {
			out += fmt.Sprintf("%s %s-%d %d\n", name, o.Topic, o.Partition, o.At)
		}
	}
	described, err := adm.DescribeGroups(ctx, "g")
	if err != nil {
		return err.Error()
	}
	g := described["g"]
	out += fmt.Sprintf("%s %s %s %d members", g.Group, g.State, g.Protocol, len(g.Members))
	for _, m := range g.Members {
		out += " " + m.MemberID
	}
	return out
}

// A group is in the partition that Java's hash says.
func TestPartitionOfAGroup(t *testing.T) {
	for name, want := range map[string]int32{"": 0, "g": 3, "console-consumer-12345": 6, "grüppe-ß": 32, "polygenelubricants": 0} {
		if got := groups.PartitionFor(name, 50); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

func offsetsPart(n int32) metadata.TopicPartition {
	return metadata.TopicPartition{Topic: "__consumer_offsets", Partition: n}
}
