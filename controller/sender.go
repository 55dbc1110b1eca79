package controller

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/internal/peer"
	"gokafka/metadata"
	"gokafka/protocol"
)

// defaultMaxQueuedRequests bounds the queue to one broker. A broker that does not read for so long is told everything anew
// when it reads again, which is less than what was dropped.
const defaultMaxQueuedRequests = 1000

// channel is the way to one incarnation of a broker.
type channel struct {
	epoch int64 // broker epoch
	peer  *peer.Channel
	// overflowed says that requests were dropped and that the broker's whole state must be sent again.
	overflowed atomic.Bool
	failures   atomic.Int64 // tries that failed since the last answer
	// stops are the replicas that a dropped request would have deleted. The loop owns it; bounded by the partitions.
	stops map[metadata.TopicPartition]bool
}

// addBroker opens the channel to a broker. A broker without the inter-broker listener cannot be reached; what is sent
// to it is dropped, as Apache drops it, until its registration changes.
func (c *Controller) addBroker(b *liveBroker) {
	if c.channels[b.ID] != nil {
		return
	}
	e, ok := b.Endpoint(c.opt.controlListener())
	if !ok {
		c.log.Error("broker has no endpoint for the inter-broker listener", "broker", b.ID, "listener", c.opt.controlListener())
		return
	}
	addr := net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
	client := peer.NewClient(peer.Fixed(addr), peer.Options{
		Clock: c.opt.Clock, ClientID: strconv.Itoa(int(c.opt.BrokerID)), Dial: c.opt.Dial, Handshake: c.opt.Handshake,
		ConnectTimeout: c.opt.SocketTimeout, RequestTimeout: c.opt.RequestTimeout, MaxResponseBytes: maxResponseBytes,
	})
	id, ch := b.ID, &channel{epoch: b.Epoch}
	ch.peer = peer.NewChannel(client, c.opt.MaxQueuedRequests, func(req kmsg.Request, err error) {
		c.counters.failed.Add(1)
		if n := ch.failures.Add(1); n%failuresPerLine == 1 {
			c.log.Warn("control request failed, trying again", "broker", id, "request", kmsg.NameForKey(req.Key()), "try", n, "error", err)
		}
	})
	c.channels[id] = ch
}

// failuresPerLine thins out the log while a broker cannot be reached: one line in 10 s instead of ten a second.
const failuresPerLine = 100

// maxResponseBytes bounds the answer to a control request: 10 bytes for each partition.
const maxResponseBytes = 64 << 20

// removeBroker closes the channel and returns what the broker had not answered.
func (c *Controller) removeBroker(id int32) []kmsg.Request {
	ch := c.channels[id]
	if ch == nil {
		return nil
	}
	delete(c.channels, id)
	return ch.peer.Close()
}

// send queues what the batch says.
func (c *Controller) send(b *batch) {
	if b.isEmpty() {
		return
	}
	for _, o := range b.requests(c.opt.BrokerID, c.opt.InterBrokerListener) {
		c.sendOne(o)
	}
}

func (c *Controller) sendOne(o outgoing) {
	ch := c.channels[o.broker]
	if ch == nil {
		c.log.Warn("no channel to the broker, dropping a request", "broker", o.broker, "request", kmsg.NameForKey(o.req.Key()))
		return
	}
	if ch.overflowed.Load() {
		ch.lost(o.req)
		return // everything will be told anew
	}
	c.log.Debug("sending", "broker", o.broker, "request", kmsg.NameForKey(o.req.Key()))
	if err := ch.peer.Send(o.req, c.answerOf(o, ch)); err != nil {
		c.overflow(o.broker, ch)
		ch.lost(o.req)
		return
	}
	c.counters.sent.Add(1)
}

// overflow drops what waits for the broker. It is told everything anew after its next answer.
func (c *Controller) overflow(id int32, ch *channel) {
	dropped := ch.peer.Drop()
	for _, req := range dropped {
		ch.lost(req)
	}
	ch.overflowed.Store(true)
	c.counters.overflows.Add(1)
	c.log.Warn("the broker does not take its requests; it will be told everything anew", "broker", id, "dropped", len(dropped))
}

// lost remembers what the cluster as known does not tell: replicas that are no longer assigned and were to be deleted.
func (ch *channel) lost(req kmsg.Request) {
	stop, ok := req.(*protocol.StopReplicaRequest)
	if !ok {
		return
	}
	for _, t := range stop.Topics {
		for _, p := range t.PartitionStates {
			if p.Delete {
				if ch.stops == nil {
					ch.stops = map[metadata.TopicPartition]bool{}
				}
				ch.stops[metadata.TopicPartition{Topic: t.Topic, Partition: p.Partition}] = true
			}
		}
	}
}

// answerOf is what happens with the broker's answer, in the channel's goroutine: it becomes an event.
func (c *Controller) answerOf(o outgoing, ch *channel) func(context.Context, kmsg.Response) {
	id := o.broker
	queue := func(ctx context.Context, name string, f func(context.Context) error) {
		err := c.queue.put(ctx, event{name: name, run: func(ctx context.Context) error {
			if !c.active || c.channels[id] != ch {
				return nil // from an earlier incarnation, or we are no longer controller
			}
			return f(ctx)
		}})
		if err != nil {
			c.log.Debug("answer dropped", "broker", id, "request", name, "error", err)
		}
	}
	return func(ctx context.Context, resp kmsg.Response) {
		ch.failures.Store(0)
		switch resp := resp.(type) {
		case *kmsg.LeaderAndISRResponse:
			queue(ctx, "LeaderAndIsrResponseReceived", func(ctx context.Context) error { return c.leaderAndIsrAnswered(ctx, id, resp) })
		case *kmsg.StopReplicaResponse:
			req, ok := o.req.(*protocol.StopReplicaRequest)
			if ok {
				queue(ctx, "StopReplicaResponseReceived", func(ctx context.Context) error { return c.stopReplicaAnswered(ctx, id, req, resp) })
			}
		case *kmsg.UpdateMetadataResponse:
			if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
				c.log.Error("UpdateMetadata refused", "broker", id, "error", err)
			}
		}
		if ch.overflowed.Load() {
			c.queue.note(event{name: "Resend", key: fmt.Sprintf("resend %d", id), run: func(ctx context.Context) error {
				c.resend(id, ch)
				return nil
			}})
		}
	}
}

// resend tells a broker everything, once its channel moves again after an overflow. UpdateMetadata goes ahead, since a
// follower must know a leader before it is told to follow it.
func (c *Controller) resend(id int32, ch *channel) {
	if !c.active || c.channels[id] != ch || !ch.overflowed.Swap(false) {
		return
	}
	picture := newBatch(c.s)
	picture.addUpdateMetadata([]int32{id}, c.s.partitionsWhere(func(p *partition) bool { return p.info != nil })...)
	c.send(picture)
	orders := newBatch(c.s)
	for _, r := range c.s.replicasOn([]int32{id}) {
		switch {
		case r.p.replicas[id] == replicaDeletionStarted:
			orders.addStopReplica(id, r.p, true)
		case r.p.info != nil && !c.s.toDelete[r.p.tp.Topic]:
			orders.addLeaderAndIsr([]int32{id}, r.p, false)
		}
	}
	for tp := range ch.stops {
		if p := c.s.partition(tp); p != nil && !slices.Contains(p.assignment.Replicas, id) {
			orders.addStopReplica(id, p, true)
		}
	}
	ch.stops = nil
	orders.updateTo = map[int32]bool{} // everybody else knows
	c.send(orders)
}

// leaderAndIsrAnswered learns which replicas of the broker are on failed log directories: those that answered
// KAFKA_STORAGE_ERROR, until they answer 0. Other codes are repetitions (Kafka 3.9 processLeaderAndIsrResponseReceived).
func (c *Controller) leaderAndIsrAnswered(ctx context.Context, id int32, resp *kmsg.LeaderAndISRResponse) error {
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		c.log.Error("LeaderAndIsr refused", "broker", id, "error", err)
		return nil
	}
	dirs := c.s.offlineDirs[id]
	var failed []replica
	for _, t := range resp.Topics {
		name, ok := c.s.topicNames[t.TopicID]
		if !ok {
			continue // deleted meanwhile
		}
		for _, pr := range t.Partitions {
			tp := metadata.TopicPartition{Topic: name, Partition: pr.Partition}
			switch pr.ErrorCode {
			case 0:
				delete(dirs, tp)
			case kerr.KafkaStorageError.Code:
				p := c.s.partition(tp)
				if p == nil || dirs[tp] {
					continue
				}
				if dirs == nil {
					dirs = map[metadata.TopicPartition]bool{}
					c.s.offlineDirs[id] = dirs
				}
				dirs[tp] = true
				failed = append(failed, replica{p, id})
			}
		}
	}
	if len(failed) == 0 {
		return nil
	}
	c.log.Info("replicas are on a failed log directory", "broker", id, "replicas", len(failed))
	return c.replicasBecameOffline(ctx, failed)
}
