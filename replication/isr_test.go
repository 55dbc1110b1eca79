package replication

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func noAlter(context.Context, *kmsg.AlterPartitionRequest) (*kmsg.AlterPartitionResponse, error) {
	return nil, errors.New("no controller")
}

// controllerStub answers AlterPartition. Requests wait until the test answers them.
type controllerStub struct {
	mu       sync.Mutex
	inFlight int
	most     int
	asked    chan *kmsg.AlterPartitionRequest
	answers  chan *kmsg.AlterPartitionResponse
}

func newControllerStub() *controllerStub {
	return &controllerStub{asked: make(chan *kmsg.AlterPartitionRequest), answers: make(chan *kmsg.AlterPartitionResponse)}
}

func (c *controllerStub) alter(ctx context.Context, q *kmsg.AlterPartitionRequest) (*kmsg.AlterPartitionResponse, error) {
	c.count(1)
	defer c.count(-1)
	select {
	case c.asked <- q:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case a := <-c.answers:
		if a == nil {
			return nil, errors.New("connection lost")
		}
		return a, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *controllerStub) count(by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight += by
	c.most = max(c.most, c.inFlight)
}

// answer makes the answer to q: each partition gets code, or what it asked for with the next partition epoch.
func answer(q *kmsg.AlterPartitionRequest, code *kerr.Error) *kmsg.AlterPartitionResponse {
	resp := q.ResponseKind().(*kmsg.AlterPartitionResponse)
	for _, t := range q.Topics {
		rt := kmsg.NewAlterPartitionResponseTopic()
		rt.TopidID, rt.Topic = t.TopicID, t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewAlterPartitionResponseTopicPartition()
			rp.Partition = p.Partition
			if code != nil {
				rp.ErrorCode = code.Code
			} else {
				rp.LeaderID, rp.LeaderEpoch, rp.ISR, rp.PartitionEpoch = q.BrokerID, p.LeaderEpoch, p.NewISR, p.PartitionEpoch+1
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// inBubble runs f with a broker whose controller is a stub.
func inBubble(t *testing.T, f func(t *testing.T, n *node, c *controllerStub)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newControllerStub()
		n := newNode(t, 1, func(o *Options) {
			o.AlterPartition = c.alter
			o.BrokerEpoch = func() int64 { return 77 }
		})
		defer n.down()
		f(t, n, c)
	})
}

func (n *node) isr() (isr []int32, pending *isrChange) {
	p := n.Partition(t0)
	p.leadership.RLock()
	defer p.leadership.RUnlock()
	return p.state.ISR, p.pending
}

func (n *node) wantISR(isr ...int32) {
	n.t.Helper()
	if got, _ := n.isr(); !slices.Equal(got, isr) {
		n.t.Errorf("ISR %v, want %v", got, isr)
	}
}

func (n *node) wantHW(hw int64) {
	n.t.Helper()
	synctest.Wait()
	if got := n.log().HighWatermark(); got != hw {
		n.t.Errorf("high watermark %d, want %d", got, hw)
	}
}

func TestHighWatermark(t *testing.T) {
	n := newNode(t, 1, nil)
	n.role(1, 0, 0, 1, 2, 3)
	n.sendOK("a", "b", "c")
	for _, c := range []struct {
		id     int32
		offset int64
		want   int64
	}{{2, 2, 0}, {3, 1, 1}, {3, 3, 2}, {2, 3, 3}, {2, 1, 3}} {
		n.fetched(c.id, c.offset)
		if got := n.log().HighWatermark(); got != c.want {
			t.Errorf("after broker %d fetched from %d: high watermark %d, want %d", c.id, c.offset, got, c.want)
		}
	}
}

func TestExpand(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node, c *controllerStub) {
		n.role(1, 4, 9, 1)
		n.sendOK("a", "b")
		n.wantHW(2)
		n.fetched(2, 1) // below the high watermark
		if _, pending := n.isr(); pending != nil {
			t.Fatal("let in below the high watermark")
		}
		n.fetched(2, 2)
		q := <-c.asked
		r := q.Topics[0].Partitions[0]
		if q.Version != 3 || q.BrokerID != 1 || q.BrokerEpoch != 77 || q.Topics[0].TopicID != topicID || r.LeaderEpoch != 4 || r.PartitionEpoch != 9 ||
			!slices.Equal(r.NewISR, []int32{1, 2}) || len(r.NewEpochISR) != 2 || r.NewEpochISR[1].BrokerID != 2 || r.NewEpochISR[1].BrokerEpoch != -1 || r.LeaderRecoveryState != 0 {
			t.Errorf("%+v", q)
		}
		// The newcomer holds the high watermark back already; min.insync.replicas counts the committed ISR alone.
		n.wantISR(1)
		n.sendOK("c")
		n.wantHW(2)
		time.Sleep(31 * time.Second) // also when it is no longer caught up: the controller may have let it in
		n.sendOK("d")
		n.wantHW(2)
		n.cfg.MinInsyncReplicas = 2
		wantCode(t, "before it is committed", n.send(AcksAll, produced(t, nil, "x"))[0].Err, kerr.NotEnoughReplicas)
		c.answers <- answer(q, nil)
		synctest.Wait()
		n.wantISR(1, 2)
		n.fetched(2, 3)
		n.wantHW(3)
	})
}

// A follower may join only when it has what was committed under earlier leaders, which may be above the high watermark of a new leader.
func TestExpandWaitsForTheStartOfTheEpoch(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node, c *controllerStub) {
		n.role(1, 0, 0, 1, 2)
		n.sendOK("a", "b", "c") // high watermark 0
		n.role(1, 1, 1, 1, 2)   // epoch 1 starts at 3
		n.fetched(3, 2)
		if _, pending := n.isr(); pending != nil {
			t.Error("let in below the start of the epoch")
		}
		n.fetched(3, 3)
		if _, pending := n.isr(); pending == nil {
			t.Error("not let in at the start of the epoch")
		}
	})
}

func TestExpandOnlyTheLiving(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node, c *controllerStub) {
		n.role(1, 0, 0, 1)
		n.live(1, 3)
		n.fetched(2, 0)
		if _, pending := n.isr(); pending != nil {
			t.Fatal("a broker that is not alive is let in")
		}
		n.live(1, 2, 3)
		time.Sleep(time.Millisecond)
		n.fetched(2, 0) // nothing new to say, but the next chance
		if _, pending := n.isr(); pending == nil {
			t.Error("not let in although it is alive now")
		}
	})
}

// A replica that is caught up but outside the ISR is waited for, so that the high watermark does not run ahead of it for ever.
func TestHighWatermarkWaitsForJoiners(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node, c *controllerStub) {
		n.role(1, 0, 0, 1)
		n.fetched(2, 0)
		q := <-c.asked
		c.answers <- answer(q, kerr.IneligibleReplica)
		synctest.Wait()
		n.sendOK("a")
		n.wantHW(0)
		time.Sleep(31 * time.Second) // no longer about to join
		n.sendOK("b")
		n.wantHW(2)
	})
}

func TestShrink(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node, c *controllerStub) {
		n.role(1, 0, 3, 1, 2, 3)
		n.fetched(2, 0)
		n.fetched(3, 0)
		// Nothing to fetch: both are in sync however long it lasts. The second more keeps what follows away from the moment of a
		// scan, which would find 2 behind too between the append and its fetch.
		time.Sleep(2*time.Minute + time.Second)
		n.wantISR(1, 2, 3)
		n.sendOK("a")
		n.fetched(2, 1)
		began := n.clk.Mono()
		q := <-c.asked
		// They were caught up 2 minutes ago, by what their fetches, two minutes old, told.
		if took := n.clk.Mono() - began; took > 15*time.Second {
			t.Errorf("found after %v", took)
		}
		if !slices.Equal(q.Topics[0].Partitions[0].NewISR, []int32{1, 2}) || q.Topics[0].Partitions[0].PartitionEpoch != 3 {
			t.Errorf("%+v", q)
		}
		// Until the controller has stored it, 3 counts: it may be elected.
		n.wantHW(0)
		n.sendOK("b")
		n.fetched(2, 2)
		n.wantHW(0)
		c.answers <- answer(q, nil)
		n.wantHW(2)
		n.wantISR(1, 2)
	})
}

// A follower that comes back while its removal is on its way is told to fetch-session keepers again once it is out: nothing else would let it in before the
// next record.
func TestBackWhileBeingRemoved(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node, c *controllerStub) {
		p := n.role(1, 0, 3, 1, 2, 3)
		n.fetched(2, 0)
		n.fetched(3, 0)
		time.Sleep(time.Minute)
		n.sendOK("a")
		n.fetched(2, 1)
		q := <-c.asked // 3 is to go
		n.fetched(3, 1)
		n.wantHW(1)
		w := NewWaiter()
		defer w.Subscribe(p, nil).Cancel()
		w.TakeDirty(nil)
		c.answers <- answer(q, nil)
		synctest.Wait()
		n.wantISR(1, 2)
		if len(w.TakeDirty(nil)) != 1 {
			t.Error("nobody looks at the follower again")
		}
		time.Sleep(time.Second)
		n.fetched(3, 1)
		if q := <-c.asked; !slices.Equal(q.Topics[0].Partitions[0].NewISR, []int32{1, 2, 3}) {
			t.Errorf("%+v", q)
		}
	})
}

func TestShrinkSlowFollower(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node, c *controllerStub) {
		n.role(1, 0, 0, 1, 2)
		// Always a bit behind, but never by more than what came since its last fetch: in sync.
		at := int64(0)
		for range 200 {
			n.sendOK("x")
			n.fetched(2, at)
			at++
			time.Sleep(time.Second)
		}
		n.wantISR(1, 2)
		// One record a second is not enough when two come.
		for range 60 {
			n.sendOK("x", "x")
			n.fetched(2, at)
			at++
			time.Sleep(time.Second)
			select {
			case q := <-c.asked:
				if !slices.Equal(q.Topics[0].Partitions[0].NewISR, []int32{1}) {
					t.Errorf("%+v", q)
				}
				return
			default:
			}
		}
		t.Error("a follower that falls behind for ever stays in the ISR")
	})
}

// The table of what a leader does with the controller's answer.
func TestAlterPartitionAnswers(t *testing.T) {
	for _, c := range []struct {
		code  *kerr.Error
		again bool // the same change is sent once more
		waits bool // it stays pending until a LeaderAndIsr
	}{
		{kerr.OperationNotAttempted, false, false},
		{kerr.IneligibleReplica, false, false},
		{kerr.UnknownTopicOrPartition, false, true},
		{kerr.UnknownTopicID, false, true},
		{kerr.FencedLeaderEpoch, false, true},
		{kerr.InvalidUpdateVersion, false, true},
		{kerr.InvalidRequest, false, true},
		{kerr.NewLeaderElected, false, true},
		{kerr.NotController, true, false},
		{kerr.RequestTimedOut, true, false},
		{kerr.UnknownServerError, true, false},
	} {
		t.Run(c.code.Message, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *node, stub *controllerStub) {
				n.role(1, 0, 5, 1)
				n.fetched(2, 0)
				q := <-stub.asked
				stub.answers <- answer(q, c.code)
				synctest.Wait()
				_, pending := n.isr()
				n.wantISR(1)
				switch {
				case c.again:
					began := n.clk.Mono()
					defer func() {
						if took := n.clk.Mono() - began; took != isrRetryPause {
							t.Errorf("sent again after %v", took)
						}
					}()
					if again := <-stub.asked; !slices.Equal(again.Topics[0].Partitions[0].NewISR, []int32{1, 2}) {
						t.Errorf("%+v", again)
					}
					return
				case (pending != nil) != c.waits:
					t.Errorf("pending: %t, want %t", pending != nil, c.waits)
				}
				time.Sleep(time.Minute)
				select {
				case <-stub.asked:
					t.Error("sent again")
				default:
				}
				n.role(1, 1, 6, 1)
				if _, pending := n.isr(); pending != nil {
					t.Error("pending after a LeaderAndIsr")
				}
				n.fetched(2, 0)
				if q := <-stub.asked; q.Topics[0].Partitions[0].PartitionEpoch != 6 {
					t.Errorf("%+v", q)
				}
			})
		})
	}
}

// A successful answer that is older than what the leader knows changes nothing.
func TestAlterPartitionOutdatedSuccess(t *testing.T) {
	for name, change := range map[string]func(*kmsg.AlterPartitionResponseTopicPartition){
		"leader epoch":    func(p *kmsg.AlterPartitionResponseTopicPartition) { p.LeaderEpoch = 3 },
		"partition epoch": func(p *kmsg.AlterPartitionResponseTopicPartition) { p.PartitionEpoch = 4 },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *node, stub *controllerStub) {
				n.role(1, 2, 5, 1)
				n.fetched(2, 0)
				a := answer(<-stub.asked, nil)
				change(&a.Topics[0].Partitions[0])
				stub.answers <- a
				synctest.Wait()
				n.wantISR(1)
			})
		})
	}
	t.Run("answered after a LeaderAndIsr", func(t *testing.T) {
		inBubble(t, func(t *testing.T, n *node, stub *controllerStub) {
			n.role(1, 2, 5, 1)
			n.fetched(2, 0)
			a := answer(<-stub.asked, nil)
			n.role(1, 3, 9, 1, 3)
			stub.answers <- a
			synctest.Wait()
			n.wantISR(1, 3)
		})
	})
}

// The answer to a change of an earlier epoch does not touch the one of now.
func TestAlterPartitionAnswerToAnotherChange(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node, stub *controllerStub) {
		n.role(1, 0, 5, 1)
		n.fetched(2, 0)
		old := <-stub.asked
		n.role(1, 1, 6, 1)
		n.fetched(3, 0)
		stub.answers <- answer(old, kerr.IneligibleReplica)
		synctest.Wait()
		if _, pending := n.isr(); pending == nil || pending.joining != 3 {
			t.Errorf("pending: %+v", pending)
		}
		q := <-stub.asked
		if r := q.Topics[0].Partitions[0]; r.LeaderEpoch != 1 || !slices.Equal(r.NewISR, []int32{1, 3}) {
			t.Errorf("%+v", r)
		}
	})
}

func TestAlterPartitionRetries(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node, stub *controllerStub) {
		n.role(1, 0, 5, 1)
		n.fetched(2, 0)
		<-stub.asked
		stub.answers <- nil // connection lost
		q := <-stub.asked
		top := answer(q, nil)
		top.Topics, top.ErrorCode = nil, kerr.StaleBrokerEpoch.Code
		stub.answers <- top
		q = <-stub.asked
		stub.answers <- q.ResponseKind().(*kmsg.AlterPartitionResponse) // without the partition
		q = <-stub.asked
		stub.answers <- answer(q, nil)
		synctest.Wait()
		n.wantISR(1, 2)
	})
}

// One request at a time, with everything that waits in it.
func TestAlterPartitionBatches(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node, stub *controllerStub) {
		for p := range int32(10) {
			s := state(1, 0, 0, 1)
			s.TopicPartition.Partition = p
			must(t, n.apply(s))
		}
		join := func(i int32) {
			tp := t0
			tp.Partition = i
			p := n.Partition(tp)
			q := ReadRequest{ReplicaID: 2, CurrentEpoch: 0, LastFetchedEpoch: NoEpoch, Isolation: ReadLogEnd}
			r, err := p.Read(&q)
			must(t, err)
			p.FollowerFetched(&q, &r, n.clk.Mono(), nil)
		}
		join(0)
		first := <-stub.asked
		for i := range int32(9) {
			join(i + 1)
		}
		synctest.Wait()
		stub.answers <- answer(first, nil)
		second := <-stub.asked
		if len(first.Topics[0].Partitions) != 1 || len(second.Topics) != 1 || len(second.Topics[0].Partitions) != 9 {
			t.Errorf("%d and %d partitions", len(first.Topics[0].Partitions), len(second.Topics[0].Partitions))
		}
		stub.answers <- answer(second, nil)
		synctest.Wait()
		stub.mu.Lock()
		defer stub.mu.Unlock()
		if stub.most != 1 {
			t.Errorf("%d requests in flight at once", stub.most)
		}
	})
}

// Changes of partitions that are gone are not sent, and do not make the others wait.
func TestAlterPartitionOfDeleted(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node, stub *controllerStub) {
		n.role(1, 0, 0, 1)
		n.fetched(2, 0)
		<-stub.asked
		n.stopOK(-2, true)
		stub.answers <- nil
		time.Sleep(time.Minute)
		select {
		case q := <-stub.asked:
			t.Errorf("sent: %+v", q)
		default:
		}
		if left := n.Manager.isr.waiting(); len(left) != 0 {
			t.Errorf("%d changes left", len(left))
		}
	})
}

// A topic without an id goes by its name, in a version that has names.
func TestAlterPartitionByName(t *testing.T) {
	inBubble(t, func(t *testing.T, n *node, stub *controllerStub) {
		s := state(1, 0, 0, 1)
		s.TopicID = [16]byte{}
		must(t, n.apply(s))
		n.fetched(2, 0)
		q := <-stub.asked
		if q.Version != 1 || q.Topics[0].Topic != "t" {
			t.Errorf("%+v", q)
		}
		stub.answers <- answer(q, nil)
		synctest.Wait()
		n.wantISR(1, 2)
	})
}

// A fetch that was read in another epoch, or by one who is no replica, tells nothing.
func TestFollowerFetchedOfAnotherEpoch(t *testing.T) {
	n := newNode(t, 1, nil)
	p := n.role(1, 0, 0, 1, 2)
	n.sendOK("a")
	q := ReadRequest{ReplicaID: 2, CurrentEpoch: 0, FetchOffset: 1, LastFetchedEpoch: NoEpoch, Isolation: ReadLogEnd}
	r, err := p.Read(&q)
	must(t, err)
	n.role(1, 1, 1, 1, 2)
	p.FollowerFetched(&q, &r, n.clk.Mono(), nil)
	stranger := q
	stranger.ReplicaID = 9
	p.FollowerFetched(&stranger, &r, n.clk.Mono(), nil)
	if hw := n.log().HighWatermark(); hw != 0 {
		t.Errorf("high watermark %d", hw)
	}
	_, err = n.fetchAs(9, 1)
	wantCode(t, "a fetch of a broker that is no replica", err, kerr.UnknownLeaderEpoch)
}
