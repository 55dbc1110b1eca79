package probe

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/wire"
)

// inSession turns a fetch into one of a session.
func inSession(req *kmsg.FetchRequest, id, epoch int32) *kmsg.FetchRequest {
	req.SessionID, req.SessionEpoch = id, epoch
	return req
}

// session is the id that an answer gave, 0 if there was none.
func session(resp kmsg.Response) int32 {
	if f, ok := resp.(*kmsg.FetchResponse); ok {
		return f.SessionID
	}
	return 0
}

// forget makes a fetch drop partitions of a topic from its session.
func forget(req *kmsg.FetchRequest, topic string, id [16]byte, partitions ...int32) *kmsg.FetchRequest {
	f := kmsg.NewFetchRequestForgottenTopic()
	f.Topic, f.TopicID, f.Partitions = topic, id, partitions
	req.ForgottenTopics = append(req.ForgottenTopics, f)
	return req
}

func fetchSessionCases() []Case {
	one := func(n int) []byte { return wire.Batch{Records: wire.Values(n)}.Bytes() }
	return group("fetch-sessions",
		named("life", func(r *Run) {
			t := r.fill("t", 2, 1)
			id := session(r.Do("create", inSession(fetch(50, 1, part{topic: t}, part{topic: t, partition: 1, offset: 1}), 0, 0), 11))
			r.Do("1: nothing changed, the answer is repeated while the offset stays", inSession(fetch(50, 1), id, 1), 11)
			r.Do("2: partition 0 moves on", inSession(fetch(50, 1, part{topic: t, offset: 1}), id, 2), 11)
			r.Do("3: nothing", inSession(fetch(50, 1), id, 3), 11)
			r.Produce(t, 1, one(2))
			r.Do("4: data in partition 1", inSession(fetch(50, 1), id, 4), 11)
			r.Do("5: it moves on", inSession(fetch(50, 1, part{topic: t, partition: 1, offset: 3}), id, 5), 11)
			r.Do("6: partition 0 forgotten", inSession(forget(fetch(50, 1), t, [16]byte{}, 0), id, 6), 11)
			r.Produce(t, 0, one(1))
			r.Do("7: its data does not show", inSession(fetch(50, 1), id, 7), 11)
			r.Do("8: it comes back", inSession(fetch(50, 1, part{topic: t, offset: 1}), id, 8), 11)
			r.Do("9: an error", inSession(fetch(50, 1, part{topic: t, offset: 99}), id, 9), 11)
			r.Do("10: mended", inSession(fetch(50, 1, part{topic: t, offset: 2}), id, 10), 11)
			r.Do("11: nothing", inSession(fetch(50, 1), id, 11), 11)
			r.Do("12: an unknown topic joins", inSession(fetch(50, 1, part{topic: r.Name("missing")}), id, 12), 11)
			r.Do("13: still unknown", inSession(fetch(50, 1), id, 13), 11)
			r.Do("epoch 13 again", inSession(fetch(50, 1), id, 13), 11)
			r.Do("epoch 15, one skipped", inSession(fetch(50, 1), id, 15), 11)
			r.Do("epoch 14, the right one, still works", inSession(fetch(50, 1), id, 14), 11)
			r.Do("closed by a full fetch", inSession(fetch(50, 1, part{topic: t, offset: 2}), id, -1), 11)
			r.Do("gone", inSession(fetch(50, 1), id, 15), 11)
		}),
		named("unknown ids", func(r *Run) {
			t := r.fill("t", 1, 1)
			for _, v := range []int16{7, 11, 12} {
				r.Do("unknown session", inSession(fetch(50, 1, part{topic: t}), 123456, 1), v)
				r.Do("unknown session, final", inSession(fetch(50, 1, part{topic: t}), 123456, -1), v)
				r.Do("unknown session, new", inSession(fetch(50, 1, part{topic: t}), 123456, 0), v)
				r.Do("no session, epoch 1", inSession(fetch(50, 1, part{topic: t}), 0, 1), v)
				r.Do("no session, epoch -2", inSession(fetch(50, 1, part{topic: t}), 0, -2), v)
			}
			r.Do("create without partitions", inSession(fetch(50, 1), 0, 0), 11)
		}),
		named("replaced", func(r *Run) {
			t := r.fill("t", 1, 1)
			a := session(r.Do("create", inSession(fetch(50, 1, part{topic: t}), 0, 0), 11))
			b := session(r.Do("create from the old one", inSession(fetch(50, 1, part{topic: t}), a, 0), 11))
			r.Do("the old one is gone", inSession(fetch(50, 1), a, 1), 11)
			r.Do("the new one lives", inSession(fetch(50, 1), b, 1), 11)
		}),
		named("all forgotten", func(r *Run) {
			t := r.fill("t", 2, 1)
			a := session(r.Do("create", inSession(fetch(50, 1, part{topic: t}, part{topic: t, partition: 1}), 0, 0), 11))
			r.Do("one forgotten that is not there", inSession(forget(fetch(50, 1), t, [16]byte{}, 5), a, 1), 11)
			r.Do("forgotten and asked for at once", inSession(forget(fetch(50, 1, part{topic: t}), t, [16]byte{}, 0), a, 2), 11)
			r.Do("all forgotten", inSession(forget(fetch(50, 1), t, [16]byte{}, 0, 1), a, 3), 11)
			r.Do("gone", inSession(fetch(50, 1), a, 4), 11)
		}),
		named("by id", func(r *Run) {
			t := r.fill("t", 2, 1)
			id := r.topicID(t)
			a := session(r.Do("create", inSession(fetch(50, 1, part{id: id}), 0, 0), 17))
			r.Do("1: moves on", inSession(fetch(50, 1, part{id: id, offset: 1}), a, 1), 17)
			r.Do("2: partition 1 joins", inSession(fetch(50, 1, part{id: id, partition: 1}), a, 2), 17)
			r.Do("3: unknown id joins", inSession(fetch(50, 1, part{id: [16]byte{7}}), a, 3), 17)
			r.Do("4: an id is forgotten", inSession(forget(fetch(50, 1), "", id, 0), a, 4), 17)
			r.Do("5: names instead of ids", inSession(fetch(50, 1, part{topic: t}), a, 5), 11)
			b := session(r.Do("create with names", inSession(fetch(50, 1, part{topic: t}), 0, 0), 12))
			r.Do("ids instead of names", inSession(fetch(50, 1, part{id: id}), b, 1), 13)
			c := session(r.Do("create with an unknown id only", inSession(fetch(50, 1, part{id: [16]byte{8}}), 0, 0), 13))
			r.Do("and go on", inSession(fetch(50, 1), c, 1), 13)
		}),
		named("data goes to the end of the order", func(r *Run) {
			t := r.fill("t", 3, 1)
			req := fetch(50, 1, part{topic: t}, part{topic: t, partition: 1}, part{topic: t, partition: 2})
			req.MaxBytes = 1
			a := session(r.Do("create, room for one batch", inSession(req, 0, 0), 11))
			for e := int32(1); e <= 4; e++ {
				next := fetch(50, 1)
				next.MaxBytes = 1
				r.Do("room for one batch", inSession(next, a, e), 11)
			}
		}),
		named("wait in a session", func(r *Run) {
			t := r.fill("t", 1, 1)
			a := session(r.Do("create", inSession(fetch(50, 1, part{topic: t, offset: 1}), 0, 0), 11))
			c := r.connection()
			if err := c.Send(inSession(fetch(20000, 1), a, 1), 11); err != nil {
				r.fatalf("send: %w", err)
			}
			r.conn = nil
			r.Produce(t, 0, one(1))
			r.drop()
			r.conn = c
			ans, err := c.Receive()
			r.note("woken by an append", ans, err)
		}),
	)
}
