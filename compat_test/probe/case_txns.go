package probe

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/wire"
)

// producer is a transactional producer in a case.
type producer struct {
	r     *Run
	id    string
	pid   int64
	epoch int16
}

// coordinated waits for the coordinator of a transactional id. The first producer id of a broker is 0, which batches of this package cannot have: it is used up.
func (r *Run) coordinated(name string) *producer {
	p := &producer{r: r, id: r.Name(name), pid: -1, epoch: -1}
	r.await("coordinator of "+p.id, func() error {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKey, req.CoordinatorType = p.id, 1
		return codeError(r.Quiet(req, 3).(*kmsg.FindCoordinatorResponse).ErrorCode)
	})
	r.await("a producer id", func() error {
		return codeError(r.Quiet(kmsg.NewPtrInitProducerIDRequest(), 1).(*kmsg.InitProducerIDResponse).ErrorCode)
	})
	return p
}

func (p *producer) initRequest(pid int64, epoch int16) *kmsg.InitProducerIDRequest {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = &p.id, 30000, pid, epoch
	return req
}

// begin gives the producer its id, once no earlier transaction is in the way.
func (p *producer) begin(step string, version int16, pid int64, epoch int16) {
	var resp *kmsg.InitProducerIDResponse
	p.r.await("producer id of "+p.id, func() error {
		resp = p.r.Quiet(p.initRequest(pid, epoch), version).(*kmsg.InitProducerIDResponse)
		switch err := codeError(resp.ErrorCode); resp.ErrorCode {
		case kerr.ConcurrentTransactions.Code, kerr.NotCoordinator.Code, kerr.CoordinatorLoadInProgress.Code:
			return err
		}
		return nil
	})
	if resp.ErrorCode == 0 {
		p.pid, p.epoch = resp.ProducerID, resp.ProducerEpoch
	}
	p.r.norm.id("pid", fmt.Sprint(p.pid))
	p.r.record(fmt.Sprintf("InitProducerID v%d: %s", version, step), p.r.norm.response(resp))
}

func (p *producer) addRequest(version int16, verify bool, parts ...part) *kmsg.AddPartitionsToTxnRequest {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = p.id, p.pid, p.epoch
	t := kmsg.NewAddPartitionsToTxnRequestTransaction()
	t.TransactionalID, t.ProducerID, t.ProducerEpoch, t.VerifyOnly = p.id, p.pid, p.epoch, verify
	for _, x := range parts {
		rt := kmsg.NewAddPartitionsToTxnRequestTopic()
		rt.Topic, rt.Partitions = x.topic, []int32{x.partition}
		req.Topics = append(req.Topics, rt)
		tt := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
		tt.Topic, tt.Partitions = x.topic, []int32{x.partition}
		t.Topics = append(t.Topics, tt)
	}
	if version >= 4 {
		req.Transactions = append(req.Transactions, t)
	}
	return req
}

func (p *producer) endRequest(commit bool) *kmsg.EndTxnRequest {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = p.id, p.pid, p.epoch, commit
	return req
}

// ended ends the transaction and waits until its markers are written.
func (p *producer) ended(commit bool) {
	for range 2 { // the second time it is over
		p.r.await("end of "+p.id, func() error {
			return codeError(p.r.Quiet(p.endRequest(commit), 3).(*kmsg.EndTxnResponse).ErrorCode)
		})
	}
}

func (p *producer) produce(topic string, sequence int32, n int) *kmsg.ProduceRequest {
	b := wire.Batch{Records: wire.Values(n), ProducerID: p.pid, Epoch: p.epoch, Sequence: sequence, Attributes: wire.AttrTransactional}
	req := wire.ProduceRequest(topic, 0, b.Bytes())
	req.TransactionID = &p.id
	return req
}

func (p *producer) commitRequest(group string, topics ...string) *kmsg.TxnOffsetCommitRequest {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = p.id, group, p.pid, p.epoch
	for i, t := range topics {
		rt, rp := kmsg.NewTxnOffsetCommitRequestTopic(), kmsg.NewTxnOffsetCommitRequestTopicPartition()
		rp.Offset, rp.Metadata = int64(5+i), kmsg.StringPtr("m")
		rt.Topic, rt.Partitions = t, append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
	}
	return req
}

func txnCases() []Case {
	return group("transactions",
		named("producer ids", func(r *Run) {
			p := r.coordinated("ids")
			p.begin("first", 5, -1, -1)
			p.begin("second", 5, -1, -1)
			p.begin("by itself", 3, p.pid, p.epoch)
			p.begin("by itself, repeated", 5, p.pid, p.epoch-1)
			for v := int16(3); v <= 5; v++ {
				r.Do("fenced epoch", p.initRequest(p.pid, p.epoch-2), v)
				r.Do("another id", p.initRequest(p.pid+500, p.epoch), v)
			}
			other := r.coordinated("unknown")
			other.begin("an id that is not known, with a producer", 5, p.pid, 3)
		}),
		named("add partitions", func(r *Run) {
			p := r.coordinated("add")
			t := r.Topic("t", 2)
			for v := int16(0); v <= 5; v++ {
				r.Do("nothing known of the id", p.addRequest(v, false, part{topic: t}), v)
			}
			p.begin("first", 5, -1, -1)
			stranger, fenced, none := *p, *p, *p
			stranger.pid, fenced.epoch, none.id = p.pid+500, p.epoch+1, ""
			for v := int16(0); v <= 5; v++ {
				r.Do("a partition is unknown", p.addRequest(v, false, part{topic: t}, part{topic: t, partition: 9}, part{topic: r.Name("nowhere")}), v)
				r.Do("another producer", stranger.addRequest(v, false, part{topic: t}), v)
				r.Do("another epoch", fenced.addRequest(v, false, part{topic: t}), v)
				r.Do("no transactional id", none.addRequest(v, false, part{topic: t}), v)
				r.Do("added", p.addRequest(v, false, part{topic: t}), v)
			}
			for v := int16(4); v <= 5; v++ {
				r.Do("verify", p.addRequest(v, true, part{topic: t}, part{topic: t, partition: 1}), v)
				r.Do("verify another producer", stranger.addRequest(v, true, part{topic: t}), v)
				r.Do("verify another epoch", fenced.addRequest(v, true, part{topic: t}), v)
			}
			r.Do("while it is open", p.initRequest(-1, -1), 5)
			p.begin("the next", 5, -1, -1)
		}).needs(24),
		named("end", func(r *Run) {
			p := r.coordinated("end")
			t := r.Topic("t", 1)
			r.Do("nothing known of the id", p.endRequest(true), 4)
			p.begin("first", 5, -1, -1)
			stranger, fenced, none := *p, *p, *p
			stranger.pid, fenced.epoch, none.id = p.pid+500, p.epoch+1, ""
			for v := int16(0); v <= 4; v++ {
				r.Do("nothing to commit", p.endRequest(true), v)
				r.Do("nothing to abort", p.endRequest(false), v)
				r.Do("another producer", stranger.endRequest(true), v)
				r.Do("another epoch", fenced.endRequest(true), v)
				r.Do("no transactional id", none.endRequest(true), v)
			}
			sequence := int32(0)
			for _, commit := range []bool{true, false} {
				r.Quiet(p.addRequest(3, false, part{topic: t}), 3)
				r.Do("produce", p.produce(t, sequence, 2), 9)
				sequence += 2
				p.ended(commit)
				for v := int16(0); v <= 4; v++ {
					r.Do(fmt.Sprintf("again, commit %v", commit), p.endRequest(commit), v)
					r.Do(fmt.Sprintf("the other way, commit %v", commit), p.endRequest(!commit), v)
				}
			}
			for v := int16(9); v <= 11; v++ {
				r.Do("produce behind the end", p.produce(t, sequence, 1), v)
			}
		}).needs(24, 26),
		named("offsets", func(r *Run) {
			p := r.coordinated("offsets")
			t := r.Topic("t", 1)
			g := r.Name("group")
			r.await("coordinator of "+g, func() error {
				req := kmsg.NewPtrFindCoordinatorRequest()
				req.CoordinatorKey = g
				return codeError(r.Quiet(req, 3).(*kmsg.FindCoordinatorResponse).ErrorCode)
			})
			p.begin("first", 5, -1, -1)
			for v := int16(0); v <= 4; v++ {
				r.Do("group is not in the transaction", p.commitRequest(g, t), v)
			}
			add := kmsg.NewPtrAddOffsetsToTxnRequest()
			add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = p.id, p.pid, p.epoch, g
			for v := int16(0); v <= 4; v++ {
				wrong := *add
				wrong.ProducerEpoch++
				r.Do("another epoch", &wrong, v)
				r.Do("add", add, v)
			}
			fetch := func(step string) {
				for _, stable := range []bool{false, true} {
					req := kmsg.NewPtrOffsetFetchRequest()
					rg, rt := kmsg.NewOffsetFetchRequestGroup(), kmsg.NewOffsetFetchRequestGroupTopic()
					rt.Topic, rt.Partitions = t, []int32{0}
					rg.Group, rg.Topics = g, append(rg.Topics, rt)
					req.Groups, req.RequireStable = append(req.Groups, rg), stable
					r.Do(fmt.Sprintf("%s, stable %v", step, stable), req, 8)
				}
			}
			fetch("before")
			for v := int16(0); v <= 4; v++ {
				r.Do("commit", p.commitRequest(g, t, r.Name("nowhere")), v)
				member := p.commitRequest(g, t)
				member.MemberID, member.Generation = "nobody", 3
				r.Do("a member that is none", member, v)
			}
			fetch("staged")
			p.ended(false)
			fetch("aborted")
			r.Quiet(add, 3)
			r.Do("commit", p.commitRequest(g, t), 3)
			p.ended(true)
			fetch("committed")
		}).needs(24, 25, 26, 28),
		named("markers", func(r *Run) {
			p := r.coordinated("markers")
			t := r.Topic("t", 1)
			p.begin("first", 5, -1, -1)
			r.Quiet(p.addRequest(3, false, part{topic: t}), 3)
			r.Do("produce", p.produce(t, 0, 1), 9)
			marker := func(epoch int16, coordinator int32, topics ...string) *kmsg.WriteTxnMarkersRequest {
				req := kmsg.NewPtrWriteTxnMarkersRequest()
				m := kmsg.NewWriteTxnMarkersRequestMarker()
				m.ProducerID, m.ProducerEpoch, m.CoordinatorEpoch = p.pid, epoch, coordinator
				for _, name := range topics {
					rt := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
					rt.Topic, rt.Partitions = name, []int32{0}
					m.Topics = append(m.Topics, rt)
				}
				req.Markers = append(req.Markers, m)
				return req
			}
			for v := int16(0); v <= 1; v++ {
				r.Do("no markers", kmsg.NewPtrWriteTxnMarkersRequest(), v)
				r.Do("unknown topic", marker(0, 5, r.Name("nowhere")), v)
				r.Do("abort", marker(0, 5, t), v)
				r.Do("an older coordinator", marker(0, 4, t), v)
				r.Do("an older epoch", marker(-1, 6, t), v)
			}
			r.Do("latest", listOffset(t, 0, -1), 5)
		}).needs(24, 27),
		named("describe and list", func(r *Run) {
			p := r.coordinated("described")
			t := r.Topic("t", 1)
			describe := func(step string, ids ...string) {
				req := kmsg.NewPtrDescribeTransactionsRequest()
				req.TransactionalIDs = ids
				resp := r.Quiet(req, 0).(*kmsg.DescribeTransactionsResponse)
				for i := range resp.TransactionStates {
					if s := &resp.TransactionStates[i]; s.StartTimestamp > 0 {
						s.StartTimestamp = 1
					}
				}
				r.record("DescribeTransactions: "+step, r.norm.response(resp))
			}
			describe("unknown", p.id, "")
			p.begin("first", 5, -1, -1)
			describe("empty", p.id)
			r.Quiet(p.addRequest(3, false, part{topic: t}), 3)
			describe("ongoing", p.id)
			list := func(step string, version int16, states ...string) {
				req := kmsg.NewPtrListTransactionsRequest()
				req.StateFilters, req.ProducerIDFilters = states, []int64{p.pid}
				r.Do(step, req, version)
			}
			for v := int16(0); v <= 1; v++ {
				list("all", v)
				list("ongoing", v, "Ongoing")
				list("others", v, "Empty", "CompleteCommit")
				list("no state", v, "Ongoing", "Nonsense")
			}
			p.ended(true)
			describe("committed", p.id)
			list("committed", 1, "CompleteCommit")
		}).needs(24, 65, 66),
	)
}
