package compat_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/harness"
	"gokafka/compat_test/wire"
)

// TestTransactionTopicIsHandedOver lets each program write __transaction_state for the same requests, and the other take it over and give it back, once after a clean stop and once after
// SIGKILL: the records are the same but for times, the transactional ids stay as they are, and the transaction that one leaves open the other commits.
func TestTransactionTopicIsHandedOver(t *testing.T) {
	if heavy(t) == harness.Apache {
		t.Skip("both programs take their turns")
	}
	_, err := harness.JavaLibs()
	skips.Need(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	written := map[harness.Target][]string{}
	for _, of := range [][2]harness.Target{{harness.Apache, harness.Gokafka}, {harness.Gokafka, harness.Apache}} {
		h := newHandOver(t, ctx)
		h.start(of[0])
		s := &txnScript{groupScript{handOver: h}}
		s.run()
		written[of[0]] = s.written()
		for _, next := range []harness.Target{of[1], of[0]} {
			p := s.open("handed")
			state := s.state()
			if next == of[1] {
				skips.Need(t, h.broker.Stop(ctx))
			} else {
				h.broker.Kill()
			}
			h.start(next)
			s.coordinated("handed")
			if got := s.state(); got != state {
				t.Errorf("%s wrote, %s tells\n%s\nnot\n%s", of[0], next, got, state)
			}
			s.end("handed", p, true)
			s.completed("handed")
			if log := h.broker.LogTail(); strings.Contains(log, "ERROR") && strings.Contains(log, "__transaction_state") {
				t.Errorf("%s, which took over from %s, logs\n%s", next, of[0], log)
			}
		}
		h.broker.Kill()
		h.client.Close()
	}
	a, g := written[harness.Apache], written[harness.Gokafka]
	for i := range max(len(a), len(g)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(g) {
			y = g[i]
		}
		if x != y {
			t.Errorf("record %d:\nApache  %s\ngokafka %s", i, x, y)
		}
	}
	t.Logf("%d records are the same", len(a))
}

// txnScript is the life of transactional ids by single requests.
type txnScript struct{ groupScript }

var txnScriptIDs = []string{"committed", "aborted", "again", "offsets", "fenced", "empty", "handed"}

// coordinated waits until the coordinator of a transactional id has loaded it.
func (s *txnScript) coordinated(id string) {
	s.t.Helper()
	s.await("the coordinator comes", func() bool {
		q := kmsg.NewPtrDescribeTransactionsRequest()
		q.TransactionalIDs = []string{id}
		f := kmsg.NewPtrFindCoordinatorRequest()
		f.Version, f.CoordinatorKey, f.CoordinatorType = 3, id, 1
		if request[*kmsg.FindCoordinatorResponse](&s.groupScript, f).ErrorCode != 0 {
			return false
		}
		code := request[*kmsg.DescribeTransactionsResponse](&s.groupScript, q).TransactionStates[0].ErrorCode
		return code == 0 || code == kerr.TransactionalIDNotFound.Code
	})
}

func (s *txnScript) init(id string, before kmsg.EndTxnResponse) kmsg.EndTxnResponse {
	s.t.Helper()
	s.coordinated(id)
	p := kmsg.NewEndTxnResponse()
	s.await("a producer", func() bool {
		q := kmsg.NewPtrInitProducerIDRequest()
		q.Version, q.TransactionalID, q.TransactionTimeoutMillis, q.ProducerID, q.ProducerEpoch = 4, &id, 30_000, before.ProducerID, before.ProducerEpoch
		r := request[*kmsg.InitProducerIDResponse](&s.groupScript, q)
		if r.ErrorCode == kerr.ConcurrentTransactions.Code || r.ErrorCode == kerr.CoordinatorLoadInProgress.Code { // the latter also while Apache fetches its first producer ids
			return false
		}
		s.want("init of "+id, r.ErrorCode)
		p.ProducerID, p.ProducerEpoch = r.ProducerID, r.ProducerEpoch
		return true
	})
	return p
}

func (s *txnScript) add(id string, p kmsg.EndTxnResponse, partitions ...int32) {
	s.t.Helper()
	s.await("the partitions are taken", func() bool {
		q := kmsg.NewPtrAddPartitionsToTxnRequest()
		q.Version, q.TransactionalID, q.ProducerID, q.ProducerEpoch = 3, id, p.ProducerID, p.ProducerEpoch
		q.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: partitions}}
		code := request[*kmsg.AddPartitionsToTxnResponse](&s.groupScript, q).Topics[0].Partitions[0].ErrorCode
		if code == kerr.ConcurrentTransactions.Code {
			return false
		}
		s.want("add to "+id, code)
		return true
	})
}

func (s *txnScript) put(id string, p kmsg.EndTxnResponse, seq int32) {
	s.t.Helper()
	b := wire.Batch{Records: wire.Values(1), Attributes: wire.AttrTransactional, ProducerID: p.ProducerID, Epoch: p.ProducerEpoch, Sequence: seq}
	q := kmsg.NewPtrProduceRequest()
	q.Version, q.TransactionID, q.Acks, q.TimeoutMillis = 9, &id, -1, 10000
	q.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: b.Bytes()}}}}
	s.want("records of "+id, request[*kmsg.ProduceResponse](&s.groupScript, q).Topics[0].Partitions[0].ErrorCode)
}

func (s *txnScript) end(id string, p kmsg.EndTxnResponse, commit bool) {
	s.t.Helper()
	q := kmsg.NewPtrEndTxnRequest()
	q.Version, q.TransactionalID, q.ProducerID, q.ProducerEpoch, q.Commit = 3, id, p.ProducerID, p.ProducerEpoch, commit
	s.want("end of "+id, request[*kmsg.EndTxnResponse](&s.groupScript, q).ErrorCode)
}

// describe is what the coordinator tells of a transactional id, without its times.
func (s *txnScript) describe(id string) kmsg.DescribeTransactionsResponseTransactionState {
	s.t.Helper()
	q := kmsg.NewPtrDescribeTransactionsRequest()
	q.TransactionalIDs = []string{id}
	st := request[*kmsg.DescribeTransactionsResponse](&s.groupScript, q).TransactionStates[0]
	if st.State == "Empty" {
		st.StartTimestamp = -1 // a coordinator remembers the transaction before, its successor does not
	}
	return st
}

// completed waits for the markers of a transaction.
func (s *txnScript) completed(id string) {
	s.t.Helper()
	s.await("the markers are there", func() bool { return strings.HasPrefix(s.describe(id).State, "Complete") })
}

// open leaves a transaction open.
func (s *txnScript) open(id string) kmsg.EndTxnResponse {
	s.t.Helper()
	p := s.init(id, kmsg.EndTxnResponse{ProducerID: -1, ProducerEpoch: -1})
	s.add(id, p, 0)
	s.put(id, p, 0)
	return p
}

func (s *txnScript) run() {
	s.t.Helper()
	_, err := s.admin.CreateTopic(s.ctx, 3, 1, nil, "t")
	skips.Need(s.t, err)
	s.await("the group's coordinator comes", func() bool {
		_, err := s.admin.FetchOffsets(s.ctx, "g")
		return err == nil
	})
	none := kmsg.EndTxnResponse{ProducerID: -1, ProducerEpoch: -1}
	s.init("first", none) // the first id is 0, which batches of package wire cannot have
	p := s.init("committed", none)
	s.add("committed", p, 0)
	s.put("committed", p, 0)
	s.add("committed", p, 0, 1, 2)
	s.end("committed", p, true)
	s.completed("committed")
	s.add("committed", p, 2)
	s.end("committed", p, false)
	s.completed("committed")

	p = s.init("aborted", none)
	s.add("aborted", p, 1)
	s.end("aborted", p, false)
	s.completed("aborted")

	p = s.init("again", none)
	p = s.init("again", p) // KIP-360
	s.add("again", p, 0)
	s.end("again", p, true)
	s.completed("again")
	s.init("again", none)

	p = s.init("offsets", none)
	a := kmsg.NewPtrAddOffsetsToTxnRequest()
	a.Version, a.TransactionalID, a.Group, a.ProducerID, a.ProducerEpoch = 3, "offsets", "g", p.ProducerID, p.ProducerEpoch
	s.want("offsets", request[*kmsg.AddOffsetsToTxnResponse](&s.groupScript, a).ErrorCode)
	c := kmsg.NewPtrTxnOffsetCommitRequest()
	c.Version, c.TransactionalID, c.Group, c.ProducerID, c.ProducerEpoch, c.Generation = 3, "offsets", "g", p.ProducerID, p.ProducerEpoch, -1
	c.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Partition: 0, Offset: 1, LeaderEpoch: -1}}}}
	s.want("commit of offsets", request[*kmsg.TxnOffsetCommitResponse](&s.groupScript, c).Topics[0].Partitions[0].ErrorCode)
	s.end("offsets", p, true)
	s.completed("offsets")

	s.open("fenced")
	s.init("fenced", none)
	s.init("empty", none)
}

func (s *txnScript) state() string {
	s.t.Helper()
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	for _, id := range txnScriptIDs {
		skips.Need(s.t, e.Encode(s.describe(id)))
	}
	return out.String()
}

// written are the records of __transaction_state, by key, without times.
func (s *txnScript) written() []string {
	s.t.Helper()
	const topic = "__transaction_state"
	ends, err := s.admin.ListEndOffsets(s.ctx, topic)
	skips.Need(s.t, err)
	from, left := map[int32]kgo.Offset{}, 0
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			from[o.Partition] = kgo.NewOffset().At(0)
			left += int(o.Offset)
		}
	})
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.broker.Addr()), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	skips.Need(s.t, err)
	defer cl.Close()
	var keys []string
	out := map[string][]string{}
	for left > 0 {
		fs := cl.PollFetches(s.ctx)
		skips.Need(s.t, fs.Err())
		fs.EachRecord(func(r *kgo.Record) {
			left--
			keys = append(keys, string(r.Key))
			var v kmsg.TxnMetadataValue
			if err := v.ReadFrom(r.Value); err != nil || !bytes.Equal(v.AppendTo(nil), r.Value) {
				s.t.Errorf("%x makes %x: %v", r.Value, v.AppendTo(nil), err)
			}
			v.LastUpdateTimestamp, v.StartTimestamp = 0, min(v.StartTimestamp, 0)
			for _, topic := range v.Topics {
				slices.Sort(topic.Partitions) // Apache's order is that of a hash table
			}
			out[string(r.Key)] = append(out[string(r.Key)], fmt.Sprintf("%d %x %x", r.Partition, r.Key, v.AppendTo(nil)))
		})
	}
	slices.Sort(keys)
	var all []string
	for _, k := range slices.Compact(keys) {
		all = append(all, out[k]...)
	}
	return all
}
