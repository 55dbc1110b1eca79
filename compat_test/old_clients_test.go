package compat_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/harness"
)

// release is an old release of a client, or that a client is told to find.
type release struct {
	version string
	codecs  string
	times   bool // its messages have them: magic 1
}

const beforeLZ4, withLZ4 = "none,gzip,snappy", "none,gzip,snappy,lz4"

const oldRecords = 200 // in each codec

// TestOldClients lets clients of old releases, or told that the broker is one, write in the formats before batches and read in them. Each record must
// be there once, in order, for them and for a client of today.
func TestOldClients(t *testing.T) {
	target := heavy(t)
	b := skips.Started(t, target, harness.Options{})
	for _, r := range []release{{"0.8.2.2", beforeLZ4, false}, {"0.9.0.1", beforeLZ4, false}, {"0.10.0.1", withLZ4, true}, {"0.10.2.1", withLZ4, true}} {
		t.Run("sarama for "+r.version, func(t *testing.T) {
			bin, err := harness.GoClient("oldsarama")
			skips.Need(t, err)
			topic := oldTopic(t, b)
			r.check(t, "sarama", runOld(t, exec.Command(bin), b, topic, r, "release="+r.version))
			r.checkToday(t, b, topic)
		})
	}
	for _, r := range []release{{"0.9.0", withLZ4, false}, {"0.10.0", withLZ4, true}, {"0.10.2", withLZ4, true}} {
		t.Run("librdkafka for "+r.version, func(t *testing.T) {
			py, err := harness.Python()
			skips.Need(t, err)
			src, err := harness.SourceDir()
			skips.Need(t, err)
			topic := oldTopic(t, b)
			r.check(t, "librdkafka", runOld(t, exec.Command(py, filepath.Join(src, "python", "old.py")), b, topic, r, "release="+r.version))
			r.checkToday(t, b, topic)
		})
	}
	// The first two need another lz4 library than the pinned one.
	for _, r := range []release{{"0.8.2.2", beforeLZ4, false}, {"0.9.0.1", beforeLZ4, false}, {"0.10.0.1", withLZ4, true}, {"0.10.2.2", withLZ4, true}, {"0.11.0.3", withLZ4, true}} {
		t.Run("Java "+r.version, func(t *testing.T) {
			classes, err := harness.JavaClient(r.version, "OldProducer.java")
			skips.Need(t, err)
			topic := oldTopic(t, b)
			runOld(t, java(classes, "OldProducer"), b, topic, r)
			r.checkToday(t, b, topic)
			// Consumers before 0.10.2 want a group coordinator even without a group; that of 0.10.2 reads by Fetch 3, that of 0.11 by Fetch 5.
			for _, reader := range []string{"0.10.2.2", "0.11.0.3"} {
				classes, err := harness.JavaClient(reader, "OldConsumer.java")
				skips.Need(t, err)
				r.check(t, "Java "+reader, runOld(t, java(classes, "OldConsumer"), b, topic, r, fmt.Sprintf("total=%d", r.total())))
			}
		})
	}
}

func (r release) total() int { return oldRecords * len(strings.Split(r.codecs, ",")) }

func java(classPath, class string) *exec.Cmd {
	return exec.Command("java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classPath, class)
}

func oldTopic(t *testing.T, b *harness.Broker) string {
	t.Helper()
	topic := "old-" + strings.Map(func(r rune) rune {
		if r == ' ' || r == '/' {
			return '-'
		}
		return r
	}, t.Name())
	createTopic(t, b.Addr(), topic, 1)
	return topic
}

// runOld runs a client and returns the records it read.
func runOld(t *testing.T, cmd *exec.Cmd, b *harness.Broker, topic string, r release, args ...string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd.Args = append(cmd.Args, append(args, "bootstrap="+b.Addr(), "topic="+topic, "codecs="+r.codecs, fmt.Sprintf("count=%d", oldRecords))...)
	bound := exec.CommandContext(ctx, cmd.Path, cmd.Args[1:]...)
	var out, log bytes.Buffer
	bound.Stdout, bound.Stderr = &out, &log
	if err := bound.Run(); err != nil {
		tail := log.String()
		t.Fatalf("%v: %s", errors.Join(err, ctx.Err()), tail[max(0, len(tail)-2000):])
	}
	return strings.Split(strings.TrimSpace(out.String()), "\n")
}

// check says whether lines "rec OFFSET VALUE" are all records, once and in order.
func (r release) check(t *testing.T, reader string, lines []string) {
	t.Helper()
	i := 0
	for _, codec := range strings.Split(r.codecs, ",") {
		for n := range oldRecords {
			if want := fmt.Sprintf("rec %d %s|%d|", i, codec, n); i >= len(lines) || !strings.HasPrefix(lines[i], want) {
				got := "nothing"
				if i < len(lines) {
					got = lines[i]
				}
				t.Fatalf("%s: %q, want %q", reader, got, want)
			}
			i++
		}
	}
	if i != len(lines) {
		t.Fatalf("%s: %d records, want %d", reader, len(lines), i)
	}
}

// checkToday reads a topic by franz-go, and sees by the largest time whether its records came in the format of the release.
func (r release) checkToday(t *testing.T, b *harness.Broker, topic string) {
	t.Helper()
	c := dial(t, b.Addr())
	ends, err := endOffsets(c, topic, 1)
	skips.Need(t, err)
	var lines []string
	for _, rec := range readAll(t, b.Addr(), topic, ends) {
		lines = append(lines, fmt.Sprintf("rec %d %s", rec.Offset, rec.Value))
	}
	r.check(t, "franz-go", lines)
	req := kmsg.NewPtrListOffsetsRequest()
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp = -3
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic, rt.Partitions = topic, append(rt.Partitions, p)
	req.ReplicaID, req.Topics = -1, append(req.Topics, rt)
	resp, err := c.Ask(req, 7)
	skips.Need(t, err)
	if got := resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]; got.ErrorCode != 0 || got.Timestamp >= 0 != r.times {
		t.Errorf("the largest time is %d, error %d", got.Timestamp, got.ErrorCode)
	}
}
