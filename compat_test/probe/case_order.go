package probe

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/wire"
)

// brokersOnly is the cheap Metadata request that tests and clients use as a ping.
func brokersOnly() *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	return req
}

// pipelined sends several requests at once and records the answers in the order they come.
func (r *Run) pipelined(step string, reqs []kmsg.Request, versions []int16, answers int) {
	c := r.connection()
	for i, q := range reqs {
		if err := c.Send(q, versions[i]); err != nil {
			r.drop()
			r.record(step, "connection closed while sending")
			return
		}
	}
	for i := range answers {
		a, err := c.Receive()
		if r.note(fmt.Sprintf("%s: answer %d", step, i), a, err) == nil {
			return
		}
	}
}

func orderCases() []Case {
	return group("order",
		named("five produce requests in flight", func(r *Run) {
			t := r.Topic("t", 1)
			var reqs []kmsg.Request
			var vs []int16
			for i := range int32(5) {
				b := wire.Batch{Records: wire.Values(2), ProducerID: 9_000_001, Sequence: 2 * i}
				reqs, vs = append(reqs, wire.ProduceRequest(t, 0, b.Bytes())), append(vs, 9)
			}
			r.pipelined("produce", reqs, vs, 5)
		}),
		named("a waiting fetch holds back what follows", func(r *Run) {
			t := r.Topic("t", 1)
			r.pipelined("fetch then metadata", []kmsg.Request{fetch(600, 1, part{topic: t}), brokersOnly()}, []int16{11, 5}, 2)
		}),
		named("acks=0 has no answer", func(r *Run) {
			t := r.Topic("t", 1)
			req := wire.ProduceRequest(t, 0, wire.Batch{Records: wire.Values(1)}.Bytes())
			req.Acks = 0
			c := r.connection()
			if err := c.Write(c.Frame(req, 9, 900)); err != nil {
				r.fatalf("write: %w", err)
			}
			r.Do("the next answer is the next request's", brokersOnly(), 5)
			r.Do("and the record is there", listOffset(t, 0, -1), 5)
		}),
		named("acks=0 with an error closes", func(r *Run) {
			t := r.Topic("t", 1)
			c := r.connection()
			bad := wire.Batch{Records: wire.Values(1)}.Bytes()
			bad[wire.PosCRC] ^= 1
			req := wire.ProduceRequest(t, 0, bad)
			req.Acks = 0
			if err := c.Write(c.Frame(req, 9, 900)); err != nil {
				r.fatalf("write: %w", err)
			}
			r.Do("bad CRC, then metadata", brokersOnly(), 5)
			req = wire.ProduceRequest(r.Name("missing"), 0, wire.Batch{Records: wire.Values(1)}.Bytes())
			req.Acks = 0
			c = r.connection()
			if err := c.Write(c.Frame(req, 9, 901)); err != nil {
				r.fatalf("write: %w", err)
			}
			r.Do("unknown topic, then metadata", brokersOnly(), 5)
		}),
	)
}
