package compat_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/cluster"
	"gokafka/compat_test/harness"
	"gokafka/compat_test/wire"
)

var updateRacks = flag.Bool("update", false, "record Apache's answers to consumers in racks; only with "+harness.TargetVar+"=apache")

const rackRecords = 200

// Three brokers in three racks answer consumers as Apache's do (KIP-392): whom the leader sends where, what a follower serves, and all of it again when a follower is out
// of the ISR. Then Java's consumer reads from the replica in its rack. The golden comes from Apache 3.9.1: GOKAFKA_COMPAT_TARGET=apache, -update.
func TestConsumersInRacks(t *testing.T) {
	target := heavy(t)
	if *updateRacks && target != harness.Apache {
		t.Fatalf("-update records Apache: set %s=apache", harness.TargetVar)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	c, err := cluster.Start(ctx, t.TempDir(), cluster.Options{Targets: []harness.Target{target, target, target}, Props: map[string]string{
		"broker.rack": "r{id}", "replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector", "replica.lag.time.max.ms": "3000"}})
	skips.Need(t, err)
	defer c.Close()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 30000
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = "t", -1, -1
	ra := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
	ra.Replicas = []int32{0, 1, 2}
	rt.ReplicaAssignment = append(rt.ReplicaAssignment, ra)
	req.Topics = append(req.Topics, rt)
	_, err = req.RequestWith(ctx, c.Client)
	skips.Need(t, err)
	skips.Need(t, c.AwaitComplete(ctx))
	for i := range rackRecords {
		skips.Need(t, c.Client.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: fmt.Appendf(nil, "%d", i)}).FirstErr())
	}
	r := &rackRun{t: t, ctx: ctx, c: c}
	r.awaitHigh(1)
	r.awaitHigh(2)
	got := r.table("all in sync", 0, 1, 2)
	got = append(got, r.session()...)

	if _, err := harness.JavaLibs(); err == nil {
		r.java("r2", 2)
		r.java("r0", -1)
	}
	c.Brokers[1].Kill()
	skips.Need(t, c.AwaitState(ctx, "broker 1 is out of the ISR", func(*cluster.State) bool { return !slices.Contains(r.isr(), 1) }))
	got = append(got, r.table("without broker 1", 0, 2)...)
	compareRacks(t, filepath.Join("testdata", "racks.txt"), strings.Join(got, "\n")+"\n")
}

type rackRun struct {
	t   *testing.T
	ctx context.Context
	c   *cluster.Cluster
}

func (r *rackRun) dial(broker int32) *wire.Conn {
	r.t.Helper()
	return dial(r.t, r.c.Brokers[broker].Addr())
}

func (r *rackRun) isr() []int32 {
	m, err := r.c.Admin.Metadata(r.ctx, "t")
	if err != nil {
		return []int32{1}
	}
	return m.Topics["t"].Partitions[0].ISR
}

// rackFetch is a fetch of partition 0 without a session.
func rackFetch(rack string, offset int64, epoch int32) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.ReplicaID, q.MaxWaitMillis, q.MinBytes, q.MaxBytes, q.SessionEpoch, q.Rack = -1, 100, 1, 1<<20, -1, rack
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic = "t"
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.FetchOffset, rp.PartitionMaxBytes, rp.CurrentLeaderEpoch = offset, 1000, epoch
	rt.Partitions = append(rt.Partitions, rp)
	q.Topics = append(q.Topics, rt)
	return q
}

func told(resp kmsg.Response) string {
	f := resp.(*kmsg.FetchResponse)
	if f.ErrorCode != 0 || len(f.Topics) == 0 {
		return fmt.Sprintf("error %d, %d topics", f.ErrorCode, len(f.Topics))
	}
	p := f.Topics[0].Partitions[0]
	return fmt.Sprintf("error %d, preferred %d, records %t, high watermark %d, last stable %d, start %d, aborted %t", p.ErrorCode, p.PreferredReadReplica, len(p.RecordBatches) > 0,
		p.HighWatermark, p.LastStableOffset, p.LogStartOffset, p.AbortedTransactions != nil)
}

func (r *rackRun) awaitHigh(broker int32) {
	r.t.Helper()
	conn := r.dial(broker)
	skips.Need(r.t, cluster.Await(r.ctx, "a follower knows what is committed", func() error {
		resp, err := conn.Ask(rackFetch("", rackRecords, -1), 12)
		if err != nil {
			return err
		}
		if p := resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]; p.HighWatermark != rackRecords {
			return fmt.Errorf("%s", told(resp))
		}
		return nil
	}))
}

// table asks each broker for consumers of all racks, at several offsets, in the versions around the one that has racks.
func (r *rackRun) table(when string, brokers ...int32) []string {
	r.t.Helper()
	var out []string
	for _, b := range brokers {
		conn := r.dial(b)
		ask := func(version int16, rack string, offset int64, epoch int32) {
			resp, err := conn.Ask(rackFetch(rack, offset, epoch), version)
			skips.Need(r.t, err)
			out = append(out, fmt.Sprintf("%s, broker %d, v%d, rack %q, offset %d, epoch %d: %s", when, b, version, rack, offset, epoch, told(resp)))
		}
		for _, rack := range []string{"", "r0", "r1", "r2", "elsewhere"} {
			for _, offset := range []int64{0, rackRecords - 1, rackRecords, rackRecords + 1} {
				ask(12, rack, offset, -1)
			}
			ask(10, rack, 0, -1)
			ask(11, rack, 0, -1)
		}
		for _, epoch := range []int32{0, 100} { // what a consumer of an earlier and of a later metadata says
			ask(12, "r2", 0, epoch)
		}
		ask(12, "r2", -1, -1)
	}
	return out
}

// session is what an incremental session of a consumer in another rack is told.
func (r *rackRun) session() []string {
	r.t.Helper()
	conn := r.dial(0)
	q := rackFetch("r1", 0, -1)
	q.SessionEpoch = 0
	var out []string
	for i := range 3 {
		resp, err := conn.Ask(q, 12)
		skips.Need(r.t, err)
		out = append(out, fmt.Sprintf("request %d of a session: %s", i, told(resp)))
		q = rackFetch("r1", 0, -1)
		q.Topics, q.SessionID, q.SessionEpoch = nil, resp.(*kmsg.FetchResponse).SessionID, int32(i+1)
	}
	return out
}

// java reads all by Java's consumer in a rack and wants it to have been sent to a replica; -1 = none.
func (r *rackRun) java(rack string, preferred int) {
	r.t.Helper()
	classes, err := harness.JavaClasses("RackConsumer.java")
	skips.Need(r.t, err)
	text, err := exec.CommandContext(r.ctx, "java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", classes, "RackConsumer",
		strings.Join(r.c.Seeds(), ","), "t", rack, fmt.Sprint(rackRecords)).Output()
	skips.Need(r.t, err)
	lines := strings.Fields(strings.ReplaceAll(string(text), "preferred ", "preferred:"))
	for i := range rackRecords {
		if i >= len(lines) || lines[i] != fmt.Sprint(i) {
			r.t.Fatalf("rack %s: record %d is missing among %d lines", rack, i, len(lines))
		}
	}
	want := fmt.Sprintf("preferred:%d", preferred)
	if got := lines[rackRecords:]; len(got) != 1 || !strings.HasPrefix(got[0], want) {
		r.t.Errorf("rack %s: %v, want %s", rack, got, want)
	}
}

func compareRacks(t *testing.T, path, got string) {
	t.Helper()
	if *updateRacks {
		skips.Need(t, os.WriteFile(path, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	skips.Need(t, err)
	a, b := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range max(len(a), len(b)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			t.Errorf("Apache: %s\nhere:   %s", x, y)
		}
	}
}
