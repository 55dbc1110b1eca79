package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestGroupCommands(t *testing.T) {
	c := cli{t, three(t)}
	c.ok("topic create t u --partitions 2 --replication-factor 3 --config retention.ms=-1") // its records are old
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client := func(opts ...kgo.Opt) *kgo.Client {
		cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(strings.Split(c.servers, ",")...))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		return cl
	}
	p := client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for i := range 20 {
		r := &kgo.Record{Topic: "t", Partition: int32(i % 2), Value: []byte("x"), Timestamp: time.UnixMilli(1_700_000_000_000 + int64(i/2)*1000)}
		if err := p.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	c.ok("group list", "GROUP  TYPE  PROTOCOL  STATE  COORDINATOR\n")
	c.fails("group describe g", "GROUP_ID_NOT_FOUND", "1 of 1 failed")

	m := client(kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.ClientID("reader"), kgo.InstanceID("one"), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.Balancers(kgo.RangeBalancer()))
	for n := 0; n < 20; {
		fs := m.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			t.Fatal(err)
		}
		n += fs.NumRecords()
	}
	if err := m.CommitRecords(ctx, &kgo.Record{Topic: "t", Partition: 0, Offset: 6, LeaderEpoch: -1}); err != nil {
		t.Fatal(err)
	}
	c.ok("group list --state stable --type classic", "g      classic  consumer  Stable")
	if out := c.ok("group list --state empty"); strings.Contains(out, "g  ") {
		t.Errorf("a stable group is among the empty ones:\n%s", out)
	}
	c.ok("group describe g", "Stable  range", "g      t      0          7          10   3    one-", "g      t      1          -          10   -    one-", "reader  /127.0.0.1\n")
	c.ok("group members g", "one       reader", "t-0,t-1")
	var groups []struct {
		Name    string
		Members []struct {
			Instance string
			Assigned []struct {
				Topic     string
				Partition int32
			}
		}
		Offsets []struct{ Committed, Lag *int64 }
	}
	if err := json.Unmarshal([]byte(c.ok("group describe g --json")), &groups); err != nil || len(groups) != 1 || len(groups[0].Members) != 1 ||
		fmt.Sprint(groups[0].Members[0].Assigned) != "[{t 0} {t 1}]" || len(groups[0].Offsets) != 2 || *groups[0].Offsets[0].Lag != 3 || groups[0].Offsets[1].Committed != nil {
		t.Errorf("%+v, %v", groups, err)
	}
	c.fails("group reset g --all-topics --to-earliest", "Stable")
	c.fails("group delete g", "NON_EMPTY_GROUP")
	c.fails("group delete g --topic t", "GROUP_SUBSCRIBED_TO_TOPIC")
	m.Close() // a static member does not leave
	leave := kadm.LeaveGroup("g")
	leave.InstanceIDs("one")
	if resp, err := kadm.NewClient(p).LeaveGroup(ctx, leave); err != nil || resp.Error() != nil {
		t.Fatal(resp, err)
	}
	c.ok("group describe g", "Empty")

	reset := func(how string, want ...string) {
		t.Helper()
		c.ok("group reset g "+how+" --dry-run", append(want, "would be set")...)
		c.ok("group reset g "+how, append(want, " set\n")...)
	}
	reset("--all-topics --to-earliest", "t      0          7     0 ")
	reset("--topic t --to-latest", "t      0          0     10 ", "t      1          -     10 ")
	reset("--topic t:1 --to-offset 4", "t      1          10    4 ")
	reset("--topic t:0+1 --shift-by -2", "t      0          10    8 ", "t      1          4     2 ")
	reset("--topic t --shift-by -5", "t      0          8     3 ", "t      1          2     0 ")
	reset("--topic t --to-offset 1000", "t      0          3     10 ")
	reset("--topic t --to-datetime 2023-11-14T22:13:24Z", "t      0          10    4 ")
	reset("--topic t --by-duration 1s", "t      0          4     10 ")
	reset("--topic t --to-current", "t      0          10    10 ")
	reset("--topic u --to-current", "u      0          -     0 ")
	c.ok("group reset new --topic t --to-earliest", "t      0          -     0 ")
	c.fails("group reset g --to-earliest", "either --topic or --all-topics")
	c.fails("group reset g --topic t", "give one of")
	c.fails("group reset g --topic t --to-latest --to-earliest", "give one of")
	c.fails("group reset g --topic t:x --to-latest", "not a number")
	c.fails("group reset g --topic none --to-latest", "UNKNOWN_TOPIC_OR_PARTITION")
	c.fails("group reset g --topic t:7+0 --to-latest", "UNKNOWN_TOPIC_OR_PARTITION", "t      0          10    10  set", "1 of 2 failed")
	c.fails("group reset g --topic t --to-datetime yesterday", "--to-datetime")

	c.ok("group delete g --topic u", "u-0  deleted")
	c.fails("group delete g --topic u", "nothing is committed")
	c.ok("topic delete t")
	c.eventually("offsets of a deleted topic are gone", func() bool {
		out, _, _ := c.run("group describe new")
		return !strings.Contains(out, "new  ") || strings.Contains(out, "GROUP_ID_NOT_FOUND") || !strings.Contains(out, " t ")
	})
	c.fails("group delete g none", "GROUP_ID_NOT_FOUND")
	c.fails("group nonsense", "unknown command")
}
