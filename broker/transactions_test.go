package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// readTopic reads a topic from its start until n records are there, and says what they were.
func readTopic(t *testing.T, cl *kgo.Client, n int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out []string
	for len(out) < n {
		f := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d records: %q", len(out), n, out)
		}
		f.EachRecord(func(r *kgo.Record) { out = append(out, string(r.Value)) })
	}
	return out
}

var committedOnly = []kgo.Opt{kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}

// Transactions over partitions of several brokers: committed records are read, aborted ones never, what is open is not read, and a coordinator that is killed in between
// is followed by one that brings to an end what was decided.
func TestTransactionsThroughFailovers(t *testing.T) {
	t.Run("version 0", func(t *testing.T) { transactionsThroughFailovers(t, 0) })
	t.Run("version 2", func(t *testing.T) { transactionsThroughFailovers(t, 2) })
}

func transactionsThroughFailovers(t *testing.T, level int16) {
	c := startCluster(t, 3, map[string]string{"transaction.state.log.replication.factor": "3", "transaction.state.log.min.isr": "1", "transaction.state.log.num.partitions": "3", "min.insync.replicas": "1"})
	plain := c.client()
	finalize(t, plain, level)
	adm := kadm.NewClient(plain)
	if _, err := adm.CreateTopic(t.Context(), 6, 3, nil, "t"); err != nil {
		t.Fatal(err)
	}
	producer := func() *kgo.Client {
		return c.client(kgo.TransactionalID("tx"), kgo.ProducerLinger(0), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.TransactionTimeout(60*time.Second))
	}
	cl := producer()
	var want []string
	round := func(i int, commit kgo.TransactionEndTry) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		if cl.BeginTransaction() != nil { // the client gives up when its coordinator is no broker of the cluster at the moment
			cl = producer()
			if err := cl.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
		}
		var values []string
		var mu sync.Mutex
		failed := error(nil)
		for j := range 12 {
			v := fmt.Sprintf("%d-%d-%v", i, j, commit)
			values = append(values, v)
			cl.Produce(ctx, &kgo.Record{Topic: "t", Value: []byte(v)}, func(_ *kgo.Record, err error) {
				mu.Lock()
				defer mu.Unlock()
				failed = errors.Join(failed, err)
			})
		}
		if err := cl.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		if failed != nil {
			commit = kgo.TryAbort
		}
		if err := cl.EndTransaction(ctx, commit); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		if commit == kgo.TryCommit {
			want = append(want, values...)
		}
	}
	for i := range 6 {
		round(i, kgo.TransactionEndTry(i%3 != 1))
	}
	coordinator := func() int32 {
		q := kmsg.NewPtrFindCoordinatorRequest()
		q.CoordinatorType, q.CoordinatorKeys = 1, []string{"tx"}
		r, err := q.RequestWith(t.Context(), plain)
		if err != nil || r.Coordinators[0].ErrorCode != 0 {
			return -1
		}
		return r.Coordinators[0].NodeID
	}
	at := coordinator()
	round(6, kgo.TryCommit)
	c.kill(int(at))
	for i := 7; i < 10; i++ {
		round(i, kgo.TransactionEndTry(i%3 != 1))
	}
	c.start(int(at))
	c.ready(int(at))
	round(10, kgo.TryCommit)
	reader := c.client(append([]kgo.Opt{kgo.ConsumeTopics("t")}, committedOnly...)...)
	got := map[string]int{}
	for _, v := range readTopic(t, reader, len(want)) {
		got[v]++
	}
	for _, v := range want {
		if got[v] != 1 {
			t.Errorf("%s is there %d times", v, got[v])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d records, want %d", len(got), len(want))
	}
	eventually(t, "nothing is open any more", func() bool {
		ends, err := adm.ListEndOffsets(t.Context(), "t")
		stable, err2 := adm.ListCommittedOffsets(t.Context(), "t")
		same := err == nil && err2 == nil
		ends.Each(func(o kadm.ListedOffset) {
			s, _ := stable.Lookup(o.Topic, o.Partition)
			same = same && s.Offset == o.Offset
		})
		return same
	})
}

// The answers of the coordinator, one producer after another of the same name.
func TestTransactionalIDs(t *testing.T) {
	props := map[string]string{"transaction.state.log.num.partitions": "2", "transaction.state.log.min.isr": "1", "offsets.topic.num.partitions": "2",
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": "50"}
	dir := t.TempDir()
	b := startBroker(t, dir, props)
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(kmsg.EndTxn.Int16(), 4)
	cl := client(t, b, kgo.MaxVersions(versions))
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(t.Context(), 2, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "there is a coordinator", func() bool {
		q := kmsg.NewPtrFindCoordinatorRequest()
		q.CoordinatorType, q.CoordinatorKeys = 1, []string{"tx"}
		r, err := q.RequestWith(t.Context(), cl)
		return err == nil && r.Coordinators[0].ErrorCode == 0
	})
	tryInit := func(id, epoch int, timeout int32) (*kmsg.InitProducerIDResponse, error) {
		q := kmsg.NewPtrInitProducerIDRequest()
		q.TransactionalID, q.TransactionTimeoutMillis, q.ProducerID, q.ProducerEpoch = kmsg.StringPtr("tx"), timeout, int64(id), int16(epoch)
		r, err := q.RequestWith(t.Context(), cl)
		if err != nil {
			t.Fatal(err)
		}
		return r, kerr.ErrorForCode(r.ErrorCode)
	}
	initialize := func(id, epoch int) (*kmsg.InitProducerIDResponse, error) {
		var r *kmsg.InitProducerIDResponse
		var err error
		eventually(t, "the transactional id is free", func() bool {
			r, err = tryInit(id, epoch, 60000)
			return !errors.Is(err, kerr.ConcurrentTransactions) && !errors.Is(err, kerr.CoordinatorLoadInProgress) && !errors.Is(err, kerr.NotCoordinator)
		})
		return r, err
	}
	add := func(p *kmsg.InitProducerIDResponse, epoch int16, topics ...string) []error {
		q := kmsg.NewPtrAddPartitionsToTxnRequest()
		q.TransactionalID, q.ProducerID, q.ProducerEpoch = "tx", p.ProducerID, epoch
		for _, name := range topics {
			qt := kmsg.NewAddPartitionsToTxnRequestTopic()
			qt.Topic, qt.Partitions = name, []int32{0}
			q.Topics = append(q.Topics, qt)
		}
		q.Version = 3
		r, err := q.RequestWith(t.Context(), cl)
		if err != nil {
			t.Fatal(err)
		}
		var out []error
		for _, rt := range r.Topics {
			out = append(out, kerr.ErrorForCode(rt.Partitions[0].ErrorCode))
		}
		return out
	}
	end := func(p *kmsg.InitProducerIDResponse, commit bool) error {
		q := kmsg.NewPtrEndTxnRequest()
		q.TransactionalID, q.ProducerID, q.ProducerEpoch, q.Commit = "tx", p.ProducerID, p.ProducerEpoch, commit
		r, err := q.RequestWith(t.Context(), cl) // in version 4, the highest of transaction version 0
		if err != nil {
			t.Fatal(err)
		}
		return kerr.ErrorForCode(r.ErrorCode)
	}
	want := func(what string, got, want error) {
		t.Helper()
		if !errors.Is(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	first, err := initialize(-1, -1)
	want("first", err, nil)
	if first.ProducerEpoch != 0 {
		t.Error("first epoch", first.ProducerEpoch)
	}
	want("end of nothing", end(first, true), kerr.InvalidTxnState)
	if got := add(first, 0, "t", "nowhere"); !errors.Is(got[0], kerr.OperationNotAttempted) || !errors.Is(got[1], kerr.UnknownTopicOrPartition) {
		t.Error("unknown partition:", got)
	}
	want("add", add(first, 0, "t")[0], nil)
	want("wrong epoch", add(first, 5, "t")[0], kerr.ProducerFenced)
	want("commit", end(first, true), nil)
	eventually(t, "the end is repeated", func() bool { return end(first, true) == nil })
	want("the other end", end(first, false), kerr.InvalidTxnState)

	second, err := initialize(int(first.ProducerID), 0) // KIP-360
	want("bump", err, nil)
	again, err := initialize(int(first.ProducerID), 0)
	want("bump, repeated", err, nil)
	if second.ProducerEpoch != 1 || again.ProducerEpoch != 1 || second.ProducerID != first.ProducerID {
		t.Error(second, again)
	}
	want("add", add(second, 1, "t")[0], nil)
	if _, err := tryInit(-1, -1, 60000); !errors.Is(err, kerr.ConcurrentTransactions) {
		t.Error("init during a transaction:", err)
	}
	third, err := initialize(-1, -1)
	want("third", err, nil)
	if third.ProducerEpoch != 3 {
		t.Error("the fenced producer had epoch 1, the next has", third.ProducerEpoch)
	}
	want("zombie", end(second, true), kerr.ProducerFenced)

	// A producer that is silent is fenced.
	eventually(t, "a short timeout", func() bool { third, err = tryInit(-1, -1, 1); return err == nil })
	want("add", add(third, third.ProducerEpoch, "t")[0], nil)
	eventually(t, "the transaction times out", func() bool { return errors.Is(add(third, third.ProducerEpoch, "t")[0], kerr.ProducerFenced) })

	// It is all there after a kill, but for the epoch before.
	fourth, err := initialize(-1, -1)
	want("fourth", err, nil)
	want("add", add(fourth, fourth.ProducerEpoch, "t")[0], nil)
	b.kill()
	b = startBroker(t, dir, props)
	cl = client(t, b, kgo.MaxVersions(versions))
	var dr *kmsg.DescribeTransactionsResponse
	eventually(t, "the transaction is loaded", func() bool {
		q := kmsg.NewPtrDescribeTransactionsRequest()
		q.TransactionalIDs = []string{"tx"}
		dr, err = q.RequestWith(t.Context(), cl)
		return err == nil && dr.TransactionStates[0].ErrorCode == 0
	})
	if s := dr.TransactionStates[0]; s.State != "Ongoing" || s.ProducerID != fourth.ProducerID || s.ProducerEpoch != fourth.ProducerEpoch || len(s.Topics) != 1 || s.StartTimestamp <= 0 {
		t.Errorf("%+v", s)
	}
	want("commit after the kill", end(fourth, true), nil)
	lq := kmsg.NewPtrListTransactionsRequest()
	lq.StateFilters = []string{"CompleteCommit", "Wrong"}
	lq.Version = 0
	eventually(t, "it is listed as committed", func() bool {
		lr, err := lq.RequestWith(t.Context(), cl)
		return err == nil && len(lr.TransactionStates) == 1 && lr.TransactionStates[0].TransactionalID == "tx" && len(lr.UnknownStateFilters) == 1
	})
}

// Offsets that are committed in a transaction, from a group to its copy: each record is once in the copy, through aborts and a restart.
func TestExactlyOnceCopy(t *testing.T) {
	t.Run("version 0", func(t *testing.T) { exactlyOnceCopy(t, 0) })
	t.Run("version 2", func(t *testing.T) { exactlyOnceCopy(t, 2) })
}

func exactlyOnceCopy(t *testing.T, level int16) {
	props := map[string]string{"transaction.state.log.num.partitions": "2", "transaction.state.log.min.isr": "1", "offsets.topic.num.partitions": "2", "group.initial.rebalance.delay.ms": "0"}
	dir := t.TempDir()
	b := startBroker(t, dir, props)
	cl := client(t, b)
	finalize(t, cl, level)
	if _, err := kadm.NewClient(cl).CreateTopics(t.Context(), 3, 1, nil, "from", "to"); err != nil {
		t.Fatal(err)
	}
	const n = 300
	for i := range n {
		cl.Produce(t.Context(), &kgo.Record{Topic: "from", Value: fmt.Appendf(nil, "%d", i), Key: fmt.Appendf(nil, "%d", i)}, nil)
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	copied := 0
	copyUntil := func(until int) {
		t.Helper()
		s, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(b.addr(0)), kgo.TransactionalID("copier"), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("from"), kgo.ProducerLinger(0),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(6*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		for round := 0; copied < until; round++ {
			f := s.PollRecords(ctx, 40)
			if ctx.Err() != nil {
				t.Fatalf("%d of %d copied", copied, until)
			}
			if err := s.Begin(); err != nil {
				t.Fatal(err)
			}
			k := 0
			f.EachRecord(func(r *kgo.Record) {
				k++
				s.Produce(ctx, &kgo.Record{Topic: "to", Value: r.Value, Key: r.Key}, nil)
			})
			committed, err := s.End(ctx, kgo.TransactionEndTry(round%3 != 1))
			if err != nil {
				t.Fatal(err)
			}
			if committed {
				copied += k
			}
		}
	}
	copyUntil(n / 2)
	if err := b.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	b = startBroker(t, dir, props)
	copyUntil(n)
	seen := map[string]int{}
	for _, v := range readTopic(t, client(t, b, append([]kgo.Opt{kgo.ConsumeTopics("to")}, committedOnly...)...), n) {
		seen[v]++
	}
	for i := range n {
		if v := fmt.Sprint(i); seen[v] != 1 {
			t.Errorf("%s is there %d times", v, seen[v])
		}
	}
}
