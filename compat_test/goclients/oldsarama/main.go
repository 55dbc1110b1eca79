// Command oldsarama is sarama told to speak as to a broker of an old release: it produces messages of magic 0 or 1 in each codec and reads them,
// by arguments bootstrap, topic, release, codecs and count. It prints "rec OFFSET VALUE" for each record it reads.
package main

import (
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

func main() {
	opt := map[string]string{}
	for _, a := range os.Args[1:] {
		k, v, _ := strings.Cut(a, "=")
		opt[k] = v
	}
	sarama.Logger = log.New(os.Stderr, "sarama ", log.LstdFlags)
	if err := run(opt); err != nil {
		log.Fatal("fatal: ", err)
	}
}

func run(opt map[string]string) error {
	release, err := sarama.ParseKafkaVersion(opt["release"])
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(opt["count"])
	if err != nil {
		return err
	}
	c := sarama.NewConfig()
	c.Version, c.ApiVersionsRequest = release, false
	c.Producer.RequiredAcks, c.Producer.Return.Successes = sarama.WaitForAll, true
	c.Producer.Flush.Messages, c.Producer.Flush.Frequency = 20, 20*time.Millisecond
	codecs := map[string]sarama.CompressionCodec{"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP,
		"snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4}
	sent := 0
	for _, codec := range strings.Split(opt["codecs"], ",") {
		c.Producer.Compression = codecs[codec]
		if err := produce(c, opt, codec, count); err != nil {
			return fmt.Errorf("%s: %w", codec, err)
		}
		sent += count
	}
	return consume(c, opt, sent)
}

func produce(c *sarama.Config, opt map[string]string, codec string, count int) error {
	p, err := sarama.NewSyncProducer([]string{opt["bootstrap"]}, c)
	if err != nil {
		return err
	}
	defer p.Close()
	var batch []*sarama.ProducerMessage
	for i := range count {
		batch = append(batch, &sarama.ProducerMessage{Topic: opt["topic"], Key: sarama.StringEncoder(fmt.Sprint(i)),
			Value: sarama.StringEncoder(fmt.Sprintf("%s|%d|%s", codec, i, strings.Repeat("x", 50)))})
	}
	return p.SendMessages(batch)
}

func consume(c *sarama.Config, opt map[string]string, total int) error {
	consumer, err := sarama.NewConsumer([]string{opt["bootstrap"]}, c)
	if err != nil {
		return err
	}
	defer consumer.Close()
	p, err := consumer.ConsumePartition(opt["topic"], 0, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	defer p.Close()
	for range total {
		select {
		case m := <-p.Messages():
			fmt.Printf("rec %d %s\n", m.Offset, m.Value)
		case <-time.After(20 * time.Second):
			return fmt.Errorf("no more records within 20 s")
		}
	}
	return nil
}
