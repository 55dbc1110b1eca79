package probe

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/wire"
)

// restart ends and starts the broker and waits until the case's topics can be used again.
func (r *Run) restart(clean bool, topics map[string]int32) {
	r.drop()
	if err := r.env.Restart(r.ctx, clean); err != nil {
		r.fatalf("restart: %w", err)
	}
	for t, n := range topics {
		r.AwaitTopic(t, n)
	}
}

// producerID asks for a new producer id, waiting for the first block after a start.
func (r *Run) producerID() int64 {
	var id int64
	r.await("producer id", func() error {
		resp := r.Quiet(kmsg.NewPtrInitProducerIDRequest(), 1).(*kmsg.InitProducerIDResponse)
		id = resp.ProducerID
		return kerr.ErrorForCode(resp.ErrorCode)
	})
	return id
}

// restarted returns a case that shows what a broker still knows after it ended. Batches carry the time of the day, as
// those of a living producer, or that of years ago: Apache drops a producer on loading when its last batch is older than
// producer.id.expiration.ms by the client's own timestamp.
func restarted(name string, clean, old bool) Case {
	c := named(name, func(r *Run) { afterRestart(r, clean, old) })
	c.Restarts = true
	return c
}

func afterRestart(r *Run, clean, old bool) {
	t, lat := r.Topic("t", 1), r.Topic("late", 1, "message.timestamp.type", "LogAppendTime")
	topics := map[string]int32{t: 1, lat: 1}
	before := r.producerID()
	ids := metadataFor(t, lat)
	r.Do("ids before", ids, 12)
	stamp := time.Now().UnixMilli()
	if old {
		stamp = wire.BaseTimestamp
	} else {
		r.norm.maskTimes = true
	}
	send := func(step string, topic string, pid int64, s ...seq) {
		for _, s := range s {
			b := wire.Batch{Records: wire.Values(s.n), BaseTimestamp: stamp, ProducerID: pid, Epoch: s.epoch, Sequence: s.first}
			r.Do(fmt.Sprintf("%s: epoch %d sequence %d, %d records %s", step, s.epoch, s.first, s.n, s.note),
				wire.ProduceRequest(topic, 0, b.Bytes()), 9)
		}
	}
	const pid, other = 9_000_300, 9_000_301
	seven := []seq{{0, 0, 1, ""}, {0, 1, 2, ""}, {0, 3, 1, ""}, {0, 4, 3, ""}, {0, 7, 1, ""}, {0, 8, 1, ""}, {0, 9, 2, ""}}
	send("before", t, pid, seven...)
	send("before", t, other, seq{3, 5, 2, "epoch 3"})
	send("before", lat, pid, seq{0, 0, 1, ""}, seq{0, 1, 1, ""})

	r.restart(clean, topics)
	r.Do("the same ids", ids, 12)
	r.Do("log end", listOffset(t, 0, -1), 5)
	send("the last again", t, pid, seven[6])
	send("the last five again", t, pid, seven[2:]...)
	send("the sixth last again", t, pid, seven[1])
	send("the first again", t, pid, seven[0])
	send("a gap", t, pid, seq{0, 12, 1, ""})
	send("epoch kept", t, other, seq{3, 5, 2, "again"}, seq{2, 7, 1, "older epoch"}, seq{3, 7, 1, "next"})
	send("append time topic", lat, pid, seq{0, 0, 1, "again"}, seq{0, 1, 1, "again"}, seq{0, 2, 1, "next"})
	send("next", t, pid, seq{0, 11, 1, ""})
	r.Do("log end", listOffset(t, 0, -1), 5)
	r.Do("what is in the log", fetch(50, 1, part{topic: t}), 11)
	if after := r.producerID(); after > before {
		r.record("a new producer id", "is above the old one")
	} else {
		r.record("a new producer id", fmt.Sprintf("%d after %d", after, before))
	}
	if !old {
		r.epochsAfterRestart(t)
	}
}

// epochsAfterRestart shows the leader epochs of a topic whose only replica came back: Apache does not raise them.
func (r *Run) epochsAfterRestart(t string) {
	for e := range int32(4) {
		r.Do(fmt.Sprintf("end of epoch %d", e), leaderEpoch(t, 0, -1, e), 4)
	}
	for e := range int32(3) {
		r.Do(fmt.Sprintf("fetch with current epoch %d", e), fetch(50, 1, part{topic: t, offset: 14, currentEpoch: epoch(e)}), 12)
	}
	for e := range int32(3) {
		for _, o := range []int64{3, 13, 99} {
			r.Do(fmt.Sprintf("fetch at %d, last fetched epoch %d", o, e), fetch(50, 1, part{topic: t, offset: o, lastEpoch: epoch(e)}), 12)
		}
	}
	r.Do("old epoch", listOffsetEpoch(t, 0), 5)
	r.Do("new epoch", listOffsetEpoch(t, 9), 5)
}

func listOffsetEpoch(topic string, current int32) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	addListOffset(req, topic, 0, -1, current)
	return req
}

func restartCases() []Case {
	return group("restart",
		restarted("after SIGKILL", false, false), restarted("after SIGTERM", true, false),
		restarted("after SIGKILL, old timestamps", false, true), restarted("after SIGTERM, old timestamps", true, true))
}
