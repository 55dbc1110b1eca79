package compat_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"gokafka/compat_test/clients"
	"gokafka/compat_test/harness"
	"gokafka/compat_test/history"
)

const (
	recordsPerCodec  = 5000 // 20,000 a client, in four codecs
	clientPartitions = 4
)

// load is how long the clients send and how often the broker is killed meanwhile. Apache is the proof of the harness: it
// takes seconds to come back, so it gets more time and fewer kills.
func load(target harness.Target) (time.Duration, int) {
	if target == harness.Apache {
		return 50 * time.Second, 2
	}
	return 40 * time.Second, 3
}

// TestClientsThroughKills lets six stock clients write, in four codecs each, while the broker is killed by SIGKILL and
// started again. Every acknowledged record must then be there exactly once, where it was acknowledged, in order, and no
// client may have logged a fatal error, one about sequences or one about lost data. kafka-go has no idempotent producer:
// what it repeats may be there twice, and only loss and disorder count. The log is read by franz-go, and by the same
// client where that can read without a group (kafkajs cannot).
func TestClientsThroughKills(t *testing.T) {
	target := heavy(t)
	ready := prepare(t, clients.All())
	b := skips.Started(t, target, harness.Options{})
	dir := t.TempDir()
	duration, kills := load(target)
	var jobs []*clients.Job
	for _, c := range ready {
		createTopic(t, b.Addr(), "compat-"+c.Name, clientPartitions)
		job, err := c.Start(dir, map[string]string{"mode": "produce", "bootstrap": b.Addr(), "topic": "compat-" + c.Name,
			"codecs": strings.Join(clients.Codecs(), ","), "count": fmt.Sprint(recordsPerCodec),
			"partitions": fmt.Sprint(clientPartitions), "millis": fmt.Sprint(duration.Milliseconds())})
		skips.Need(t, err)
		defer job.Process.Kill()
		jobs = append(jobs, job)
	}
	killAndRestart(t, b, duration, kills)
	deadline := time.After(2 * time.Minute)
	for _, j := range jobs {
		select {
		case <-j.Process.Done():
		case <-deadline:
			t.Errorf("%s still runs 2 minutes after the load\n%s", j.Client.Name, j.Process.Tail(4096))
			j.Process.Kill()
		}
	}
	for _, j := range jobs {
		t.Run(j.Client.Name, func(t *testing.T) { checkClient(t, b, j, dir) })
	}
}

// prepare fetches the clients; those that cannot be had are skipped, each in a subtest of its own name.
func prepare(t *testing.T, all []clients.Client) []clients.Client {
	var ready []clients.Client
	for _, c := range all {
		t.Run("prepare "+c.Name, func(t *testing.T) {
			skips.Need(t, c.Prepare())
			ready = append(ready, c)
		})
	}
	if len(ready) == 0 {
		t.Skip("no client could be had")
	}
	return ready
}

// killAndRestart kills the broker at random moments of the load and starts it again.
func killAndRestart(t *testing.T, b *harness.Broker, duration time.Duration, kills int) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	moments := make([]time.Duration, kills)
	for i := range moments { // one in each part of the load, so that they are apart
		part := duration * 8 / 10 / time.Duration(kills)
		moments[i] = duration/10 + part*time.Duration(i) + time.Duration(rnd.Int64N(int64(part)))
	}
	slices.Sort(moments)
	start := time.Now()
	for _, m := range moments {
		time.Sleep(time.Until(start.Add(m))) // the moment is the fault, not a wait for something
		b.Kill()
		down := time.Now()
		skips.Need(t, b.Start(context.Background()))
		t.Logf("killed %v into the load, serving again after %v", m.Round(time.Millisecond), time.Since(down).Round(time.Millisecond))
	}
}

func checkClient(t *testing.T, b *harness.Broker, j *clients.Job, dir string) {
	topic := "compat-" + j.Client.Name
	out, err := j.Output()
	skips.Need(t, err)
	if !out.Ended || j.Process.Err() != nil {
		t.Errorf("did not end well: %v\n%s", j.Process.Err(), j.Process.Tail(4096))
	}
	alarms, err := j.Alarms()
	skips.Need(t, err)
	if len(alarms) > 0 {
		t.Errorf("its log has:\n  %s", strings.Join(alarms, "\n  "))
	}
	// A client without idempotence may write a record again that was written, and be acknowledged twice.
	if want := recordsPerCodec * len(clients.Codecs()); len(out.Acks) < want || j.Client.Idempotent && len(out.Acks) > want {
		t.Errorf("%d of %d records acknowledged", len(out.Acks), want)
	}
	ends, err := endOffsets(dial(t, b.Addr()), topic, clientPartitions)
	skips.Need(t, err)
	h := history.History{Acks: out.Acks, Failures: out.Failures, AtLeastOnce: !j.Client.Idempotent}
	h.Log = readAll(t, b.Addr(), topic, ends)
	report(t, "read by franz-go", &h)
	t.Logf("%d acknowledged, %d in the log", len(h.Acks), len(h.Log))
	if j.Client.Consumes {
		h.Log = consume(t, b, j.Client, topic, ends, dir)
		report(t, "read by itself", &h)
	}
}

func report(t *testing.T, who string, h *history.History) {
	t.Helper()
	if problems := h.Check(); len(problems) > 0 {
		t.Errorf("%s:\n  %s", who, strings.Join(problems, "\n  "))
	}
}

// consume reads a topic with a stock client.
func consume(t *testing.T, b *harness.Broker, c clients.Client, topic string, ends []int64, dir string) []history.Record {
	t.Helper()
	job, err := c.Start(dir, map[string]string{"mode": "consume", "bootstrap": b.Addr(), "topic": topic,
		"partitions": fmt.Sprint(len(ends)), "ends": strings.Trim(strings.ReplaceAll(fmt.Sprint(ends), " ", ","), "[]")})
	skips.Need(t, err)
	defer job.Process.Kill()
	select {
	case <-job.Process.Done():
	case <-time.After(time.Minute):
		t.Errorf("reads still after a minute\n%s", job.Process.Tail(4096))
		return nil
	}
	out, err := job.Output()
	skips.Need(t, err)
	if !out.Ended {
		t.Errorf("did not read to the end: %v\n%s", job.Process.Err(), job.Process.Tail(4096))
	}
	return out.Records
}
