// Command kafkago is the segmentio/kafka-go client of the suite. It has no idempotent producer: its Writer sends with
// acks=all and repeats what was not answered, so a record may be there twice.
package main

import (
	"context"
	"log"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"gokafka/compat_test/goclients/contract"
)

func main() {
	o := contract.Parse()
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

// produce has a writer a partition, and one write at a time in each: the order of records then survives repeats.
func produce(o *contract.Options, codec string) {
	codecs := map[string]kafka.Compression{"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd}
	queues := make([]chan []kafka.Message, o.Partitions)
	pending := make([][]kafka.Message, o.Partitions)
	var wg sync.WaitGroup
	for p := range queues {
		queues[p] = make(chan []kafka.Message, o.Count)
		w := &kafka.Writer{
			Addr: kafka.TCP(o.Bootstrap...), Topic: o.Topic, RequiredAcks: kafka.RequireAll, Compression: codecs[codec],
			Balancer:     kafka.BalancerFunc(func(kafka.Message, ...int) int { return p }),
			BatchTimeout: 5 * time.Millisecond, WriteTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second,
			MaxAttempts: 3, ErrorLogger: log.New(os.Stderr, "kafka-go ", log.LstdFlags),
			Completion: func(ms []kafka.Message, err error) {
				for _, m := range ms {
					if seq, e := strconv.Atoi(string(m.Key)); err == nil && e == nil {
						o.Ack(codec, int32(m.Partition), seq, m.Offset)
					}
				}
			},
		}
		wg.Add(1)
		go func() { defer wg.Done(); write(w, queues[p]) }()
	}
	o.Pace(func(p int32, seq int) {
		pending[p] = append(pending[p], kafka.Message{Key: []byte(strconv.Itoa(seq)), Value: o.Value(codec, p, seq)})
	}, func() {
		for p, ms := range pending {
			if len(ms) > 0 {
				queues[p] <- ms
			}
			pending[p] = nil
		}
	})
	for _, q := range queues {
		close(q)
	}
	wg.Wait()
}

func write(w *kafka.Writer, queue <-chan []kafka.Message) {
	deadline := time.Now().Add(5 * time.Minute)
	for ms := range queue {
		for {
			err := w.WriteMessages(context.Background(), ms...)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				contract.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	if err := w.Close(); err != nil {
		contract.Fatal(err)
	}
}

func consume(o *contract.Options) {
	var wg sync.WaitGroup
	for p, end := range o.Ends {
		if end == 0 {
			continue
		}
		r := kafka.NewReader(kafka.ReaderConfig{Brokers: o.Bootstrap, Topic: o.Topic, Partition: p, MinBytes: 1,
			MaxBytes: 1 << 20, ErrorLogger: log.New(os.Stderr, "kafka-go ", log.LstdFlags)})
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer r.Close()
			for {
				m, err := r.ReadMessage(context.Background())
				if err != nil {
					contract.Fatal(err)
				}
				o.Rec(int32(m.Partition), m.Offset, m.Value)
				if m.Offset+1 >= end {
					return
				}
			}
		}()
	}
	wg.Wait()
}

// member reads in a group with version 0 of most of its requests, on one connection to the coordinator. Reader has no
// callbacks for assignments, and it does not tell of commits: one that waits while the group rebalances is sent as of the next generation, after the
// partition's new owner has been told where to read.
func member(o *contract.Options) {
	ctx, stop := contract.UntilTerminated()
	defer stop()
	logger := log.New(os.Stderr, "kafka-go ", log.LstdFlags)
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: o.Bootstrap, GroupID: o.Group, Topic: o.Topic, MinBytes: 1, MaxBytes: 1 << 20,
		MaxWait: 200 * time.Millisecond, StartOffset: kafka.FirstOffset, SessionTimeout: 10 * time.Second, HeartbeatInterval: 500 * time.Millisecond,
		RebalanceTimeout: 10 * time.Second, JoinGroupBackoff: 200 * time.Millisecond, Logger: logger, ErrorLogger: logger})
	for ctx.Err() == nil {
		m, err := r.FetchMessage(ctx)
		if err != nil {
			if ctx.Err() == nil {
				logger.Print("fetch: ", err)
				time.Sleep(100 * time.Millisecond)
			}
			continue
		}
		o.Did(int32(m.Partition), m.Offset)
		if err := r.CommitMessages(ctx, m); err != nil {
			logger.Print("commit: ", err)
		}
	}
	if err := r.Close(); err != nil {
		logger.Print("close: ", err)
	}
}
