package broker

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// lockedBuffer is a log of several brokers.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Leaders that moved away when their broker died come back to it by themselves once it is in sync, where that is allowed.
func TestLeadersComeBack(t *testing.T) {
	for _, enabled := range []string{"true", "false"} {
		t.Run(enabled, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSimulationWith(t, 1, simOptions{brokers: 3, firstAlone: true, props: map[string]string{"auto.leader.rebalance.enable": enabled, "leader.imbalance.check.interval.seconds": "10"}})
				defer s.end()
				cl := s.client()
				defer cl.Close()
				created(s, kadm.NewClient(cl)) // partition 1 is led by broker 1
				s.kill(1)
				s.eventually("another one leads", func() bool { p := s.part(1); return p.Leader != 1 && p.Leader >= 0 })
				s.start(1)
				s.eventually("it is in sync", func() bool { return s.placed(1, 1, 2, 0) })
				time.Sleep(25 * time.Second)
				if leader := s.part(1).Leader; leader == 1 != (enabled == "true") {
					t.Errorf("%d leads", leader)
				}
			})
		})
	}
}

// What an unclean election costs is in the log of the broker that had it, offset by offset.
func TestUncleanElectionTellsWhatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lockedBuffer{}
		s := newSimulationWith(t, 1, simOptions{brokers: 3, firstAlone: true, log: log, props: map[string]string{"min.insync.replicas": "1"}})
		defer s.end()
		cl := s.client()
		defer cl.Close()
		adm := kadm.NewClient(cl)
		created(s, adm)
		s.move(adm, dutyTopic, 1, 2)
		s.eventually("it is moved", func() bool { return s.placed(0, 1, 2) })
		produce := func(n int) {
			for range n {
				if err := cl.ProduceSync(context.Background(), &kgo.Record{Topic: dutyTopic, Value: []byte("x")}).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
		}
		produce(5)
		s.kill(2)
		produce(10)
		s.kill(1)
		time.Sleep(20 * time.Second)
		s.start(2)
		s.eventually("the topic's setting is taken", func() bool {
			r, err := adm.AlterTopicConfigs(context.Background(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "unclean.leader.election.enable", Value: kadm.StringPtr("true")}}, dutyTopic)
			return err == nil && r[0].Err == nil
		})
		s.eventually("the one that is left leads", func() bool { p := s.part(0); return p != nil && p.Leader == 2 })
		produce(3)
		s.start(1)
		s.eventually("both are in sync", func() bool { return s.placed(0, 1, 2) })
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, "Truncating") && strings.Contains(line, "broker=1") && strings.Contains(line, " offset=5 ") && strings.Contains(line, "logEndOffset=15") {
				return
			}
		}
		t.Error("the log does not tell which records were lost")
	})
}
