package compat_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/cluster"
	"gokafka/compat_test/harness"
)

// One gokafka among two Apache brokers, under idempotent load: it registers, follows, leads, becomes controller when Apache's dies, tells Apache's
// brokers what to do, and hands everything back when it is stopped. A request with its fields in the wrong order shows here and nowhere else.
func TestOneAmongApaches(t *testing.T) {
	if heavy(t) == harness.Apache {
		t.Skip("the cluster has both programs")
	}
	_, err := harness.JavaLibs()
	skips.Need(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	c, err := cluster.Start(ctx, t.TempDir(), cluster.Options{Targets: []harness.Target{harness.Apache, harness.Apache, harness.Gokafka}})
	skips.Need(t, err)
	defer c.Close()
	const topic, partitions, own = "mixed", 6, int32(2)
	step := func(what string, err error) {
		t.Helper()
		if err == nil {
			return
		}
		for _, b := range c.Brokers {
			t.Logf("end of the log of broker %d:\n%s", b.ID, b.Process().Tail(6000))
		}
		t.Fatalf("%s: %v", what, err)
	}
	step("create, by Apache's controller", c.CreateTopic(ctx, topic, partitions, nil))
	w, err := c.Write(ctx, topic, partitions)
	skips.Need(t, err)
	defer w.Stop()
	all := make([]int32, partitions)
	for p := range all {
		all[p] = int32(p)
	}
	step("writes", w.AwaitSince(ctx, time.Now(), all))
	s, err := c.State(ctx)
	skips.Need(t, err)
	if s.Controller == own || len(s.Leads[topic][own]) == 0 {
		t.Fatalf("gokafka was to lead and not to be controller: %+v", s)
	}

	// Apache's controller dies, then the other Apache broker: what is left of the office comes to gokafka.
	for s.Controller != own {
		victim := s.Controller
		killed := time.Now()
		c.Brokers[victim].Kill()
		step("writes go on without a controller of Apache's", w.AwaitSince(ctx, killed, all))
		step("another controller", c.AwaitState(ctx, "controller", func(n *cluster.State) bool { s = n; return n.Controller >= 0 && n.Controller != victim }))
		t.Logf("the controller was %d, is %d", victim, s.Controller)
		step("restart", c.Brokers[victim].Start(ctx))
		step("in sync again", c.AwaitComplete(ctx))
	}
	for i := range 2 {
		name := fmt.Sprintf("made-by-gokafka-%d", i)
		step("create, by gokafka's controller", c.CreateTopic(ctx, name, 3, nil))
		_, err := c.Admin.DeleteTopics(ctx, name)
		step("delete", err)
	}

	refusesFeatures(t, c.Brokers[own].Addr())

	// Handing back: nothing is lost on the way, and Apache takes the office and the leaders.
	stopped := time.Now()
	step("clean stop", c.Brokers[own].Stop(ctx))
	step("the office is back", c.AwaitState(ctx, "controller", func(n *cluster.State) bool {
		return n.Controller >= 0 && n.Controller != own && len(n.Leads[topic][own])+len(n.Leads[topic][-1]) == 0
	}))
	step("writes without gokafka", w.AwaitSince(ctx, stopped, all))
	step("start", c.Brokers[own].Start(ctx))
	step("in sync again", c.AwaitComplete(ctx))
	w.Stop()
	step("producers", c.SameProducers(ctx, topic, partitions))
	problems, n, err := w.Check(ctx, c)
	skips.Need(t, err)
	for _, p := range problems {
		t.Error(p)
	}
	t.Logf("%d records acknowledged", n)
}

// refusesFeatures: while Apache 3.9 brokers are registered, which would exit, no feature is finalized.
func refusesFeatures(t *testing.T, addr string) {
	t.Helper()
	b := dial(t, addr)
	q := kmsg.NewPtrUpdateFeaturesRequest()
	q.FeatureUpdates = []kmsg.UpdateFeaturesRequestFeatureUpdate{{Feature: "transaction.version", MaxVersionLevel: 2, UpgradeType: 1}}
	resp, err := b.Ask(q, 1)
	skips.Need(t, err)
	if r := resp.(*kmsg.UpdateFeaturesResponse); r.ErrorCode != 0 || len(r.Results) != 1 || r.Results[0].ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("a feature that Apache's brokers lack: %+v", r)
	}
	v := kmsg.NewPtrApiVersionsRequest()
	v.ClientSoftwareName, v.ClientSoftwareVersion = "test", "1"
	resp, err = b.Ask(v, 4)
	skips.Need(t, err)
	if r := resp.(*kmsg.ApiVersionsResponse); r.FinalizedFeaturesEpoch != 0 || len(r.FinalizedFeatures) != 0 { // the version of /feature since it was made
		t.Errorf("finalized, of epoch %d: %+v", r.FinalizedFeaturesEpoch, r.FinalizedFeatures)
	}
}
