package txnversion2

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/wire"
)

// script asks a broker and writes down what it answers. Answers that say "not yet" are asked again.
type script struct {
	t     *testing.T
	c     *wire.Conn
	id    string
	names map[int64]string // of producer ids, in the order in which they came
	lines []string
}

// who is a producer as it is known to a client.
type who struct {
	id    int64
	epoch int16
}

func (s *script) ask(req kmsg.Request, version int16) kmsg.Response {
	s.t.Helper()
	r, err := s.c.Ask(req, version)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

var notYet = []int16{kerr.ConcurrentTransactions.Code, kerr.NotCoordinator.Code, kerr.CoordinatorLoadInProgress.Code, kerr.CoordinatorNotAvailable.Code}

// await calls f until it gives a code that is final.
func (s *script) await(f func() int16) int16 {
	s.t.Helper()
	var code int16
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if code = f(); !slices.Contains(notYet, code) {
			return code
		}
	}
	s.t.Fatal(kerr.ErrorForCode(code))
	return code
}

func (s *script) say(what string, code int16, more string) {
	name := "NONE"
	if code != 0 {
		name = kerr.TypedErrorForCode(code).Message
	}
	s.lines = append(s.lines, strings.TrimSpace(fmt.Sprintf("%s: %s %s", what, name, more)))
}

func (s *script) show(p who) string {
	if p.id < 0 {
		return fmt.Sprint(p.id, "/", p.epoch)
	}
	if s.names[p.id] == "" {
		s.names[p.id] = fmt.Sprint("P", len(s.names))
	}
	return fmt.Sprint(s.names[p.id], "/", p.epoch)
}

// init begins as a producer; patient ones wait until a transaction that is open is aborted.
func (s *script) init(what string, expected who, patient bool) who {
	s.t.Helper()
	var r *kmsg.InitProducerIDResponse
	ask := func() int16 {
		q := kmsg.NewPtrInitProducerIDRequest()
		q.TransactionalID, q.TransactionTimeoutMillis, q.ProducerID, q.ProducerEpoch = &s.id, 20000, expected.id, expected.epoch
		r = s.ask(q, 5).(*kmsg.InitProducerIDResponse)
		return r.ErrorCode
	}
	if patient {
		s.await(ask)
	} else {
		ask()
	}
	p := who{r.ProducerID, r.ProducerEpoch}
	s.say(what, r.ErrorCode, s.show(p))
	return p
}

func (s *script) produce(what string, p who, seq, partition int32, version int16) {
	s.t.Helper()
	code := s.await(func() int16 {
		b := wire.Batch{Records: wire.Values(1), Attributes: wire.AttrTransactional, ProducerID: p.id, Epoch: p.epoch, Sequence: seq}
		q := kmsg.NewPtrProduceRequest()
		q.TransactionID, q.Acks, q.TimeoutMillis = &s.id, -1, 10000
		q.Topics = []kmsg.ProduceRequestTopic{{Topic: s.id, Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: partition, Records: b.Bytes()}}}}
		return s.ask(q, version).(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
	})
	s.say(what, code, "")
}

func (s *script) end(what string, p who, commit bool, version int16) who {
	s.t.Helper()
	var r *kmsg.EndTxnResponse
	code := s.await(func() int16 {
		q := kmsg.NewPtrEndTxnRequest()
		q.TransactionalID, q.ProducerID, q.ProducerEpoch, q.Commit = s.id, p.id, p.epoch, commit
		r = s.ask(q, version).(*kmsg.EndTxnResponse)
		return r.ErrorCode
	})
	next := who{r.ProducerID, r.ProducerEpoch}
	s.say(what, code, s.show(next))
	return next
}

func (s *script) offsets(what string, p who) {
	s.t.Helper()
	code := s.await(func() int16 {
		q := kmsg.NewPtrTxnOffsetCommitRequest()
		q.TransactionalID, q.Group, q.ProducerID, q.ProducerEpoch, q.Generation = s.id, s.id, p.id, p.epoch, -1
		q.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: s.id, Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Partition: 0, Offset: 5, LeaderEpoch: -1}}}}
		return s.ask(q, 5).(*kmsg.TxnOffsetCommitResponse).Topics[0].Partitions[0].ErrorCode
	})
	s.say(what, code, "")
}

// describe waits until no markers are on their way.
func (s *script) describe() {
	s.t.Helper()
	var st kmsg.DescribeTransactionsResponseTransactionState
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		q := kmsg.NewPtrDescribeTransactionsRequest()
		q.TransactionalIDs = []string{s.id}
		st = s.ask(q, 0).(*kmsg.DescribeTransactionsResponse).TransactionStates[0]
		if !strings.HasPrefix(st.State, "Prepare") {
			break
		}
		if time.Now().After(deadline) {
			s.t.Fatal("the markers are still on their way")
		}
	}
	var parts []string
	for _, t := range st.Topics {
		name := strings.ReplaceAll(t.Topic, s.id, "topic")
		if t.Topic != s.id {
			t.Partitions = nil // of a topic whose number of partitions is the broker's
		}
		slices.Sort(t.Partitions)
		parts = append(parts, fmt.Sprint(name, t.Partitions))
	}
	slices.Sort(parts)
	s.say("describe", st.ErrorCode, fmt.Sprint(st.State, " ", s.show(who{st.ProducerID, st.ProducerEpoch}), " ", parts))
}

// prepare makes the topic and the coordinators.
func (s *script) prepare() {
	s.t.Helper()
	q := kmsg.NewPtrCreateTopicsRequest()
	q.TimeoutMillis = 10000
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = s.id, 3, 1
	q.Topics = append(q.Topics, rt)
	if code := s.ask(q, 5).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode; code != 0 {
		s.t.Fatal(kerr.ErrorForCode(code))
	}
	for _, kind := range []int8{0, 1} {
		f := kmsg.NewPtrFindCoordinatorRequest()
		f.CoordinatorKey, f.CoordinatorType = s.id, kind
		s.await(func() int16 { return s.ask(f, 3).(*kmsg.FindCoordinatorResponse).ErrorCode })
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		m := kmsg.NewPtrMetadataRequest()
		m.Topics = []kmsg.MetadataRequestTopic{{Topic: &s.id}}
		if t := s.ask(m, 5).(*kmsg.MetadataResponse).Topics[0]; t.ErrorCode == 0 && len(t.Partitions) == 3 {
			break
		}
		if time.Now().After(deadline) {
			s.t.Fatal("the topic does not come")
		}
	}
	// The first producer id of a broker is 0, which batches of package wire cannot have.
	iq := kmsg.NewPtrInitProducerIDRequest()
	s.await(func() int16 { return s.ask(iq, 1).(*kmsg.InitProducerIDResponse).ErrorCode })
}

// run is the life of a producer, of those who come after it, and of what comes late.
func (s *script) run() {
	s.t.Helper()
	none := who{-1, -1}
	s.prepare()
	p := s.init("a producer begins", none, true)
	s.end("commit of nothing", p, true, 5)
	before := p
	p = s.end("abort of nothing", p, false, 5)
	s.describe()
	s.produce("records with the epoch before", before, 0, 0, 12)
	s.produce("records", p, 0, 0, 12)
	s.describe()
	s.produce("records of another partition", p, 0, 1, 12)
	s.offsets("offsets", p)
	s.describe()
	before = p
	p = s.end("commit", p, true, 5)
	s.describe()
	s.end("commit, again", before, true, 5)
	s.end("abort, once committed", before, false, 5)
	s.end("commit of nothing, with the next epoch", p, true, 5)
	for _, v := range []int16{12, 11, 9} {
		s.produce(fmt.Sprint("late records, version ", v), before, 1, 0, v)
	}
	s.produce("records of version 11, whose partition was not added", p, 0, 0, 11)
	s.produce("records out of order", p, 3, 0, 12)
	s.describe()
	s.produce("records in order", p, 0, 0, 12)
	s.end("commit of version 4", p, true, 4)
	s.describe()
	s.end("commit of version 4, again", p, true, 4)
	s.end("commit of version 5, again", p, true, 5)
	p = s.end("abort of version 5, of nothing", p, false, 5)
	s.describe()
	s.end("commit by an unknown producer", who{p.id + 12345, 0}, true, 5)
	s.end("commit with a later epoch", who{p.id, p.epoch + 3}, true, 5)
	s.produce("records with a later epoch", who{p.id, p.epoch + 3}, 0, 0, 12)
	s.produce("records of an unknown producer", who{p.id + 12345, 0}, 0, 0, 12)
	p = s.init("the producer begins anew", p, true)
	s.produce("records", p, 0, 0, 12)
	zombie := p
	s.init("another producer comes", none, false)
	s.describe()
	s.produce("records of the one before", zombie, 1, 0, 12)
	s.produce("records of the one before, of another partition", zombie, 0, 2, 12)
	s.end("abort by the one before", zombie, false, 5)
	s.end("commit by the one before", zombie, true, 5)
	s.offsets("offsets of the one before", zombie)
	p = s.init("another producer comes, again", none, true)
	s.init("the one before begins anew", zombie, true)
	s.produce("records", p, 0, 0, 12)
	s.end("abort", p, false, 5)
	s.describe()
	s.init("a producer begins with the epoch before", p, true)
}
