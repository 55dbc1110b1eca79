package broker

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gokafka/groups"
)

// lags are the metrics of lag that a broker tells.
func lags(t *testing.T, b *Broker) map[string]float64 {
	t.Helper()
	families, err := b.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "kafka_consumergroup_lag" {
			continue
		}
		for _, m := range f.Metric {
			name := ""
			for _, l := range m.Label { // in the order of their names
				name += l.GetName() + "=" + l.GetValue() + " "
			}
			out[name] = m.Gauge.GetValue()
		}
	}
	return out
}

// The coordinator tells the lag of its groups, also in partitions that others lead; those of a leader that is gone are left out until there is another.
func TestGroupLag(t *testing.T) {
	c := startCluster(t, 3, map[string]string{"offsets.topic.num.partitions": "3", "offsets.topic.replication.factor": "3"})
	c.create("t", 6, 2, nil)
	cl := c.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	adm := kadm.NewClient(cl)
	for p := range int32(6) {
		for range 10 {
			if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Partition: p, Value: []byte("x")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	offsets := kadm.Offsets{}
	for p := range int32(6) {
		offsets.AddOffset("t", p, int64(p), -1)
	}
	for _, g := range []string{"a", "b", "c", "d"} {
		c.eventually("the coordinator is there", func() bool { return adm.CommitAllOffsets(t.Context(), g, offsets) == nil })
	}
	leader := func(g string) int {
		return int(c.state("__consumer_offsets", groups.PartitionFor(g, 3)).Leader)
	}
	for _, g := range []string{"a", "b", "c", "d"} {
		for id, b := range c.brokers {
			got := lags(t, b)
			for p := range 6 {
				name := fmt.Sprintf("consumergroup=%s partition=%d topic=t ", g, p)
				lag, told := got[name]
				if told != (id == leader(g)) || told && lag != float64(10-p) {
					t.Errorf("broker %d, coordinator %d: %s%v, %v", id, leader(g), name, lag, told)
				}
			}
		}
	}
	coordinator := leader("a")
	c.kill((coordinator + 1) % 3)
	c.eventually("all lags are told again", func() bool {
		n := 0
		for p := range 6 {
			if lags(t, c.brokers[coordinator])[fmt.Sprintf("consumergroup=a partition=%d topic=t ", p)] == float64(10-p) {
				n++
			}
		}
		return n == 6
	})
}
