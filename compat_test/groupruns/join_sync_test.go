package groupruns

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/clients"
	"gokafka/compat_test/harness"
	"gokafka/compat_test/topic"
	"gokafka/compat_test/wire"
)

// TestCoordinatorDiesBetweenJoinAndSync lets a third member join a group, and kills the broker when the first SyncGroup of the rebalance arrives. The two members
// that the group's stored generation has are known to the next coordinator by their ids: they keep them, and all three go on. kafka-go and kafkajs are not among the
// clients: they give up their id themselves when SyncGroup fails, whatever the broker.
func TestCoordinatorDiesBetweenJoinAndSync(t *testing.T) {
	target := heavy(t)
	ready := prepare(t, slices.DeleteFunc(clients.Members(), func(c clients.Client) bool { return c.Name == "kafka-go" || c.Name == "kafkajs" }))
	b, err := harness.NewBroker(target, t.TempDir(), harness.Options{})
	skips.Need(t, err)
	defer b.Close()
	trap := &syncTrap{sprung: make(chan struct{}, 1), seen: map[string]int32{}}
	proxy, err := wire.NewProxy(b.Addr(), trap.see)
	skips.Need(t, err)
	defer proxy.Close()
	b.Set("advertised.listeners", "PLAINTEXT://"+proxy.Addr())
	skips.Need(t, b.Start(context.Background()))

	var runs []*groupRun
	for _, c := range ready {
		p := "eager"
		if c.Name == "java" || c.Name == "librdkafka" {
			p = "cooperative"
		}
		r := &groupRun{client: c, protocol: p, name: "sync-" + c.Name + "-" + p, dir: t.TempDir(), ends: map[*clients.Member]int64{}}
		createTopic(t, b.Addr(), r.name, groupPartitions)
		runs = append(runs, r)
	}
	defer func() {
		for _, r := range runs {
			for _, m := range r.members {
				m.Process.Kill()
			}
		}
	}()
	stop := trickle(t, proxy.Addr(), runs)
	defer stop()
	for range 2 {
		for _, r := range runs {
			r.begin(t, proxy.Addr(), r.protocol)
		}
	}
	await(t, runs, "two members process", func(r *groupRun) bool { return did(r.members[0], 0) && did(r.members[1], 0) })

	for _, r := range runs {
		before := stableMembers(t, b.Addr(), r.name, 2)
		trap.set(r.name, b.Kill)
		r.begin(t, proxy.Addr(), r.protocol)
		select {
		case <-trap.sprung:
		case <-time.After(2 * time.Minute):
			t.Fatalf("%s: no SyncGroup", r.name)
		}
		skips.Need(t, b.Start(context.Background()))
		back := time.Now().UnixMilli()
		after := stableMembers(t, b.Addr(), r.name, 3)
		for id := range before {
			if !after[id] {
				t.Errorf("%s: %s is not among %v", r.name, id, slices.Sorted(maps.Keys(after)))
			}
		}
		await(t, []*groupRun{r}, "all three go on", func(r *groupRun) bool {
			return did(r.members[0], back) && did(r.members[1], back) && did(r.members[2], back)
		})
	}
	stop()
	ends := map[string][]int64{}
	for _, r := range runs {
		e, err := topic.Ends(dial(t, b.Addr()), r.name, groupPartitions)
		skips.Need(t, err)
		ends[r.name] = e
	}
	await(t, runs, "the members process all", func(r *groupRun) bool { return r.processed(ends[r.name]) })
	for _, r := range runs {
		t.Run(r.name, func(t *testing.T) { r.check(t, ends[r.name]) })
	}
}

// syncTrap calls act when a SyncGroup of a group's next generation arrives, instead of letting it pass.
type syncTrap struct {
	sprung chan struct{}

	mu    sync.Mutex
	seen  map[string]int32 // the highest generation of each group
	group string
	act   func()
}

// set arms the trap for the first SyncGroup of group beyond the generations seen.
func (s *syncTrap) set(group string, act func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.group, s.act = group, act
}

func (s *syncTrap) see(frame []byte) bool {
	req, err := wire.ParseRequest(frame)
	if err != nil {
		return true // what the proxy does not know is the broker's
	}
	r, ok := req.(*kmsg.SyncGroupRequest)
	if !ok {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	news := r.Generation > s.seen[r.Group]
	s.seen[r.Group] = max(s.seen[r.Group], r.Generation)
	if s.act == nil || r.Group != s.group || !news {
		return true
	}
	s.act()
	s.act = nil
	s.sprung <- struct{}{}
	return false
}

// stableMembers waits until the group is stable with n members, and returns their ids.
func stableMembers(t *testing.T, addr, group string, n int) map[string]bool {
	t.Helper()
	c := dial(t, addr)
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		q := kmsg.NewPtrDescribeGroupsRequest()
		q.Groups = []string{group}
		resp, err := c.Ask(q, 5)
		skips.Need(t, err)
		g := resp.(*kmsg.DescribeGroupsResponse).Groups[0]
		if g.ErrorCode != 0 || g.State != "Stable" || len(g.Members) != n {
			continue
		}
		ids := map[string]bool{}
		for _, m := range g.Members {
			ids[m.MemberID] = true
		}
		return ids
	}
	t.Fatalf("%s: not stable with %d members", group, n)
	return nil
}
