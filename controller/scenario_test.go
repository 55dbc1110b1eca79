package controller

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/coordination"
	"gokafka/coordination/znode"
	"gokafka/metadata"
)

var update = flag.Bool("update", false, "rewrite the scenarios' outputs; change one only if you can say why")

// TestScenarios runs testdata/*.txt: lines of commands, "----", and what the cluster looks like in the end. The look is
// repeated until it is as expected, so timing does not matter; what must never happen in between is tested elsewhere.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			out := runScenario(t, string(text))
			if *update {
				if err := os.WriteFile(f, []byte(out), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func runScenario(t *testing.T, text string) string {
	tc := newTestCluster(t)
	var out strings.Builder
	blocks := strings.Split(strings.TrimRight(text, "\n"), "\n\n")
	for _, block := range blocks {
		head, want, ok := strings.Cut(block, "\n----\n")
		if !ok {
			if head, ok = strings.CutSuffix(block, "\n----"); !ok { // a comment
				fmt.Fprintf(&out, "%s\n\n", block)
				continue
			}
		}
		var said []func() string
		for line := range strings.Lines(head) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				if s := tc.command(strings.Fields(line)); s != nil {
					said = append(said, s)
				}
			}
		}
		look := func() string {
			var lines []string
			for _, f := range said {
				lines = append(lines, f())
			}
			return strings.TrimRight(strings.Join(append(lines, tc.show()), "\n"), "\n")
		}
		got := look()
		if *update {
			time.Sleep(time.Second)
			got = look()
		}
		for deadline := time.Now().Add(20 * time.Second); got != want && !*update; got = look() {
			if time.Now().After(deadline) {
				t.Fatalf("after\n%s\ngot\n%s\nwant\n%s", head, got, want)
			}
			time.Sleep(5 * time.Millisecond)
		}
		fmt.Fprintf(&out, "%s\n----\n%s\n\n", head, got)
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

// command carries out one line and returns what shows its outcome, if anything does.
func (tc *testCluster) command(w []string) func() string {
	t, ctx := tc.t, tc.t.Context()
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%v: %v", w, err)
		}
	}
	switch w[0] {
	case "start":
		for _, id := range idList(w[1]) {
			tc.start(id)
		}
	case "control": // these brokers stand for election, one after the other
		for _, id := range idList(w[1]) {
			tc.brokers[id].control()
			tc.awaitController()
		}
	case "stop":
		for _, id := range idList(w[1]) {
			tc.brokers[id].stop()
		}
	case "expire":
		must(tc.brokers[idList(w[1])[0]].link.Expire(ctx))
	case "cut": // the session dies on the server, and its owner does not learn it
		tc.brokers[idList(w[1])[0]].link.CutAndExpire(ctx)
	case "restore":
		tc.brokers[idList(w[1])[0]].link.Restore()
	case "topic":
		tc.createTopic(w[1], lists(w[2:])...)
	case "partitions":
		topic, _, err := znode.ReadTopic(ctx, tc.g(), w[1])
		must(err)
		for _, r := range lists(w[2:]) {
			topic.Partitions[int32(len(topic.Partitions))] = znode.Assignment{Replicas: r}
		}
		must(znode.SetTopicUnchecked(ctx, tc.g(), topic))
	case "config":
		_, err := tc.g().Set(ctx, znode.EntityPath(znode.TopicEntity, w[1]), znode.EncodeConfig(map[string]string{w[2]: w[3]}), coordination.AnyVersion)
		must(err)
	case "delete":
		must(znode.MarkForDeletion(ctx, tc.g(), w[1]))
	case "shutdown":
		id := idList(w[1])[0]
		return tc.api(func(c *Controller) (any, error) {
			return c.ControlledShutdown(ctx, id, tc.brokers[id].registered.Epoch)
		})
	case "isr": // isr t-0 1,2: its leader asks for this ISR
		return constant(tc.isr(w[1], idList(w[2])))
	case "elect":
		kind := map[string]ElectionType{"preferred": ElectPreferred, "unclean": ElectUnclean}[w[1]]
		return tc.api(func(c *Controller) (any, error) {
			rs, err := c.ElectLeaders(ctx, kind, tps(w[2:]))
			var out []string
			for _, tp := range slices.SortedFunc(maps.Keys(rs), compareTP) {
				out = append(out, fmt.Sprintf("%v %s", tp, said(rs[tp].Leader, rs[tp].Err)))
			}
			return strings.Join(out, ", "), err
		})
	case "reassign", "cancel":
		targets := map[metadata.TopicPartition][]int32{}
		if targets[tps(w[1:2])[0]] = nil; w[0] == "reassign" {
			targets[tps(w[1:2])[0]] = idList(w[2])
		}
		return tc.api(func(c *Controller) (any, error) {
			rs, err := c.AlterPartitionReassignments(ctx, targets)
			return said("accepted", rs[tps(w[1:2])[0]]), err
		})
	case "reassignments":
		return func() string {
			return tc.api(func(c *Controller) (any, error) { return c.ListPartitionReassignments(ctx, nil) })()
		}
	case "zk-reassign":
		must(tc.g().CreateAll(ctx, znode.ReassignPartitionsPath, znode.EncodeReassignments(map[metadata.TopicPartition][]int32{tps(w[1:2])[0]: idList(w[2])})))
	case "zk-elect":
		must(tc.g().CreateAll(ctx, znode.PreferredElectionPath, znode.EncodePartitions(tps(w[1:]))))
	case "baddir", "gooddir":
		b := tc.brokers[idList(w[1])[0]]
		b.mu.Lock()
		for _, tp := range tps(w[2:]) {
			b.failedDir[tp] = w[0] == "baddir"
		}
		b.mu.Unlock()
		must(znode.NotifyLogDirFailure(ctx, tc.g(), b.id))
	case "cannotstop":
		b := tc.brokers[idList(w[1])[0]]
		b.mu.Lock()
		b.cannotStop = w[2] == "on"
		b.mu.Unlock()
	case "children":
		return func() string {
			names, err := tc.g().Children(ctx, w[1])
			must(err)
			return fmt.Sprintf("%s has %v", w[1], slices.Sorted(slices.Values(names)))
		}
	default:
		t.Fatalf("unknown command %v", w)
	}
	return nil
}

func constant(s string) func() string { return func() string { return s } }

func (tc *testCluster) awaitController() *Controller {
	tc.t.Helper()
	var c *Controller
	eventually(tc.t, "a controller is active", func() bool {
		c = nil
		cur, ok, err := znode.ReadController(tc.t.Context(), tc.g(), false)
		for _, b := range tc.sorted() {
			if b.c != nil && b.c.IsActive() && err == nil && ok && cur.BrokerID == b.id {
				c = b.c
			}
		}
		return c != nil
	})
	return c
}

func (tc *testCluster) api(f func(*Controller) (any, error)) func() string {
	c := tc.awaitController()
	v, err := within(tc.t, func() (any, error) { return f(c) })
	return constant(said(v, err))
}

func said(v any, err error) string {
	if k := kerrOf(err); k != nil {
		return k.Message
	}
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(v)
}

func (tc *testCluster) isr(name string, isr []int32) string {
	tp := tps([]string{name})[0]
	st := tc.states()[tp]
	topic, _, err := znode.ReadTopic(tc.t.Context(), tc.g(), tp.Topic)
	if err != nil {
		tc.t.Fatal(err)
	}
	b := tc.brokers[st.Leader]
	if b == nil {
		return "nobody leads"
	}
	var rs []AlterPartitionResult
	eventually(tc.t, "the controller knows the partition", func() bool {
		rs, err = tc.awaitController().AlterPartition(tc.t.Context(), AlterPartitionRequest{
			BrokerID: b.id, BrokerEpoch: b.registered.Epoch, Partitions: []AlterPartition{{
				TopicID: topic.ID, Partition: tp.Partition, LeaderEpoch: st.LeaderEpoch, ISR: isr, PartitionEpoch: st.PartitionEpoch,
			}},
		})
		return err == nil && !errors.Is(rs[0].Err, kerr.NotController) && !errors.Is(rs[0].Err, kerr.UnknownTopicID) || errors.Is(err, context.Canceled)
	})
	if err != nil {
		return said("", err)
	}
	return said("ok", rs[0].Err)
}

func idList(s string) []int32 {
	var out []int32
	for f := range strings.SplitSeq(s, ",") {
		id, err := strconv.ParseInt(f, 10, 32)
		if err != nil {
			panic(err)
		}
		out = append(out, int32(id))
	}
	return out
}

func lists(ss []string) [][]int32 {
	out := make([][]int32, len(ss))
	for i, s := range ss {
		out[i] = idList(s)
	}
	return out
}

func tps(names []string) []metadata.TopicPartition {
	var out []metadata.TopicPartition
	for _, n := range names {
		i := strings.LastIndexByte(n, '-')
		p, err := strconv.ParseInt(n[i+1:], 10, 32)
		if err != nil {
			panic(err)
		}
		out = append(out, metadata.TopicPartition{Topic: n[:i], Partition: int32(p)})
	}
	return out
}
