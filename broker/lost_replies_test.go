package broker

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"gokafka/coordination"
	"gokafka/coordination/zktest"
	"gokafka/coordination/znode"
	"gokafka/internal/clock"
	"gokafka/metadata"
	"gokafka/settings"
)

// writesToZooKeeper are the kinds of writes that brokers send, all of which lose their reply in TestLostReplies. One that is sent and does not stand here, and one
// that is not sent any more, fails the test.
var writesToZooKeeper = []string{
	"create /admin",
	"create /admin/delete_topics",
	"create /admin/delete_topics/T",
	"create /brokers",
	"create /brokers/ids",
	"create /brokers/seqid",
	"create /brokers/topics",
	"create /brokers/topics/T",
	"create /cluster",
	"create /cluster/id",
	"create /config",
	"create /config/brokers",
	"create /config/brokers/<default>",
	"create /config/brokers/N",
	"create /config/changes",
	"create /config/changes/config_change_",
	"create /config/clients",
	"create /config/ips",
	"create /config/topics",
	"create /config/topics/T",
	"create /config/users",
	"create /consumers",
	"create /controller_epoch",
	"create /feature",
	"create /isr_change_notification",
	"create /latest_producer_id_block",
	"create /log_dir_event_notification",
	"multi{check /controller, set /config/brokers/<default>}",
	"multi{check /controller, set /config/brokers/N}",
	"multi{check /controller, set /config/topics/T}",
	"multi{check /controller_epoch, create /brokers/topics/T/partitions/N/state}",
	"multi{check /controller_epoch, create /brokers/topics/T/partitions/N}",
	"multi{check /controller_epoch, create /brokers/topics/T/partitions}",
	"multi{check /controller_epoch, delete /admin/delete_topics/T}",
	"multi{check /controller_epoch, delete /admin/preferred_replica_election}",
	"multi{check /controller_epoch, delete /admin/reassign_partitions}",
	"multi{check /controller_epoch, delete /brokers/topics/T/partitions/N/state}",
	"multi{check /controller_epoch, delete /brokers/topics/T/partitions/N}",
	"multi{check /controller_epoch, delete /brokers/topics/T/partitions}",
	"multi{check /controller_epoch, delete /brokers/topics/T}",
	"multi{check /controller_epoch, delete /config/topics/T}",
	"multi{check /controller_epoch, set /admin/reassign_partitions}",
	"multi{check /controller_epoch, set /brokers/topics/T/partitions/N/state}",
	"multi{check /controller_epoch, set /brokers/topics/T}",
	"multi{create /brokers/ids/N, set /brokers/ids/N}",
	"multi{create /controller, set /controller_epoch}",
	"multi{set /controller_epoch, delete /controller, create /controller}",
	"set /brokers/topics/T",
	"set /latest_producer_id_block",
}

// lostReplies lets each kind of write of each broker reach ZooKeeper, and breaks the connection in place of its first reply.
type lostReplies struct {
	mu   sync.Mutex
	lost map[string]map[string]bool // kind → hosts
}

// link is the line of a host to ZooKeeper.
func (l *lostReplies) link(host string, dial coordination.Dialer, over <-chan struct{}) *zktest.Link {
	link := zktest.NewLink(dial)
	match := func(op int32, body []byte) bool {
		kind := writeKind(op, body)
		l.mu.Lock()
		defer l.mu.Unlock()
		if kind == "" || l.lost[kind][host] {
			return false
		}
		if l.lost[kind] == nil {
			l.lost[kind] = map[string]bool{}
		}
		l.lost[kind][host] = true
		return true
	}
	dropped := link.DropReplyIf(match)
	go func() {
		for {
			select {
			case <-dropped:
				dropped = link.DropReplyIf(match)
			case <-over:
				return
			}
		}
	}()
	return link
}

// The jute of a write: of each, the path comes first.
var writeNames = map[int32]string{1: "create", 2: "delete", 5: "set", 13: "check", 15: "create", 19: "create", 21: "create"}

const opMulti = 14

// writeKind names what a request writes, with the names of topics and the numbers taken out; "" for a read.
func writeKind(op int32, body []byte) string {
	str := func() string {
		n := int32(binary.BigEndian.Uint32(body))
		body = body[4:]
		if n <= 0 {
			return ""
		}
		s := string(body[:n])
		body = body[n:]
		return s
	}
	if op != opMulti {
		if name := writeNames[op]; name != "" {
			return name + " " + pathKind(str())
		}
		return ""
	}
	var parts []string
	for {
		sub, done := int32(binary.BigEndian.Uint32(body)), body[4] == 1
		body = body[9:]
		if done {
			return "multi{" + strings.Join(parts, ", ") + "}"
		}
		parts = append(parts, writeNames[sub]+" "+pathKind(str()))
		switch writeNames[sub] {
		case "create":
			str()
			acls := binary.BigEndian.Uint32(body)
			body = body[4:]
			for range acls {
				body = body[4:] // permissions
				str()           // scheme
				str()           // id
			}
			body = body[4:] // flags
		case "set":
			str()
			body = body[4:]
		default:
			body = body[4:]
		}
	}
}

var (
	numbers   = regexp.MustCompile(`/[0-9]+`)
	topicName = regexp.MustCompile(`/(sim|extra-[0-9]|more)(/|$)`)
)

func pathKind(path string) string {
	return numbers.ReplaceAllString(topicName.ReplaceAllString(path, "/T$2"), "/N")
}

// Each kind of write to ZooKeeper loses its reply, on each broker that sends it: what was written is written once, nothing else is, and all agree.
func TestLostReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lostReplies{lost: map[string]map[string]bool{}}
		s := newSimulationOn(t, 0, 3, func(n *simNet) {
			n.lines = func(host string, dial coordination.Dialer) *zktest.Link {
				return l.link(host, dial, t.Context().Done())
			}
		})
		l.duties(s)
		if t.Failed() {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, kind := range slices.Sorted(maps.Keys(l.lost)) {
			if !slices.Contains(writesToZooKeeper, kind) {
				t.Errorf("%q is written, and the table does not know it", kind)
			}
		}
		for _, kind := range writesToZooKeeper {
			if l.lost[kind] == nil {
				t.Errorf("%q stands in the table, and is not written", kind)
			}
		}
	})
}

// duties has brokers and controllers do everything that they write for.
func (l *lostReplies) duties(s *simulation) {
	t := s.t
	defer s.end()
	s.create()
	for p := range simPartitions {
		s.acks[p] = map[int]int64{}
		s.work.Add(2)
		go s.write(p)
		go s.read(p)
	}
	cl := s.client()
	adm := kadm.NewClient(cl)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	insist := func(what string, f func() error) {
		t.Helper()
		var err error
		s.eventually(what, func() bool { err = f(); return err == nil })
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	controller := func() int { return int(s.up[0].cache.Image().ControllerID) }
	for round := range 2 { // the second one under another controller
		name := fmt.Sprint("extra-", round)
		insist("create", func() error {
			_, err := adm.CreateTopic(ctx, 2, 2, nil, name)
			return ignoreErr(err, "TOPIC_ALREADY_EXISTS")
		})
		insist("extend", func() error {
			r, err := adm.UpdatePartitions(ctx, 4, name)
			return firstErr(err, r[name].Err, "INVALID_PARTITIONS")
		})
		value := fmt.Sprint(1000000 + round)
		for id := range s.up {
			insist("alter topic", func() error {
				return s.up[id].settings.AlterTopic(ctx, name, []settings.Op{{Name: "retention.ms", Value: &value}}, false)
			})
			insist("alter broker", func() error {
				return s.up[id].settings.AlterBroker(ctx, fmt.Sprint(id), []settings.Op{{Name: "log.retention.ms", Value: &value}}, false)
			})
			insist("alter all brokers", func() error {
				return s.up[id].settings.AlterBroker(ctx, "", []settings.Op{{Name: "log.roll.ms", Value: &value}}, false)
			})
		}
		var r kadm.AlterPartitionAssignmentsReq
		r.Assign(name, 0, []int32{int32(round), int32(round+1) % 3, int32(round+2) % 3})
		insist("move", func() error { _, err := adm.AlterPartitionAssignments(ctx, r); return err })
		insist("elect", func() error { _, err := adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, nil); return err })
		l.legacyRequests(s, name)
		victim := (controller() + 1) % 3
		s.kill(victim)
		time.Sleep(20 * time.Second)
		s.start(victim)
		s.eventually("all are in sync", s.whole)
		other := (controller() + 2) % 3
		if err := s.up[other].Stop(ctx); err != nil {
			t.Error(err)
		}
		s.net.setDown(simHostOf(other), true)
		s.start(other)
		s.eventually("all are in sync", s.whole)
		insist("delete", func() error {
			r, err := adm.DeleteTopics(ctx, name)
			return firstErr(err, r[name].Err, "UNKNOWN_TOPIC_OR_PARTITION")
		})
		old := controller()
		if round == 0 {
			s.kill(old) // its office is seized
		} else if err := s.up[old].Stop(ctx); err != nil { // gives it up
			t.Error(err)
		} else {
			s.net.setDown(simHostOf(old), true)
		}
		time.Sleep(20 * time.Second)
		s.start(old)
		s.eventually("all are in sync", s.whole)
	}
	s.heal()
}

func ignoreErr(err error, code string) error {
	if err != nil && strings.Contains(err.Error(), code) {
		return nil
	}
	return err
}

func firstErr(err, second error, done string) error {
	if err != nil {
		return err
	}
	return ignoreErr(second, done)
}

// legacyRequests asks for an election and a move by znodes, as tools before Kafka 2.4 did, and waits until the controller has taken them away.
func (l *lostReplies) legacyRequests(s *simulation, topic string) {
	ctx, g := s.t.Context(), s.session.Current()
	for path, data := range map[string]string{
		znode.PreferredElectionPath:  fmt.Sprintf(`{"version":1,"partitions":[{"topic":%q,"partition":0}]}`, topic),
		znode.ReassignPartitionsPath: fmt.Sprintf(`{"version":1,"partitions":[{"topic":%q,"partition":1,"replicas":[0,1,2]},{"topic":%q,"partition":2,"replicas":[2,1]}]}`, topic, topic),
	} {
		if _, err := g.Create(ctx, path, []byte(data), coordination.Persistent); err != nil {
			s.t.Fatal(err)
		}
		s.eventually(path+" is done with", func() bool {
			stat, err := g.Exists(ctx, path)
			return err == nil && stat == nil
		})
	}
}

// A replica that is being let into the ISR dies just when the controller has stored that, and before the leader has heard it; then the leader dies. What was
// acknowledged in between is there: the leader waited for the newcomer from the moment on at which it asked for it.
func TestJoiningReplicaDiesUnheard(t *testing.T) {
	for round := range 6 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				joined := make(chan struct{})
				var watch atomic.Pointer[string] // what the state says once the newcomer is in
				s := newSimulationOn(t, uint64(round), 3, func(n *simNet) {
					n.lines = func(_ string, dial coordination.Dialer) *zktest.Link {
						link := zktest.NewLink(dial)
						link.DropReplyIf(func(op int32, body []byte) bool {
							want := watch.Load()
							if op != opMulti || want == nil || !strings.Contains(string(body), *want) || !watch.CompareAndSwap(want, nil) {
								return false
							}
							close(joined)
							return round%2 == 0 // the controller does not hear of it either
						})
						return link
					}
				})
				defer s.end()
				s.create()
				for p := range simPartitions {
					s.acks[p] = map[int]int64{}
					s.work.Add(2)
					go s.write(p)
					go s.read(p)
				}
				time.Sleep(3 * time.Second)
				part := s.up[0].cache.Image().Partition(tp(0))
				leader := part.Leader
				controller := s.up[0].cache.Image().ControllerID
				joining := part.Replicas[1]
				if joining == leader || joining == controller {
					joining = part.Replicas[2]
				}
				if joining == leader || joining == controller {
					joining = part.Replicas[0]
				}
				s.kill(int(joining))
				s.eventually("it is out", func() bool { return len(s.states()[tp(0)].ISR) == 2 })
				time.Sleep(2 * time.Second)
				isr := s.states()[tp(0)].ISR
				in := fmt.Sprintf(`"isr":[%d,%d,%d]`, isr[0], isr[1], joining)
				watch.Store(&in)
				s.start(int(joining))
				<-joined
				s.kill(int(joining))
				time.Sleep(time.Duration(round) * 400 * time.Millisecond)
				s.kill(int(leader))
				time.Sleep(15 * time.Second)
				s.start(int(joining))
				time.Sleep(5 * time.Second)
				s.heal()
			})
		})
	}
}

// A broker that has registered and listens only 20 s later is alive all the time: it leads what it is to lead, and nobody takes over.
func TestLateListenerIsNotFailedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(t, 0)
		defer s.end()
		const late = 9
		host := simHostOf(late)
		registration := znode.Registration{Broker: metadata.Broker{ID: late, Endpoints: []metadata.Endpoint{{Listener: "PLAINTEXT", Host: host, Port: 9092}}}}
		session, err := coordination.Open(t.Context(), coordination.Options{Servers: []string{zkAddr}, Clock: clock.New(), Logger: slog.New(slog.DiscardHandler),
			Dial: simHost{s.net, host}.Dial})
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		if _, err := znode.RegisterBroker(t.Context(), session.Current(), registration, znode.Registered{}); err != nil {
			t.Fatal(err)
		}
		s.eventually("all know it", func() bool { return s.up[0].cache.Image().Broker(late) != nil })
		zt := znode.Topic{Name: "late", ID: metadata.NewTopicID(), Partitions: map[int32]znode.Assignment{0: {Replicas: []int32{late, 0}}}}
		if err := znode.CreateTopic(t.Context(), s.session.Current(), zt); err != nil {
			t.Fatal(err)
		}
		leads := func() bool {
			st, ok := s.states()[metadata.TopicPartition{Topic: "late"}]
			return ok && st.Leader == late && st.LeaderEpoch == 0
		}
		s.eventually("it leads", leads)
		for range 20 {
			time.Sleep(time.Second)
			if !leads() || s.up[1].cache.Image().Broker(late) == nil {
				t.Fatalf("it was failed over: %+v", s.states())
			}
		}
		ln, err := simHost{s.net, host}.Listen(net.JoinHostPort(host, "9092"))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		time.Sleep(5 * time.Second)
		if !leads() {
			t.Errorf("it was failed over when it began to listen: %+v", s.states())
		}
	})
}
