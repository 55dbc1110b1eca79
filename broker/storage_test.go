package broker

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"gokafka/config"
	"gokafka/internal/vfs"
)

// A directory that fails takes its own partitions offline and nobody else's, and nothing hangs: not the append that met the failure, not the controller's requests after it.
func TestFailedLogDirectory(t *testing.T) {
	var broken atomic.Pointer[string] // prefix of the files that fail
	fs := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
		if p := broken.Load(); p != nil && strings.HasPrefix(op.Name, *p) && strings.HasSuffix(op.Name, ".log") && op.Kind == vfs.OpWrite {
			return syscall.EIO
		}
		return nil
	})
	cfg, err := config.NewBroker(map[string]string{"broker.id": "0", "listeners": "PLAINTEXT://127.0.0.1:0", "log.dirs": "/disk0,/disk1,/disk2"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Start(t.Context(), Options{Config: cfg, FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Stop(context.Background()) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cl := client(t, b, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordRetries(0), kgo.ProduceRequestTimeout(time.Second))
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(ctx, 6, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	dirOf := map[int32]string{}
	for _, d := range b.logs.Dirs() {
		for _, l := range d.Logs {
			dirOf[l.TopicPartition().Partition] = d.Path
		}
	}
	bad := "/disk1"
	broken.Store(&bad)
	for round := range 2 { // the second time the partitions are known to be offline
		for p := range int32(6) {
			err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: p, Value: []byte("x")}).FirstErr()
			switch {
			case dirOf[p] == bad && err == nil:
				t.Errorf("round %d: partition %d of the failed directory took a record", round, p)
			case dirOf[p] != bad && err != nil:
				t.Errorf("round %d: partition %d in %s: %v", round, p, dirOf[p], err)
			}
		}
	}
	// The controller goes on: a new topic is made in the directories that are left.
	resp, err := adm.CreateTopic(ctx, 4, 1, nil, "later")
	if err != nil || resp.Err != nil {
		t.Fatal(err, resp.Err)
	}
	for p := range int32(4) {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "later", Partition: p, Value: []byte("x")}).FirstErr(); err != nil {
			t.Errorf("new partition %d: %v", p, err)
		}
	}
	select {
	case err := <-b.Failed():
		t.Errorf("the broker gave up: %v", err)
	default:
	}
	// The last directories fail: the broker says that it cannot go on.
	all := "/disk"
	broken.Store(&all)
	for p := range int32(6) {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: p, Value: []byte("x")}).FirstErr(); err == nil {
			t.Errorf("partition %d took a record", p)
		} else if errors.Is(err, kerr.UnknownServerError) {
			t.Errorf("partition %d: %v", p, err)
		}
	}
	select {
	case err := <-b.Failed():
		if !errors.Is(err, ErrNoLogDirs) {
			t.Error(err)
		}
	case <-ctx.Done():
		t.Error("the broker does not say that no directory is left")
	}
}
