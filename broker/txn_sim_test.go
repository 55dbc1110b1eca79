package broker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/coordinator"
	"gokafka/topics"
)

// txnSim is a simulation of brokers with the topic "t", whose coordinators have few partitions.
type txnSim struct {
	*simulation
	cl  *kgo.Client
	adm *kadm.Client
}

const simTxnPartitions = 6

func inTxnSim(t *testing.T, brokers int, level int16, props map[string]string, prepare func(*simNet), f func(s *txnSim)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		all := map[string]string{"transaction.state.log.num.partitions": "3", "transaction.state.log.replication.factor": fmt.Sprint(brokers), "transaction.state.log.min.isr": fmt.Sprint((brokers + 1) / 2),
			"min.insync.replicas": fmt.Sprint((brokers + 1) / 2), "offsets.topic.num.partitions": "3", "offsets.topic.replication.factor": fmt.Sprint(brokers), "group.initial.rebalance.delay.ms": "0"}
		for k, v := range props {
			all[k] = v
		}
		s := &txnSim{simulation: newSimulationWith(t, 1, simOptions{brokers: brokers, firstAlone: true, props: all, prepare: prepare})}
		defer s.end()
		s.cl = s.client(kgo.RetryTimeout(time.Minute))
		defer s.cl.Close()
		s.adm = kadm.NewClient(s.cl)
		s.eventually("the topic is created", func() bool {
			r, err := s.adm.CreateTopics(context.Background(), simTxnPartitions, int16(brokers), nil, "t")
			return err == nil && ignoreErr(r["t"].Err, "TOPIC_ALREADY_EXISTS") == nil
		})
		s.eventually("there is a coordinator", func() bool { _, err := s.coordinatorOf("tx"); return err == nil })
		if level > 0 {
			s.eventually("transaction.version is finalized", func() bool {
				q := kmsg.NewPtrUpdateFeaturesRequest()
				q.FeatureUpdates = []kmsg.UpdateFeaturesRequestFeatureUpdate{{Feature: transactionFeature, MaxVersionLevel: level, UpgradeType: 1}}
				r, err := q.RequestWith(context.Background(), s.cl)
				return err == nil && r.ErrorCode == 0
			})
		}
		f(s)
	})
}

func (s *txnSim) coordinatorOf(id string) (int32, error) {
	q := kmsg.NewPtrFindCoordinatorRequest()
	q.CoordinatorType, q.CoordinatorKeys = 1, []string{id}
	r, err := q.RequestWith(context.Background(), s.cl)
	if err != nil {
		return -1, err
	}
	return r.Coordinators[0].NodeID, kerr.ErrorForCode(r.Coordinators[0].ErrorCode)
}

// stable says whether all that is replicated is stable too.
func (s *txnSim) stable() bool {
	ends, err := s.adm.ListEndOffsets(context.Background(), "t")
	if err != nil || len(ends["t"]) != simTxnPartitions {
		return false
	}
	lasts, err := s.adm.ListCommittedOffsets(context.Background(), "t")
	if err != nil {
		return false
	}
	for p, e := range ends["t"] {
		if l := lasts["t"][p]; e.Err != nil || l.Err != nil || l.Offset != e.Offset {
			return false
		}
	}
	return true
}

// values are the committed records of the topic.
func (s *txnSim) values(n int) []string {
	cl := s.client(append([]kgo.Opt{kgo.ConsumeTopics("t")}, committedOnly...)...)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var out []string
	for len(out) < n && ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) { out = append(out, string(r.Value)) })
	}
	return out
}

// put writes one record to each partition in a transaction that it leaves open.
func (s *txnSim) put(cl *kgo.Client, what string) {
	s.t.Helper()
	if err := cl.BeginTransaction(); err != nil {
		s.t.Fatal(err)
	}
	var mu sync.Mutex
	var failed error
	for p := range int32(simTxnPartitions) {
		cl.Produce(context.Background(), &kgo.Record{Topic: "t", Partition: p, Value: fmt.Appendf(nil, "%s-%d", what, p)}, func(_ *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, err)
		})
	}
	if err := errors.Join(cl.Flush(context.Background()), failed); err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
}

// onMarkers calls act for the n-th request with markers that a host sends after set.
type onMarkers struct {
	mu   sync.Mutex
	host string
	left int
	act  func(local, remote string)
	hit  chan struct{}
}

func (o *onMarkers) watch(n *simNet) {
	n.written = func(local, remote string, b []byte) {
		if len(b) < 6 || int(binary.BigEndian.Uint32(b)) != len(b)-4 || kmsg.Key(binary.BigEndian.Uint16(b[4:])) != kmsg.WriteTxnMarkers {
			return
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		if local != o.host || o.left == 0 {
			return
		}
		if o.left--; o.left == 0 {
			o.act(local, remote)
			close(o.hit)
		}
	}
}

func (o *onMarkers) set(host string, n int, act func(local, remote string)) <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.host, o.left, o.act, o.hit = host, n, act, make(chan struct{})
	return o.hit
}

// A coordinator is killed 50 times with a decision in its log and its markers on their way, some of which have arrived: each transaction is completed, and all is stable within 15 s of
// the broker's death.
func TestCoordinatorDiesInPrepareCommit(t *testing.T) {
	for _, level := range []int16{0, 2} {
		t.Run(fmt.Sprint("version ", level), func(t *testing.T) {
			t.Parallel()
			o := &onMarkers{}
			var net *simNet
			prepare := func(n *simNet) { net = n; o.watch(n) }
			inTxnSim(t, 3, level, nil, prepare, func(s *txnSim) {
				cl := s.client(kgo.TransactionalID("tx"), kgo.TransactionTimeout(time.Minute))
				defer cl.Close()
				const rounds = 25
				slowest := time.Duration(0)
				for i := range rounds {
					s.put(cl, fmt.Sprint(i))
					var id int32
					s.eventually("there is a coordinator", func() bool { var err error; id, err = s.coordinatorOf("tx"); return err == nil })
					hit := o.set(simHostOf(int(id)), 1+i%2, func(local, _ string) { net.setDown(local, true) })
					ended := make(chan error, 1)
					go func() { ended <- cl.EndTransaction(context.Background(), kgo.TryCommit) }()
					select {
					case <-hit:
					case <-time.After(10 * time.Second):
						t.Fatalf("round %d: no markers", i)
					}
					s.kill(int(id))
					died := time.Now()
					if err := <-ended; err != nil {
						t.Fatalf("round %d: %v", i, err)
					}
					s.eventually("all is stable", s.stable)
					slowest = max(slowest, time.Since(died))
					s.start(int(id))
					s.eventually("all are in sync", func() bool {
						for name := range map[string]bool{"t": true, topics.TransactionState: true} {
							m, err := s.adm.Metadata(context.Background(), name)
							if err != nil {
								return false
							}
							for _, p := range m.Topics[name].Partitions {
								if len(p.ISR) != 3 {
									return false
								}
							}
						}
						return true
					})
					if t.Failed() {
						t.Fatalf("in round %d", i)
					}
				}
				if slowest > 15*time.Second {
					t.Errorf("stable after %v", slowest)
				}
				if got := s.values(rounds * simTxnPartitions); len(slices.Compact(slices.Sorted(slices.Values(got)))) != rounds*simTxnPartitions {
					t.Errorf("%d records", len(got))
				}
			})
		})
	}
}

// Markers arrive, and the answers to them do not: they are sent again, to a leader that has them, and no transaction after is ended by them.
func TestAnswersToMarkersAreLost(t *testing.T) {
	for _, level := range []int16{0, 2} {
		t.Run(fmt.Sprint("version ", level), func(t *testing.T) {
			t.Parallel()
			o := &onMarkers{}
			var net *simNet
			prepare := func(n *simNet) { net = n; o.watch(n) }
			inTxnSim(t, 3, level, map[string]string{"request.timeout.ms": "3000"}, prepare, func(s *txnSim) {
				cl := s.client(kgo.TransactionalID("tx"), kgo.TransactionTimeout(time.Minute))
				defer cl.Close()
				want := 0
				for i := range 12 {
					s.put(cl, fmt.Sprint(i))
					var id int32
					s.eventually("there is a coordinator", func() bool { var err error; id, err = s.coordinatorOf("tx"); return err == nil })
					var a, b string
					hit := o.set(simHostOf(int(id)), 1+i%2, func(local, remote string) {
						if a, b = local, remote; local != remote {
							net.setCut(local, remote, true)
						}
					})
					commit := kgo.TransactionEndTry(i%3 != 2)
					if err := cl.EndTransaction(context.Background(), commit); err != nil {
						t.Fatalf("round %d: %v", i, err)
					}
					if commit {
						want += simTxnPartitions
					}
					<-hit
					time.Sleep(200 * time.Millisecond)
					if a != b {
						net.setCut(a, b, false)
					}
				}
				s.eventually("all is stable", s.stable)
				if got := s.values(want); len(slices.Compact(slices.Sorted(slices.Values(got)))) != want || len(got) != want {
					t.Errorf("%d records, want %d", len(got), want)
				}
			})
		})
	}
}

// initialize gives a transactional id its producer, by a request of its own.
func (s *txnSim) initialize(id string) kmsg.EndTxnResponse {
	s.t.Helper()
	p := kmsg.NewEndTxnResponse()
	s.eventually("a producer", func() bool {
		q := kmsg.NewPtrInitProducerIDRequest()
		q.TransactionalID, q.TransactionTimeoutMillis = &id, 60000
		r, err := q.RequestWith(context.Background(), s.cl)
		if err != nil || r.ErrorCode != 0 {
			return false
		}
		p.ProducerID, p.ProducerEpoch = r.ProducerID, r.ProducerEpoch
		return true
	})
	return p
}

func (s *txnSim) add(id string, p kmsg.EndTxnResponse) error {
	s.t.Helper()
	q := kmsg.NewPtrAddPartitionsToTxnRequest()
	q.TransactionalID, q.ProducerID, q.ProducerEpoch = id, p.ProducerID, p.ProducerEpoch
	q.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{0}}}
	var last error
	s.eventually("an answer of the coordinator", func() bool {
		r, err := q.RequestWith(context.Background(), s.cl)
		if err != nil {
			return false
		}
		last = kerr.ErrorForCode(r.Topics[0].Partitions[0].ErrorCode)
		return !errors.Is(last, kerr.ConcurrentTransactions)
	})
	return last
}

// A transactional id that nobody used for transactional.id.expiration.ms is forgotten, by all brokers; one with an open transaction is not.
func TestTransactionalIDsExpire(t *testing.T) {
	props := map[string]string{"transactional.id.expiration.ms": "100000", "transaction.remove.expired.transaction.cleanup.interval.ms": "10000", "transaction.max.timeout.ms": "900000"}
	inTxnSim(t, 1, 0, props, nil, func(s *txnSim) {
		listed := func() (ids []string) {
			r, err := kmsg.NewPtrListTransactionsRequest().RequestWith(context.Background(), s.cl)
			if err != nil || r.ErrorCode != 0 {
				return []string{fmt.Sprint(r, err)}
			}
			for _, x := range r.TransactionStates {
				ids = append(ids, x.TransactionalID)
			}
			slices.Sort(ids)
			return ids
		}
		idle := s.initialize("idle")
		open := kmsg.NewEndTxnResponse()
		s.eventually("a producer of long transactions", func() bool {
			q := kmsg.NewPtrInitProducerIDRequest()
			q.TransactionalID, q.TransactionTimeoutMillis = kmsg.StringPtr("open"), 900000
			r, err := q.RequestWith(context.Background(), s.cl)
			if err != nil || r.ErrorCode != 0 {
				return false
			}
			open.ProducerID, open.ProducerEpoch = r.ProducerID, r.ProducerEpoch
			return true
		})
		if err := s.add("open", open); err != nil {
			t.Fatal(err)
		}
		time.Sleep(80 * time.Second)
		if ids := listed(); !slices.Equal(ids, []string{"idle", "open"}) {
			t.Errorf("before it is time: %v", ids)
		}
		time.Sleep(40 * time.Second)
		for _, when := range []string{"then", "after a restart"} {
			if ids := listed(); !slices.Equal(ids, []string{"open"}) {
				t.Errorf("%s: %v", when, ids)
			}
			if err := s.add("idle", idle); !errors.Is(err, kerr.InvalidProducerIDMapping) {
				t.Errorf("%s: %v", when, err)
			}
			s.kill(0)
			s.start(0)
			<-s.up[0].Ready()
			s.eventually("the coordinator is back", func() bool { _, err := s.coordinatorOf("tx"); return err == nil && len(listed()) > 0 })
		}
		if again := s.initialize("idle"); again.ProducerID == idle.ProducerID {
			t.Error("the same producer id again")
		}
	})
}

// A producer whose epochs are used up gets another id, and its client does not notice.
func TestEpochsAreUsedUpUnnoticed(t *testing.T) {
	for _, level := range []int16{0, 2} {
		t.Run(fmt.Sprint("version ", level), func(t *testing.T) {
			inTxnSim(t, 1, level, nil, nil, func(s *txnSim) {
				old := s.initialize("tx")
				k := kmsg.TxnMetadataKey{TransactionalID: "tx"}
				v := kmsg.NewTxnMetadataValue()
				v.ProducerID, v.ProducerEpoch, v.TimeoutMillis, v.State, v.LastUpdateTimestamp, v.StartTimestamp = old.ProducerID, math.MaxInt16-3, 60000, 0, time.Now().UnixMilli(), -1
				inside := s.client(kgo.ClientID("__admin_client"))
				partition := coordinator.PartitionFor("tx", 3)
				if err := inside.ProduceSync(context.Background(), &kgo.Record{Topic: topics.TransactionState, Partition: partition, Key: k.AppendTo(nil), Value: v.AppendTo(nil)}).FirstErr(); err != nil {
					t.Fatal(err)
				}
				inside.Close()
				s.kill(0)
				s.start(0)
				<-s.up[0].Ready()
				s.eventually("the coordinator is back", func() bool { _, err := s.coordinatorOf("tx"); return err == nil })
				want := 0
				seen := map[int64]bool{}
				for i := range 4 { // a client each, and several transactions, which are epochs too with version 2
					cl := s.client(kgo.TransactionalID("tx"), kgo.TransactionTimeout(time.Minute))
					for j := range 3 {
						s.put(cl, fmt.Sprint(i, "-", j))
						if err := cl.EndTransaction(context.Background(), kgo.TryCommit); err != nil {
							t.Fatal(err)
						}
						want += simTxnPartitions
						id, epoch, err := cl.ProducerID(context.Background())
						if err != nil || epoch == math.MaxInt16 {
							t.Errorf("producer %d, epoch %d: %v", id, epoch, err)
						}
						seen[id] = true
					}
					cl.Close()
				}
				if !seen[old.ProducerID] || len(seen) != 2 {
					t.Errorf("producer ids %v, the first was %d", seen, old.ProducerID)
				}
				if got := s.values(want); len(got) != want {
					t.Errorf("%d records, want %d", len(got), want)
				}
			})
		})
	}
}

// A batch that comes after its transaction was committed is refused, whatever the client knows; and offsets that a transaction has not committed yet are told to be unstable.
func TestLateRecordsAndUnstableOffsets(t *testing.T) {
	inTxnSim(t, 1, 0, nil, nil, func(s *txnSim) {
		ctx := context.Background()
		p := s.initialize("tx")
		if err := s.add("tx", p); err != nil {
			t.Fatal(err)
		}
		s.eventually("there is a group coordinator", func() bool {
			q := kmsg.NewPtrFindCoordinatorRequest()
			q.CoordinatorKeys = []string{"g"}
			r, err := q.RequestWith(ctx, s.cl)
			return err == nil && r.Coordinators[0].ErrorCode == 0
		})
		a := kmsg.NewPtrAddOffsetsToTxnRequest()
		a.TransactionalID, a.Group, a.ProducerID, a.ProducerEpoch = "tx", "g", p.ProducerID, p.ProducerEpoch
		if r, err := a.RequestWith(ctx, s.cl); err != nil || r.ErrorCode != 0 {
			t.Fatal(r, err)
		}
		c := kmsg.NewPtrTxnOffsetCommitRequest()
		c.TransactionalID, c.Group, c.ProducerID, c.ProducerEpoch, c.Generation, c.Version = "tx", "g", p.ProducerID, p.ProducerEpoch, -1, 4
		c.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Partition: 0, Offset: 17, LeaderEpoch: -1}}}}
		if r, err := c.RequestWith(ctx, s.cl); err != nil || r.Topics[0].Partitions[0].ErrorCode != 0 {
			t.Fatal(r, err)
		}
		fetched := func(stable bool) (int64, error) {
			q := kmsg.NewPtrOffsetFetchRequest()
			q.RequireStable = stable
			q.Groups = []kmsg.OffsetFetchRequestGroup{{Group: "g", MemberEpoch: -1, Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", Partitions: []int32{0}}}}}
			r, err := q.RequestWith(ctx, s.cl)
			if err != nil {
				t.Fatal(err)
			}
			x := r.Groups[0].Topics[0].Partitions[0]
			return x.Offset, kerr.ErrorForCode(x.ErrorCode)
		}
		if at, err := fetched(true); at != -1 || !errors.Is(err, kerr.UnstableOffsetCommit) {
			t.Errorf("staged: %d, %v", at, err)
		}
		if at, err := fetched(false); at != -1 || err != nil {
			t.Errorf("staged, and it does not matter: %d, %v", at, err)
		}
		e := kmsg.NewPtrEndTxnRequest()
		e.TransactionalID, e.ProducerID, e.ProducerEpoch, e.Commit = "tx", p.ProducerID, p.ProducerEpoch, true
		end := func() *kmsg.EndTxnResponse { // of version 4: the epoch stays
			var out *kmsg.EndTxnResponse
			s.eventually("the markers are there", func() bool {
				r, err := s.cl.Broker(0).Request(ctx, &endTxn4{e})
				if err != nil {
					t.Fatal(err)
				}
				out = r.(*kmsg.EndTxnResponse)
				return out.ErrorCode != kerr.ConcurrentTransactions.Code
			})
			return out
		}
		for range 2 { // the second answer comes when it is completed
			if r := end(); r.ErrorCode != 0 {
				t.Fatal(kerr.ErrorForCode(r.ErrorCode))
			}
		}
		if at, err := fetched(true); at != 17 || err != nil {
			t.Errorf("committed: %d, %v", at, err)
		}
		for version, want := range map[int16]error{9: kerr.InvalidTxnState, 10: kerr.InvalidTxnState, 11: kerr.TransactionAbortable} {
			q := kmsg.NewPtrProduceRequest()
			q.TransactionID, q.Acks, q.TimeoutMillis = kmsg.StringPtr("tx"), -1, 10000
			q.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: transactionalBatch(t, p, 0, "late")}}}}
			r, err := s.cl.Broker(0).Request(ctx, &produceAt{q, version})
			if err != nil {
				t.Fatal(err)
			}
			if got := kerr.ErrorForCode(r.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode); !errors.Is(got, want) {
				t.Errorf("version %d, late: %v, want %v", version, got, want)
			}
		}
	})
}

// endTxn4 is EndTxn for a client that does not know version 5.
type endTxn4 struct{ *kmsg.EndTxnRequest }

func (*endTxn4) MaxVersion() int16 { return 4 }

// produceAt is Produce for a client that does not know versions above one.
type produceAt struct {
	*kmsg.ProduceRequest
	version int16
}

func (p *produceAt) MaxVersion() int16 { return p.version }
