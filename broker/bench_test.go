package broker

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/config"
	"gokafka/record"
)

// benchBroker is a broker with a topic "bench" of one partition, and a raw connection to it.
func benchBroker(b *testing.B) net.Conn {
	b.Helper()
	cfg, err := config.NewBroker(map[string]string{"broker.id": "0", "listeners": "PLAINTEXT://127.0.0.1:0", "log.dirs": b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	br, err := Start(b.Context(), Options{Config: cfg})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { br.Stop(b.Context()) })
	cl, err := kgo.NewClient(kgo.SeedBrokers(br.addr(0)))
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(b.Context(), 1, 1, nil, "bench"); err != nil {
		b.Fatal(err)
	}
	c, err := net.Dial("tcp", br.addr(0))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return c
}

func produceFrame(b *testing.B, records, size int) []byte {
	b.Helper()
	bld := record.NewBuilder(record.NewBatchSpec())
	for i := range records {
		if err := bld.AppendAt(int64(i), 1_700_000_000_000, nil, make([]byte, size)); err != nil {
			b.Fatal(err)
		}
	}
	batch, _, err := bld.Build(nil, record.NewCodecs())
	if err != nil {
		b.Fatal(err)
	}
	q := kmsg.NewProduceRequest()
	q.Version, q.Acks, q.TimeoutMillis = 9, -1, 30_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = "bench"
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = batch
	t.Partitions = append(t.Partitions, p)
	q.Topics = append(q.Topics, t)
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("bench")).AppendRequest(nil, &q, 1)
}

func skipAnswer(r io.Reader, buf []byte) error {
	if _, err := io.ReadFull(r, buf[:4]); err != nil {
		return err
	}
	_, err := io.ReadFull(r, buf[:binary.BigEndian.Uint32(buf)])
	return err
}

// BenchmarkProduce sends batches with acks=all, five in flight. Allocations are those of the whole process, the client of the benchmark included.
func BenchmarkProduce(b *testing.B) {
	for _, shape := range []struct{ records, size int }{{64, 1024}, {10, 100}} {
		b.Run(fmt.Sprintf("%dx%dB", shape.records, shape.size), func(b *testing.B) {
			c := benchBroker(b)
			frame := produceFrame(b, shape.records, shape.size)
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			b.ResetTimer()
			done := make(chan error, 1)
			slots := make(chan struct{}, 5)
			go func() {
				buf := make([]byte, 1<<16)
				for range b.N {
					if err := skipAnswer(c, buf); err != nil {
						done <- err
						return
					}
					<-slots
				}
				done <- nil
			}()
			for range b.N {
				slots <- struct{}{}
				if _, err := c.Write(frame); err != nil {
					b.Fatal(err)
				}
			}
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkFetch reads 1 MiB at a time.
func BenchmarkFetch(b *testing.B) {
	c := benchBroker(b)
	frame := produceFrame(b, 64, 1024)
	buf := make([]byte, 2<<20)
	for range 64 {
		if _, err := c.Write(frame); err != nil {
			b.Fatal(err)
		}
		if err := skipAnswer(c, buf); err != nil {
			b.Fatal(err)
		}
	}
	q := kmsg.NewFetchRequest()
	q.Version, q.MaxWaitMillis, q.MinBytes, q.MaxBytes, q.SessionEpoch = 12, 100, 1, 2<<20, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic = "bench"
	p := kmsg.NewFetchRequestTopicPartition()
	p.PartitionMaxBytes = 1 << 20
	t.Partitions = append(t.Partitions, p)
	q.Topics = append(q.Topics, t)
	ask := kmsg.NewRequestFormatter().AppendRequest(nil, &q, 1)
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if _, err := c.Write(ask); err != nil {
			b.Fatal(err)
		}
		if err := skipAnswer(c, buf); err != nil {
			b.Fatal(err)
		}
	}
}
