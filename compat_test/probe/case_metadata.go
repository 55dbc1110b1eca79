package probe

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// metadataFor asks for named topics without creating them (which v0-v3 cannot say).
func metadataFor(names ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	for _, n := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(n)
		req.Topics = append(req.Topics, t)
	}
	return req
}

func metadataByID(ids ...[16]byte) *kmsg.MetadataRequest {
	req := metadataFor()
	for _, id := range ids {
		t := kmsg.NewMetadataRequestTopic()
		t.TopicID = id
		req.Topics = append(req.Topics, t)
	}
	return req
}

// topicID is the id of an existing topic.
func (r *Run) topicID(name string) [16]byte {
	return r.Quiet(metadataFor(name), 10).(*kmsg.MetadataResponse).Topics[0].TopicID
}

func metadataCases() []Case {
	each := func(name string, from int16, run func(r *Run, v int16)) Case {
		return named(name, func(r *Run) {
			for v := from; v <= 12; v++ {
				run(r, v)
			}
		})
	}
	return group("metadata",
		each("named", 0, func(r *Run, v int16) {
			t := r.Topic("t", 3)
			r.Do("existing", metadataFor(t), v)
		}),
		each("all topics", 0, func(r *Run, v int16) {
			r.Topic("a", 1)
			r.Topic("b", 2)
			req := kmsg.NewPtrMetadataRequest()
			if v == 0 {
				req.Topics = []kmsg.MetadataRequestTopic{} // v0: empty is all
			}
			r.Do("all", req, v)
		}),
		each("no topics", 1, func(r *Run, v int16) { r.Do("empty list", metadataFor(), v) }),
		each("missing without auto-creation", 4, func(r *Run, v int16) {
			r.Do("missing", metadataFor(r.Name("missing")), v)
		}),
		each("auto-creation", 0, func(r *Run, v int16) {
			req := metadataFor(r.Name(fmt.Sprintf("auto%d", v)))
			req.AllowAutoTopicCreation = true
			r.Do("first", req, v)
			r.AwaitTopic(r.Name(fmt.Sprintf("auto%d", v)), 1)
			r.Do("later", req, v)
		}),
		named("bad names", func(r *Run) {
			for _, v := range []int16{0, 1, 5, 9, 12} {
				req := metadataFor("", ".", "..", r.Name("a b"), r.Name("ä"), r.prefix+strings.Repeat("x", 250-len(r.prefix)),
					r.prefix+strings.Repeat("x", 249-len(r.prefix)))
				r.Do("not created", req, max(v, 4))
				req.Topics = req.Topics[:6]
				req.AllowAutoTopicCreation = true
				r.Do("created if legal", req, v)
			}
		}),
		named("colliding names", func(r *Run) {
			r.Topic("a.b", 1)
			req := metadataFor(r.Name("a_b"))
			req.AllowAutoTopicCreation = true
			r.Do("collides with an existing topic", req, 9)
			req = metadataFor(r.Name("c.d"), r.Name("c_d"))
			req.AllowAutoTopicCreation = true
			resp := r.Quiet(req, 9).(*kmsg.MetadataResponse)
			codes := make([]int16, 0, 2)
			for _, t := range resp.Topics {
				codes = append(codes, t.ErrorCode)
			}
			if len(codes) == 2 && codes[0] > codes[1] { // which of the two wins is open
				codes[0], codes[1] = codes[1], codes[0]
			}
			r.record("two new names that collide, error codes in order", codes)
		}),
		each("repeated name", 1, func(r *Run, v int16) {
			t := r.Topic("t", 1)
			r.Do("twice", metadataFor(t, t), v)
		}),
		named("by id", func(r *Run) {
			t := r.Topic("t", 2)
			id := r.topicID(t)
			r.Do("known", metadataByID(id), 12)
			r.Do("unknown", metadataByID([16]byte{1, 2, 3}), 12)
			r.Do("known and unknown", metadataByID(id, [16]byte{1, 2, 3}), 12)
			r.Do("id where names are required", metadataByID(id), 10)
			r.Do("id where names are required", metadataByID(id), 11)
			both := metadataFor(t)
			both.Topics[0].TopicID = id
			r.Do("name and id", both, 12)
			r.Do("name and id", both, 11)
			mixed := metadataByID(id)
			mixed.Topics = append(mixed.Topics, metadataFor(t).Topics...)
			r.Do("one by id, the same by name", mixed, 12)
			r.Do("null name and zero id", metadataByID([16]byte{}), 12)
			r.Do("null name and zero id", metadataByID([16]byte{}), 10)
		}),
		each("authorized operations", 8, func(r *Run, v int16) {
			t := r.Topic("t", 1)
			req := metadataFor(t, r.Name("missing"))
			req.IncludeTopicAuthorizedOperations, req.IncludeClusterAuthorizedOperations = true, true
			r.Do("both asked for", req, v)
		}),
		named("internal topics", func(r *Run) {
			for _, v := range []int16{1, 9} {
				r.Do("not there", metadataFor("__consumer_offsets_x", "__cluster_metadata"), max(v, 4))
			}
		}),
	)
}
