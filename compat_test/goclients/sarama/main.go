// Command sarama is the sarama client of the suite.
package main

import (
	"log"
	"os"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"gokafka/compat_test/goclients/contract"
)

func main() {
	o := contract.Parse()
	sarama.Logger = log.New(os.Stderr, "sarama ", log.LstdFlags)
	switch o.Mode {
	case "consume":
		consume(o)
	case "member":
		member(o)
	default:
		o.Each(func(codec string) { produce(o, codec) })
	}
	o.End()
}

func config(o *contract.Options) *sarama.Config {
	c := sarama.NewConfig() // Version stays sarama's default: what most users run
	c.ClientID = o.Client
	c.Net.DialTimeout, c.Net.ReadTimeout = 3*time.Second, 10*time.Second
	c.Metadata.Retry.Max, c.Metadata.Retry.Backoff = 100, 100*time.Millisecond
	return c
}

func produce(o *contract.Options, codec string) {
	codecs := map[string]sarama.CompressionCodec{"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP,
		"snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD}
	c := config(o)
	c.Net.MaxOpenRequests = 1 // sarama asks for it with Idempotent
	c.Producer.Idempotent = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Compression = codecs[codec]
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.Retry.Max, c.Producer.Retry.Backoff = 1000, 100*time.Millisecond
	c.Producer.Return.Successes = true
	p, err := sarama.NewAsyncProducer(o.Bootstrap, c)
	if err != nil {
		contract.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Add(2)
	go func() {
		defer wg.Done()
		for m := range p.Successes() {
			o.Ack(codec, m.Partition, m.Metadata.(int), m.Offset)
		}
	}()
	go func() {
		defer wg.Done()
		for e := range p.Errors() {
			o.Fail(codec, e.Msg.Partition, e.Msg.Metadata.(int), e.Err)
		}
	}()
	o.Pace(func(partition int32, seq int) {
		p.Input() <- &sarama.ProducerMessage{Topic: o.Topic, Partition: partition, Metadata: seq,
			Value: sarama.ByteEncoder(o.Value(codec, partition, seq))}
	}, nil)
	p.AsyncClose() // delivers what is buffered, then closes both channels
	wg.Wait()
}

func consume(o *contract.Options) {
	c, err := sarama.NewConsumer(o.Bootstrap, config(o))
	if err != nil {
		contract.Fatal(err)
	}
	defer c.Close()
	var wg sync.WaitGroup
	for p, end := range o.Ends {
		if end == 0 {
			continue
		}
		pc, err := c.ConsumePartition(o.Topic, int32(p), 0)
		if err != nil {
			contract.Fatal(err)
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer pc.Close()
			for m := range pc.Messages() {
				o.Rec(m.Partition, m.Offset, m.Value)
				if m.Offset+1 >= end {
					return
				}
			}
		}()
	}
	wg.Wait()
}

// handler processes records in a group. sarama does not tell whether a commit was acknowledged.
type handler struct{ o *contract.Options }

func (h handler) Setup(s sarama.ConsumerGroupSession) error {
	h.o.Own(s.Claims()[h.o.Topic])
	return nil
}

func (h handler) Cleanup(s sarama.ConsumerGroupSession) error {
	h.o.Lose(s.Claims()[h.o.Topic])
	return nil
}

func (h handler) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	for {
		select {
		case m, ok := <-c.Messages():
			if !ok {
				return nil
			}
			h.o.Did(m.Partition, m.Offset)
			s.MarkMessage(m, "")
			s.Commit()
		case <-s.Context().Done():
			return nil
		}
	}
}

func member(o *contract.Options) {
	ctx, stop := contract.UntilTerminated()
	defer stop()
	c := config(o)
	c.Consumer.Group.Session.Timeout, c.Consumer.Group.Heartbeat.Interval = 10*time.Second, 500*time.Millisecond
	c.Consumer.Group.Rebalance.Retry.Max, c.Consumer.Group.Rebalance.Retry.Backoff = 100, 100*time.Millisecond
	c.Consumer.Offsets.Initial, c.Consumer.Offsets.AutoCommit.Enable = sarama.OffsetOldest, false
	var g sarama.ConsumerGroup
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		var err error
		if g, err = sarama.NewConsumerGroup(o.Bootstrap, o.Group, c); err == nil {
			break
		}
		if time.Now().After(deadline) {
			contract.Fatal(err)
		}
	}
	for ctx.Err() == nil {
		if err := g.Consume(ctx, []string{o.Topic}, handler{o}); err != nil {
			log.Print("consume: ", err)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
	if err := g.Close(); err != nil {
		log.Print("close: ", err)
	}
}
