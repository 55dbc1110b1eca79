package groupruns

import (
	"context"
	"flag"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"gokafka/compat_test/clients"
	"gokafka/compat_test/harness"
	"gokafka/compat_test/topic"
)

var (
	churnTime = flag.Duration("churn.time", 15*time.Second, "how long TestGroupChurn lets members come and go")
	churnSeed = flag.Uint64("churn.seed", 1, "the seed of TestGroupChurn")
)

// TestGroupChurn lets members of cooperative groups and of KIP-848's come, leave, and be killed at random, and kills the broker now and then. It is
// judged as TestGroupsThroughFailures is: by the members' own callbacks no partition may have two owners, and every record is processed.
func TestGroupChurn(t *testing.T) {
	target := heavy(t)
	var able []clients.Client
	for _, c := range clients.Members() {
		if strings.HasPrefix(c.Name, "java") || c.Name == "librdkafka" || c.Name == "franz-go" {
			able = append(able, c)
		}
	}
	ready := prepare(t, able)
	b := skips.Started(t, target, harness.Options{Props: map[string]string{
		"group.consumer.session.timeout.ms": "10000", "group.consumer.min.session.timeout.ms": "10000",
		"group.consumer.heartbeat.interval.ms": "500", "group.consumer.min.heartbeat.interval.ms": "500",
	}})
	protocols := []string{"cooperative"}
	if serves(t, b.Addr(), 68) {
		protocols = append(protocols, "consumer")
	}
	var runs []*groupRun
	for _, c := range ready {
		for _, p := range protocols {
			r := &groupRun{client: c, protocol: p, name: "churn-" + c.Name + "-" + p, dir: t.TempDir(), ends: map[*clients.Member]int64{}}
			createTopic(t, b.Addr(), r.name, groupPartitions)
			runs = append(runs, r)
		}
	}
	defer func() {
		for _, r := range runs {
			for _, m := range r.members {
				m.Process.Kill()
			}
		}
	}()
	stop := trickle(t, b.Addr(), runs)
	defer stop()

	rnd := rand.New(rand.NewPCG(*churnSeed, 0))
	done := map[string]int{}
	for until := time.Now().Add(*churnTime); time.Now().Before(until); {
		r := runs[rnd.IntN(len(runs))]
		living := r.living()
		switch what := rnd.IntN(20); {
		case what == 0:
			b.Kill()
			skips.Need(t, b.Start(context.Background()))
			done["broker killed"]++
		case len(living) == 0 || what < 10 && len(living) < 4:
			r.begin(t, b.Addr(), r.protocol)
			done["joined"]++
		default:
			n := living[rnd.IntN(len(living))]
			m := r.members[n]
			skips.Need(t, m.Read())
			if what < 15 && len(m.Events) > 0 { // before, its program may not know yet how to leave
				leave(t, []*groupRun{r}, n)
				done["left"]++
				break
			}
			m.Process.Kill()
			r.ends[m] = time.Now().UnixMilli()
			done["killed"]++
		}
		time.Sleep(time.Duration(rnd.IntN(600)) * time.Millisecond)
	}
	t.Logf("%v", done)
	stop()
	for _, r := range runs {
		if len(r.living()) == 0 {
			r.begin(t, b.Addr(), r.protocol)
		}
	}
	ends := map[string][]int64{}
	for _, r := range runs {
		e, err := topic.Ends(dial(t, b.Addr()), r.name, groupPartitions)
		skips.Need(t, err)
		ends[r.name] = e
	}
	await(t, runs, "the last members process all", func(r *groupRun) bool { return r.processed(ends[r.name]) })
	for _, r := range runs {
		t.Run(r.name, func(t *testing.T) { r.check(t, ends[r.name]) })
	}
}

// living are the numbers of the members that were not ended.
func (r *groupRun) living() (n []int) {
	for i, m := range r.members {
		if _, ended := r.ends[m]; !ended {
			n = append(n, i)
		}
	}
	return n
}
