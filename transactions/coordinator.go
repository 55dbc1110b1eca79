package transactions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/config"
	"gokafka/coordinator"
	"gokafka/internal/clock"
	"gokafka/internal/peer"
	"gokafka/metadata"
	"gokafka/record"
	"gokafka/replication"
	"gokafka/topics"
)

type machine = coordinator.Machine

// Options of a Coordinator. All are needed.
type Options struct {
	Config         *config.Transactions
	RequestTimeout time.Duration // request.timeout.ms
	Replicas       *replication.Manager
	Codecs         *record.Codecs
	Clock          *clock.Clock
	Logger         *slog.Logger
	BrokerID       int32
	Image          func() *metadata.Image
	// NextID gives a fresh producer id.
	NextID func() (int64, error)
	// PeerAddr is where a live broker listens for brokers.
	PeerAddr func(id int32) (string, bool)
	// Level is the finalized level of transaction.version.
	Level func() int16
	// Exists asks ZooKeeper whether a partition exists.
	Exists func(ctx context.Context, tp metadata.TopicPartition) (bool, error)
	// Peer says how to reach brokers.
	Peer peer.Options
}

// Coordinator coordinates the transactions of the transactional ids whose partitions of __transaction_state this broker leads, and asks the coordinators of
// others. Safe for concurrent use. Close it.
type Coordinator struct {
	o       Options
	rt      *coordinator.Runtime
	markers *markers
	peers   *peers // that are asked about transactions; markers have their own, which may take long
}

// New makes a coordinator of nothing: transactional ids come with the leadership of partitions.
func New(o Options) *Coordinator {
	c := &Coordinator{o: o}
	c.peers, c.markers = newPeers(&c.o), newMarkers(c)
	c.rt = coordinator.New(coordinator.Options{Topic: topics.TransactionState, Replicas: o.Replicas, Codecs: o.Codecs, Clock: o.Clock, Logger: o.Logger,
		LoadBytes: int(o.Config.StateLogLoadBufferBytes), New: func(p *coordinator.Partition) coordinator.Machine { return newShard(c, p) }})
	return c
}

// Close ends all and waits for it.
func (c *Coordinator) Close() {
	c.rt.Close()
	c.peers.close()
	c.markers.close()
}

// LeadershipChanged takes partitions over or gives them up. It does not block.
func (c *Coordinator) LeadershipChanged(changes []replication.LeadershipChange) {
	for _, ch := range changes {
		if ch.TopicPartition.Topic != topics.TransactionState {
			continue
		}
		if ch.Leads {
			c.rt.Led(ch.TopicPartition.Partition, ch.LeaderEpoch)
		} else {
			c.rt.Left(ch.TopicPartition.Partition)
		}
	}
}

// partitionOf is the partition of __transaction_state that a transactional id is in.
func (c *Coordinator) partitionOf(id string) (int32, error) {
	t := c.o.Image().Topic(topics.TransactionState)
	if t == nil {
		return -1, kerr.NotCoordinator
	}
	return coordinator.PartitionFor(id, int32(len(t.Partitions))), nil
}

// on runs f with the shard of a transactional id and waits for what it passes to its argument.
func on[A any](ctx context.Context, c *Coordinator, id string, f func(s *shard, answer func(A))) (A, error) {
	var none A
	partition, err := c.partitionOf(id)
	if err != nil {
		return none, err
	}
	answers := make(chan A, 1)
	over, err := c.rt.Do(partition, func(m machine) { f(m.(*shard), func(a A) { answers <- a }) })
	if err != nil {
		return none, err
	}
	select {
	case a := <-answers:
		return a, nil
	case <-ctx.Done():
		return none, kerr.CoordinatorNotAvailable
	case <-over:
	}
	select {
	case a := <-answers:
		return a, nil
	default:
		return none, kerr.NotCoordinator
	}
}

// InitProducer gives a transactional id its producer id and epoch; expected is the producer that asks, if it says so (KIP-360).
func (c *Coordinator) InitProducer(ctx context.Context, id string, timeoutMs int32, expected *Producer) (Producer, error) {
	none := Producer{record.NoProducerID, record.NoProducerEpoch}
	switch {
	case id == "":
		return none, kerr.InvalidRequest
	case timeoutMs <= 0 || int64(timeoutMs) > c.o.Config.MaxTimeout.Milliseconds():
		return none, kerr.InvalidTransactionTimeout
	}
	r, err := on(ctx, c, id, func(s *shard, answer func(produced)) {
		s.initProducer(id, timeoutMs, expected, func(p Producer, err error) { answer(produced{p, err}) })
	})
	if err != nil {
		return none, err
	}
	return r.p, r.err
}

// AddPartitions takes partitions into the producer's transaction, and begins one if there is none. version is the transaction version that the client uses.
func (c *Coordinator) AddPartitions(ctx context.Context, id string, p Producer, version int16, parts []metadata.TopicPartition) error {
	return outcomeOf(ctx, c, id, func(s *shard, answer func(error)) { s.addPartitions(id, p, version, parts, answer) })
}

// End commits or aborts the producer's transaction. The decision is replicated when it returns; the markers follow.
func (c *Coordinator) End(ctx context.Context, id string, p Producer, commit bool) error {
	return outcomeOf(ctx, c, id, func(s *shard, answer func(error)) { s.end(id, p, commit, answer) })
}

// EndBumping is End for transaction version 2: it says who the producer is from then on.
func (c *Coordinator) EndBumping(ctx context.Context, id string, p Producer, commit bool) (Producer, error) {
	none := Producer{record.NoProducerID, record.NoProducerEpoch}
	if id == "" {
		return none, kerr.InvalidRequest
	}
	r, err := on(ctx, c, id, func(s *shard, answer func(produced)) {
		s.endBumping(id, p, commit, func(p Producer, err error) { answer(produced{p, err}) })
	})
	if err != nil {
		return none, err
	}
	return r.p, r.err
}

// produced is a producer, or why there is none.
type produced struct {
	p   Producer
	err error
}

func outcomeOf(ctx context.Context, c *Coordinator, id string, f func(s *shard, answer func(error))) error {
	if id == "" {
		return kerr.InvalidRequest
	}
	outcome, err := on(ctx, c, id, f)
	if err == nil {
		err = outcome
	}
	return err
}

// VerifyHere says whether partitions are in a transaction that this broker coordinates; each has its outcome.
func (c *Coordinator) VerifyHere(ctx context.Context, id string, p Producer, parts []metadata.TopicPartition) []error {
	type outcome struct {
		each []error
		all  error
	}
	var r outcome
	err := error(kerr.InvalidRequest)
	if id != "" {
		r, err = on(ctx, c, id, func(s *shard, answer func(outcome)) {
			each, all := s.verify(id, p, parts)
			answer(outcome{each, all})
		})
	}
	if err = cmp.Or(err, r.all); err != nil {
		r.each = make([]error, len(parts))
		for i := range r.each {
			r.each[i] = err
		}
	}
	return r.each
}

// Client is what a client of partitions in transactions knows (Kafka 4.0 TransactionSupportedOperation).
type Client int

const (
	// OldClient does not know TRANSACTION_ABORTABLE.
	OldClient Client = iota
	// AbortableClient does.
	AbortableClient
	// AddingClient uses transaction version 2: its partitions come into the transaction when their leaders ask.
	AddingClient
)

const (
	addRetryPause = 20 * time.Millisecond  // Kafka 4.0 add.partitions.to.txn.retry.backoff.ms
	addRetryTime  = 100 * time.Millisecond // Kafka 4.0 add.partitions.to.txn.retry.backoff.max.ms
)

// Verify asks the coordinator, wherever it is, whether partitions are in a transaction, or lets it take them in for an AddingClient. Kafka 4.0 AddPartitionsToTxnManager.
func (c *Coordinator) Verify(ctx context.Context, id string, p Producer, parts []metadata.TopicPartition, client Client) []error {
	out := c.ask(ctx, id, p, parts, client)
	// The markers of the producer's transaction before are often still on their way.
	for waited := time.Duration(0); client == AddingClient && waited < addRetryTime && errors.Is(out[0], kerr.ConcurrentTransactions); waited += addRetryPause {
		if c.o.Clock.Sleep(ctx, addRetryPause) != nil {
			break
		}
		out = c.ask(ctx, id, p, parts, client)
	}
	for i, err := range out {
		switch {
		case errors.Is(err, kerr.ProducerFenced):
			out[i] = kerr.InvalidProducerEpoch
		case errors.Is(err, kerr.TransactionAbortable) && client == OldClient:
			out[i] = kerr.InvalidTxnState
		}
	}
	return out
}

func (c *Coordinator) ask(ctx context.Context, id string, p Producer, parts []metadata.TopicPartition, client Client) []error {
	out := make([]error, len(parts))
	all := func(err error) []error {
		for i := range out {
			out[i] = err
		}
		return out
	}
	partition, err := c.partitionOf(id)
	if err != nil {
		return all(kerr.CoordinatorNotAvailable)
	}
	at := c.o.Image().Partition(metadata.TopicPartition{Topic: topics.TransactionState, Partition: partition})
	if at == nil || at.Leader < 0 {
		return all(kerr.CoordinatorNotAvailable)
	}
	if at.Leader == c.o.BrokerID {
		if client == AddingClient {
			return all(c.AddPartitions(ctx, id, p, Version2, parts))
		}
		return c.VerifyHere(ctx, id, p, parts)
	}
	if _, alive := c.o.PeerAddr(at.Leader); !alive {
		return all(kerr.CoordinatorNotAvailable)
	}
	q := kmsg.NewPtrAddPartitionsToTxnRequest()
	q.Version = 5
	qt := kmsg.NewAddPartitionsToTxnRequestTransaction()
	qt.TransactionalID, qt.ProducerID, qt.ProducerEpoch, qt.VerifyOnly = id, p.ID, p.Epoch, client != AddingClient
	set := map[metadata.TopicPartition]bool{}
	for _, tp := range parts {
		set[tp] = true
	}
	byTopic(topicPartitions(set), func(topic string, partitions []int32) {
		t := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
		t.Topic, t.Partitions = topic, partitions
		qt.Topics = append(qt.Topics, t)
	})
	q.Transactions = append(q.Transactions, qt)
	resp, err := c.peers.request(ctx, at.Leader, q, 4)
	switch {
	case errors.Is(err, kerr.UnsupportedVersion) && client != AddingClient: // an older broker cannot be asked
		c.o.Logger.Warn("The transaction coordinator does not verify partitions; records are taken without it", "broker", at.Leader)
		return out
	case err != nil:
		c.o.Logger.Warn("The transaction coordinator could not be asked", "broker", at.Leader, "error", err)
		return all(kerr.NetworkException)
	}
	r := resp.(*kmsg.AddPartitionsToTxnResponse)
	if r.ErrorCode == kerr.ClusterAuthorizationFailed.Code {
		return all(kerr.InvalidTxnState) // not the client's affair
	} else if r.ErrorCode != 0 {
		return all(kerr.ErrorForCode(r.ErrorCode))
	}
	codes := map[metadata.TopicPartition]error{}
	for _, rt := range r.Transactions {
		for _, topic := range rt.Topics {
			for _, rp := range topic.Partitions {
				codes[metadata.TopicPartition{Topic: topic.Topic, Partition: rp.Partition}] = kerr.ErrorForCode(rp.ErrorCode)
			}
		}
	}
	for i, tp := range parts {
		err, answered := codes[tp]
		if !answered {
			err = kerr.NetworkException
		}
		out[i] = err
	}
	return out
}

// Description is what is known of a transactional id.
type Description struct {
	Producer   Producer
	State      State
	TimeoutMs  int32
	StartMs    int64 // -1 unknown
	Partitions []metadata.TopicPartition
}

// Describe describes a transactional id.
func (c *Coordinator) Describe(ctx context.Context, id string) (Description, error) {
	type outcome struct {
		d   Description
		err error
	}
	if id == "" {
		return Description{}, kerr.InvalidRequest
	}
	r, err := on(ctx, c, id, func(s *shard, answer func(outcome)) {
		t := s.txns[id]
		if t == nil {
			answer(outcome{err: kerr.TransactionalIDNotFound})
			return
		}
		answer(outcome{d: Description{Producer{t.producerID, t.epoch}, t.state, t.timeoutMs, t.startMs, topicPartitions(t.partitions)}})
	})
	if err == nil {
		err = r.err
	}
	return r.d, err
}

// Listing is a transactional id in a list.
type Listing struct {
	ID         string
	ProducerID int64
	State      State
}

// Filter says which transactional ids to list; empty fields mean all.
type Filter struct {
	States    []string
	Producers []int64
	OlderMs   int64 // open for longer than that; below 0 = all
}

// List lists the transactional ids of this broker, and the names of states that do not exist. It fails with kerr.CoordinatorLoadInProgress while some are being loaded.
func (c *Coordinator) List(ctx context.Context, f Filter) (list []Listing, unknown []string, err error) {
	ids, loading := c.rt.Active()
	if loading {
		return nil, nil, kerr.CoordinatorLoadInProgress
	}
	states := map[State]bool{}
	for _, name := range f.States {
		if st, ok := stateOf(name); ok {
			states[st] = true
		} else {
			unknown = append(unknown, name)
		}
	}
	for _, partition := range ids {
		answers := make(chan []Listing, 1)
		over, err := c.rt.Do(partition, func(m machine) {
			s := m.(*shard)
			var list []Listing
			for _, t := range s.txns {
				switch {
				case len(f.Producers) > 0 && !slices.Contains(f.Producers, t.producerID):
				case len(f.States) > 0 && !states[t.state]:
				case f.OlderMs >= 0 && s.p.NowMs()-t.startMs <= f.OlderMs:
				default:
					list = append(list, Listing{t.id, t.producerID, t.state})
				}
			}
			answers <- list
		})
		if err != nil {
			continue // given up since
		}
		select {
		case l := <-answers:
			list = append(list, l...)
		case <-over:
		case <-ctx.Done():
			return nil, nil, kerr.CoordinatorNotAvailable
		}
	}
	slices.SortFunc(list, func(a, b Listing) int { return cmp.Compare(a.ID, b.ID) })
	return list, unknown, nil
}

// peers are clients of other brokers, one each.
type peers struct {
	o       *Options
	mu      sync.Mutex // a leaf
	clients map[int32]*peer.Client
	closed  bool
}

func newPeers(o *Options) *peers { return &peers{o: o, clients: map[int32]*peer.Client{}} }

func (p *peers) client(id int32) (*peer.Client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, peer.ErrClosed
	}
	c := p.clients[id]
	if c == nil {
		opt := p.o.Peer
		opt.Clock, opt.RequestTimeout = p.o.Clock, p.o.RequestTimeout
		c = peer.NewClient(func() (string, error) {
			if addr, ok := p.o.PeerAddr(id); ok {
				return addr, nil
			}
			return "", fmt.Errorf("broker %d is not there: %w", id, kerr.BrokerNotAvailable)
		}, opt)
		p.clients[id] = c
	}
	return c, nil
}

func (p *peers) request(ctx context.Context, id int32, q kmsg.Request, minVersion int16) (kmsg.Response, error) {
	c, err := p.client(id)
	if err != nil {
		return nil, err
	}
	return c.Negotiated(ctx, q, minVersion)
}

func (p *peers) close() {
	p.mu.Lock()
	p.closed = true
	clients := p.clients
	p.clients = nil
	p.mu.Unlock()
	for _, c := range clients {
		c.Close()
	}
}
