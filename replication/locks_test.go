package replication

import (
	"strings"
	"testing"
	"time"

	"gokafka/internal/vfs"
)

// The sync that flush.messages asks for, and that of the leader epoch file, hold no lock: a change of role goes on while the disk is slow.
func TestSlowSyncDoesNotHoldTheRole(t *testing.T) {
	n := newNode(t, 1, nil)
	n.cfg.FlushMessages = 1
	p := n.role(1, 0, 0, 1)
	entered, release := make(chan struct{}, 1), make(chan struct{})
	hook := func(op vfs.Op) error {
		if op.Kind == vfs.OpSync && strings.HasSuffix(op.Name, ".log") {
			select {
			case entered <- struct{}{}:
			default:
			}
			<-release
		}
		return nil
	}
	n.hook.Store(&hook)
	done := make(chan []Append, 1)
	go func() { done <- n.send(AcksLeader, produced(t, nil, "a")) }()
	<-entered
	changed := make(chan error, 1)
	go func() { changed <- n.apply(state(1, 1, 1, 1, 2)) }()
	select {
	case err := <-changed:
		must(t, err)
	case <-time.After(20 * time.Second):
		close(release)
		t.Fatal("a LeaderAndIsr waits for the sync of an append")
	}
	if hw := n.log().HighWatermark(); hw != 0 {
		t.Errorf("the high watermark is %d before the sync that flush.messages asks for", hw)
	}
	n.fetched(2, 1)
	close(release)
	if parts := <-done; parts[0].Err != nil {
		t.Error(parts[0].Err)
	}
	if hw := p.log.HighWatermark(); hw != 1 {
		t.Errorf("high watermark %d after the sync", hw)
	}
}
