package tools

import (
	"context"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/cluster"
	"gokafka/compat_test/wire"
)

const txnTool = "org.apache.kafka.tools.TransactionsCommand"

func transactionChapter() Chapter {
	t := func(args string) Step { return Step{Tool: txnTool, Args: args} }
	// All coordinators are on one broker, and all of the topic's partitions are led by another. What does not exist is not asked for: the tool then waits for a minute, and
	// prints how often it tried.
	state := strings.TrimSuffix(strings.Repeat("0,", 50), ",")
	hang := "--topic tx --partition 1 "
	return Chapter{"transactions", []Step{
		topics("--create --topic __transaction_state --config cleanup.policy=compact --config segment.bytes=104857600 --replica-assignment " + state),
		topics("--create --topic tx --config retention.ms=-1 --replica-assignment 1:2,1:2"),
		topicsUntil("Isr: 1,2", "--describe --topic tx"),
		{Do: open},
		t("list"),
		t("list --duration-filter 3600000"),
		t("describe --transactional-id open"),
		t("describe --transactional-id nobody"),
		t("describe"),
		t("describe-producers --topic tx --partition 0"),
		t("describe-producers --topic tx --partition 0 --broker-id 2"),
		t("describe-producers --topic tx --partition 0 --broker-id 0"),
		t("describe-producers --topic tx"),
		t("find-hanging"),
		t("find-hanging --broker-id 1"),
		t("find-hanging --topic tx"),
		t("find-hanging --partition 1"),
		configs("--alter --entity-type brokers --entity-default --add-config transaction.partition.verification.enable=false"),
		configsUntil("transaction.partition.verification.enable=false", "--describe --entity-type brokers --entity-default"),
		{Do: hanging},
		t("find-hanging --broker-id 1"),
		t("find-hanging " + hang),
		t("find-hanging --topic tx --max-transaction-timeout 100000000"),
		t("find-hanging --broker-id 7"),
		t("describe-producers " + hang),
		t("abort " + hang),
		t("abort " + hang + "--start-offset 77"),
		t("abort " + hang + "--producer-id 6000"),
		t("abort " + hang + "--producer-id 6000 --producer-epoch 3"),
		t("abort --start-offset 0"),
		t("abort " + hang + "--start-offset 0"),
		t("describe-producers " + hang),
		t("find-hanging " + hang),
		t("abort " + hang + "--producer-id 6000 --producer-epoch 3 --coordinator-epoch 0"),
		t("abort " + hang + "--producer-id 6000 --producer-epoch 2 --coordinator-epoch 0"),
		t("describe-producers " + hang),
		t("nonsense"),
	}}
}

// conn is a connection to a broker.
func conn(ctx context.Context, c *cluster.Cluster, id int) (*wire.Conn, error) {
	return wire.Dial(ctx, c.Brokers[id].Addr())
}

// put writes a transactional batch of old times to a partition of tx.
func put(ctx context.Context, c *cluster.Cluster, id *string, b wire.Batch, partition int32) error {
	w, err := conn(ctx, c, 1)
	if err != nil {
		return err
	}
	defer w.Close()
	b.Records, b.Attributes = wire.Values(2), wire.AttrTransactional
	q := kmsg.NewPtrProduceRequest()
	q.TransactionID, q.Acks, q.TimeoutMillis = id, -1, 10000
	q.Topics = []kmsg.ProduceRequestTopic{{Topic: "tx", Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: partition, Records: b.Bytes()}}}}
	r, err := w.Ask(q, 9)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(r.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode)
}

// open leaves a transaction of the transactional id "open" open.
func open(ctx context.Context, c *cluster.Cluster) error {
	w, err := conn(ctx, c, 0)
	if err != nil {
		return err
	}
	defer w.Close()
	err = cluster.Await(ctx, "a producer id", func() error { // the first one is 0, which batches of package wire cannot have
		r, err := w.Ask(kmsg.NewPtrInitProducerIDRequest(), 1)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(r.(*kmsg.InitProducerIDResponse).ErrorCode)
	})
	if err != nil {
		return err
	}
	id := "open"
	var p *kmsg.InitProducerIDResponse
	for tries := 0; ; tries++ {
		q := kmsg.NewPtrInitProducerIDRequest()
		q.TransactionalID, q.TransactionTimeoutMillis = &id, 600000
		r, err := w.Ask(q, 4)
		if err != nil {
			return err
		}
		if p = r.(*kmsg.InitProducerIDResponse); p.ErrorCode == 0 {
			break
		}
		if tries == 300 {
			return kerr.ErrorForCode(p.ErrorCode)
		}
		time.Sleep(100 * time.Millisecond)
	}
	a := kmsg.NewPtrAddPartitionsToTxnRequest()
	a.TransactionalID, a.ProducerID, a.ProducerEpoch = id, p.ProducerID, p.ProducerEpoch
	a.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "tx", Partitions: []int32{0}}}
	r, err := w.Ask(a, 3)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(r.(*kmsg.AddPartitionsToTxnResponse).Topics[0].Partitions[0].ErrorCode); err != nil {
		return err
	}
	return put(ctx, c, &id, wire.Batch{ProducerID: p.ProducerID, Epoch: p.ProducerEpoch}, 0)
}

// hanging writes records of a transaction that no coordinator knows, once the brokers let that pass.
func hanging(ctx context.Context, c *cluster.Cluster) error {
	id := "gone"
	return cluster.Await(ctx, "records without verification", func() error {
		return put(ctx, c, &id, wire.Batch{ProducerID: 6000, Epoch: 3}, 1)
	})
}
