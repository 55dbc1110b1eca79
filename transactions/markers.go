package transactions

import (
	"context"
	"errors"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
)

// errGone is the outcome of a marker for a partition that does not exist any more.
var errGone = errors.New("the partition is gone")

// marker is the end of one transaction, as it is to be told to leaders.
type marker struct {
	shard    int32
	epoch    int32 // of the coordinator: the leader epoch of its partition
	id       string
	producer Producer
	version  int16 // of the transaction
	commit   bool
	c        *change // what comes when all have it
}

// order is a marker on its way to one broker.
type order struct {
	m     *marker
	parts []metadata.TopicPartition
}

// nobody stands for the broker of partitions that have no leader, or seem to be gone.
const nobody int32 = -1

// maxMarkers bounds the markers of one request.
const maxMarkers = 1000

// markers brings markers to the leaders of partitions: a queue and a goroutine for each broker. What waits is bounded by the transactions that are decided.
type markers struct {
	c      *Coordinator
	peers  *peers
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex // a leaf
	queues map[int32]*markerQueue
	closed bool
}

type markerQueue struct {
	waiting []order
	wake    chan struct{} // capacity 1
}

func newMarkers(c *Coordinator) *markers {
	m := &markers{c: c, peers: newPeers(&c.o), queues: map[int32]*markerQueue{}}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

func (m *markers) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.cancel()
	m.peers.close()
	m.wg.Wait()
}

// send queues a marker for the leaders of partitions. It does not block; the shard hears of the outcomes.
func (m *markers) send(mk *marker, parts []metadata.TopicPartition) {
	im := m.c.o.Image()
	at := map[int32][]metadata.TopicPartition{}
	for _, tp := range parts {
		leader := nobody
		if p := im.Partition(tp); p != nil && p.Leader >= 0 {
			if _, alive := m.c.o.PeerAddr(p.Leader); alive {
				leader = p.Leader
			}
		}
		at[leader] = append(at[leader], tp)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	for broker, parts := range at {
		q := m.queues[broker]
		if q == nil {
			q = &markerQueue{wake: make(chan struct{}, 1)}
			m.queues[broker] = q
			m.wg.Go(func() { m.run(broker, q) })
		}
		q.waiting = append(q.waiting, order{mk, parts})
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

func (m *markers) run(broker int32, q *markerQueue) {
	for {
		m.mu.Lock()
		n := min(len(q.waiting), maxMarkers)
		todo := q.waiting[:n:n]
		if q.waiting = q.waiting[n:]; len(q.waiting) == 0 {
			q.waiting = nil
		}
		m.mu.Unlock()
		switch {
		case n == 0:
			select {
			case <-q.wake:
			case <-m.ctx.Done():
				return
			}
		case broker == nobody:
			m.lookAfter(todo)
		default:
			m.deliver(broker, todo)
		}
		if m.ctx.Err() != nil {
			return
		}
	}
}

// answer tells the shard, if this broker still is its coordinator.
func (m *markers) answer(o order, outcomes map[metadata.TopicPartition]error) {
	_, _ = m.c.rt.Do(o.m.shard, func(machine machine) { machine.(*shard).markersAnswered(o.m, outcomes) }) // else another coordinator sends them
}

func (o order) all(err error) map[metadata.TopicPartition]error {
	out := make(map[metadata.TopicPartition]error, len(o.parts))
	for _, tp := range o.parts {
		out[tp] = err
	}
	return out
}

// lookAfter finds out whether partitions without a leader exist at all. Apache takes those that it does not know for deleted, which a broker that has just started
// could say of any.
func (m *markers) lookAfter(todo []order) {
	for _, o := range todo {
		out := o.all(kerr.LeaderNotAvailable)
		for _, tp := range o.parts {
			if m.c.o.Image().Partition(tp) != nil {
				continue
			}
			there, err := m.c.o.Exists(m.ctx, tp)
			switch {
			case err != nil:
				out[tp] = err
			case !there:
				out[tp] = errGone
			}
		}
		m.answer(o, out)
	}
}

// deliver sends one request with all markers that wait for a broker, each producer's in their order.
func (m *markers) deliver(broker int32, todo []order) {
	q := kmsg.NewPtrWriteTxnMarkersRequest()
	q.Version = 2
	for _, o := range todo {
		qm := kmsg.NewWriteTxnMarkersRequestMarker()
		qm.ProducerID, qm.ProducerEpoch, qm.Committed, qm.CoordinatorEpoch, qm.TransactionVersion = o.m.producer.ID, o.m.producer.Epoch, o.m.commit, o.m.epoch, int8(o.m.version)
		byTopic(o.parts, func(topic string, partitions []int32) {
			qt := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
			qt.Topic, qt.Partitions = topic, partitions
			qm.Topics = append(qm.Topics, qt)
		})
		q.Markers = append(q.Markers, qm)
	}
	resp, err := m.peers.request(m.ctx, broker, q, 0)
	if err != nil {
		m.c.o.Logger.Info("Markers could not be sent", "broker", broker, "error", err)
		for _, o := range todo {
			m.answer(o, o.all(kerr.NetworkException))
		}
		return
	}
	type key struct {
		producer int64
		tp       metadata.TopicPartition
	}
	codes := map[key]error{}
	for _, rm := range resp.(*kmsg.WriteTxnMarkersResponse).Markers {
		for _, rt := range rm.Topics {
			for _, rp := range rt.Partitions {
				codes[key{rm.ProducerID, metadata.TopicPartition{Topic: rt.Topic, Partition: rp.Partition}}] = kerr.ErrorForCode(rp.ErrorCode)
			}
		}
	}
	for _, o := range todo {
		out := make(map[metadata.TopicPartition]error, len(o.parts))
		for _, tp := range o.parts {
			err, answered := codes[key{o.m.producer.ID, tp}]
			if !answered {
				err = kerr.UnknownServerError
			}
			out[tp] = err
		}
		m.answer(o, out)
	}
}
