package broker

import (
	"context"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/config"
	"gokafka/coordination/znode"
	"gokafka/metadata"
	"gokafka/record"
)

// update asks for levels of transaction.version, in version 1 of UpdateFeatures.
func update(t *testing.T, cl *kgo.Client, level int16, upgrade int8, validate bool) error {
	t.Helper()
	q := kmsg.NewPtrUpdateFeaturesRequest()
	q.ValidateOnly = validate
	q.FeatureUpdates = append(q.FeatureUpdates, kmsg.UpdateFeaturesRequestFeatureUpdate{Feature: transactionFeature, MaxVersionLevel: level, UpgradeType: upgrade})
	var last error
	eventually(t, "the controller answers", func() bool {
		r, err := q.RequestWith(t.Context(), cl)
		if err != nil {
			t.Log(err)
			return false
		}
		last = kerr.ErrorForCode(r.ErrorCode)
		if r.ErrorCode == 0 && len(r.Results) > 0 {
			last = kerr.ErrorForCode(r.Results[0].ErrorCode)
		}
		return !errors.Is(last, kerr.NotController)
	})
	return last
}

// finalize gives a cluster transaction.version; 0 is none.
func finalize(t *testing.T, cl *kgo.Client, level int16) {
	t.Helper()
	if level == 0 {
		return
	}
	if err := update(t, cl, level, 1, false); err != nil {
		t.Fatal(err)
	}
}

// finalized is what a broker tells in ApiVersions of transaction.version, 0 if nothing.
func finalized(t *testing.T, cl *kgo.Client) (level int16, epoch int64) {
	t.Helper()
	q := kmsg.NewPtrApiVersionsRequest()
	q.ClientSoftwareName, q.ClientSoftwareVersion = "test", "1"
	r, err := q.RequestWith(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.FinalizedFeatures {
		if f.Name == transactionFeature {
			level = f.MaxVersionLevel
		}
	}
	return level, r.FinalizedFeaturesEpoch
}

// A level is told by all brokers once it is written, and outlives them; it is refused, and /feature stays as it is, while a broker is registered that does not know it, as Apache 3.9's do
// not.
func TestTransactionVersionIsFinalized(t *testing.T) {
	dir := t.TempDir()
	b := startBroker(t, dir, nil)
	cl := client(t, b)
	eventually(t, "a cluster is born with no level", func() bool { level, epoch := finalized(t, cl); return level == 0 && epoch == 0 })
	g := b.session.Current()
	apache := znode.Registration{Broker: metadata.Broker{ID: 7, Endpoints: []metadata.Endpoint{{Listener: "PLAINTEXT", Host: "127.0.0.1", Port: 1}}}, JMXPort: -1}
	if _, err := znode.RegisterBroker(t.Context(), g, apache, znode.Registered{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is refused while Apache's broker is there", func() bool {
		err := update(t, cl, 2, 1, true)
		return errors.Is(err, kerr.InvalidRequest)
	})
	if err := update(t, cl, 2, 1, false); !errors.Is(err, kerr.InvalidRequest) {
		t.Error("with Apache's broker:", err)
	}
	data, _, err := g.Get(t.Context(), znode.FeaturePath)
	if want := `{"features":{},"version":2,"status":1}`; err != nil || string(data) != want {
		t.Errorf("/feature is %s, %v", data, err)
	}
	if err := g.Delete(t.Context(), znode.BrokerIDsPath+"/7", -1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is allowed without", func() bool { return update(t, cl, 2, 1, true) == nil })
	if level, _ := finalized(t, cl); level != 0 {
		t.Error("validated, and written")
	}
	for _, bad := range []struct {
		level   int16
		upgrade int8
	}{{3, 1}, {0, 1}, {0, 2}, {1, 0}, {1, 9}} {
		if err := update(t, cl, bad.level, bad.upgrade, false); !errors.Is(err, kerr.InvalidRequest) {
			t.Errorf("level %d by %d: %v", bad.level, bad.upgrade, err)
		}
	}
	finalize(t, cl, 2)
	if level, epoch := finalized(t, cl); level != 2 || epoch != 1 {
		t.Error("level", level, "epoch", epoch)
	}
	if err := b.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	b = startBroker(t, dir, nil)
	cl = client(t, b)
	if level, _ := finalized(t, cl); level != 2 {
		t.Error("after a restart, level", level)
	}
	if err := update(t, cl, 0, 2, false); err != nil {
		t.Error("back:", err)
	}
	if level, _ := finalized(t, cl); level != 0 {
		t.Error("after the downgrade, level", level)
	}
}

// A dev cluster is born with the newest features; one that is there keeps its own.
func TestNewestFeatures(t *testing.T) {
	born := func(dir string, newest bool) int16 {
		cfg, err := config.NewBroker(map[string]string{"broker.id": "0", "listeners": "PLAINTEXT://127.0.0.1:0", "log.dirs": dir, "controlled.shutdown.enable": "false"})
		if err != nil {
			t.Fatal(err)
		}
		b, err := Start(t.Context(), Options{Config: cfg, NewestFeatures: newest})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Stop(context.Background())
		var level int16
		eventually(t, "the features are read", func() bool {
			l, epoch := finalized(t, client(t, b))
			level = l
			return epoch == 0
		})
		return level
	}
	old, dev := t.TempDir(), t.TempDir()
	if l := born(old, false); l != 0 {
		t.Error("level", l)
	}
	if l := born(old, true); l != 0 {
		t.Error("a cluster that was there has got level", l)
	}
	if l := born(dev, true); l != 2 {
		t.Error("a dev cluster has level", l)
	}
	if l := born(dev, false); l != 2 {
		t.Error("and then level", l)
	}
}

// transactionalBatch is one record of a transaction.
func transactionalBatch(t *testing.T, p kmsg.EndTxnResponse, seq int32, value string) []byte {
	t.Helper()
	spec := record.NewBatchSpec()
	spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence, spec.Transactional = p.ProducerID, p.ProducerEpoch, seq, true
	b := record.NewBuilder(spec)
	if err := b.Append(1_700_000_000_000, nil, []byte(value)); err != nil {
		t.Fatal(err)
	}
	out, _, err := b.Build(nil, record.NewCodecs())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Records bring their partition into the transaction; its end raises the epoch, so that a batch that comes late is refused, also when the next transaction is open.
func TestRecordsBeginTransactions(t *testing.T) {
	b := startBroker(t, t.TempDir(), map[string]string{"transaction.state.log.num.partitions": "1", "transaction.state.log.min.isr": "1", "retention.ms": "-1", "log.retention.ms": "-1"})
	cl := client(t, b)
	finalize(t, cl, 2)
	produce(t, cl, "t", 0, 1)
	eventually(t, "there is a coordinator", func() bool {
		q := kmsg.NewPtrFindCoordinatorRequest()
		q.CoordinatorType, q.CoordinatorKeys = 1, []string{"x"}
		r, err := q.RequestWith(t.Context(), cl)
		return err == nil && r.Coordinators[0].ErrorCode == 0
	})
	var p kmsg.EndTxnResponse
	eventually(t, "a producer", func() bool {
		q := kmsg.NewPtrInitProducerIDRequest()
		q.TransactionalID, q.TransactionTimeoutMillis = kmsg.StringPtr("x"), 60000
		r, err := q.RequestWith(t.Context(), cl)
		if err != nil || r.ErrorCode != 0 {
			return false
		}
		p.ProducerID, p.ProducerEpoch = r.ProducerID, r.ProducerEpoch
		return true
	})
	id := b.cache.Image().Topic("t").ID
	send := func(p kmsg.EndTxnResponse, seq int32, value string, topicID [16]byte) error {
		q := kmsg.NewPtrProduceRequest()
		q.TransactionID, q.Acks, q.TimeoutMillis = kmsg.StringPtr("x"), -1, 10000
		q.Topics = []kmsg.ProduceRequestTopic{{TopicID: topicID, Partitions: []kmsg.ProduceRequestTopicPartition{{Records: transactionalBatch(t, p, seq, value)}}}}
		var code int16
		eventually(t, "an answer other than that the transaction before is being completed", func() bool {
			r, err := cl.Broker(0).Request(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			rt := r.(*kmsg.ProduceResponse).Topics[0]
			if rt.TopicID != topicID {
				t.Error("answered for topic", rt.TopicID)
			}
			code = rt.Partitions[0].ErrorCode
			return code != kerr.ConcurrentTransactions.Code
		})
		return kerr.ErrorForCode(code)
	}
	end := func(p kmsg.EndTxnResponse, commit bool) (kmsg.EndTxnResponse, error) {
		q := kmsg.NewPtrEndTxnRequest()
		q.TransactionalID, q.ProducerID, q.ProducerEpoch, q.Commit = "x", p.ProducerID, p.ProducerEpoch, commit
		var r *kmsg.EndTxnResponse
		eventually(t, "an answer of the coordinator", func() bool {
			var err error
			if r, err = q.RequestWith(t.Context(), cl); err != nil {
				t.Fatal(err)
			}
			return r.ErrorCode != kerr.ConcurrentTransactions.Code
		})
		return *r, kerr.ErrorForCode(r.ErrorCode)
	}
	if err := send(p, 0, "nowhere", [16]byte{9}); !errors.Is(err, kerr.UnknownTopicID) {
		t.Error("an unknown topic id:", err)
	}
	if err := send(p, 0, "first", id); err != nil {
		t.Fatal(err)
	}
	second, err := end(p, true)
	if err != nil || second.ProducerID != p.ProducerID || second.ProducerEpoch != 1 {
		t.Fatalf("%+v %v", second, err)
	}
	if again, err := end(p, true); err != nil || again.ProducerEpoch != 1 { // answered when the markers are there
		t.Fatalf("again: %+v %v", again, err)
	}
	if err := send(p, 1, "late", id); !errors.Is(err, kerr.InvalidProducerEpoch) {
		t.Error("late, between transactions:", err)
	}
	if err := send(second, 0, "aborted", id); err != nil {
		t.Fatal(err)
	}
	if err := send(p, 1, "late", id); !errors.Is(err, kerr.InvalidProducerEpoch) {
		t.Error("late, in the next transaction:", err)
	}
	third, err := end(second, false)
	if err != nil || third.ProducerEpoch != 2 {
		t.Fatalf("%+v %v", third, err)
	}
	if err := send(third, 0, "third", id); err != nil {
		t.Fatal(err)
	}
	if _, err := end(third, true); err != nil {
		t.Fatal(err)
	}
	reader := client(t, b, append([]kgo.Opt{kgo.ConsumeTopics("t")}, committedOnly...)...)
	if got := readTopic(t, reader, 3); got[1] != "first" || got[2] != "third" {
		t.Errorf("%q", got)
	}
}
