// Package lag tells how far consumer groups are behind the partitions that they read: the coordinator knows what is committed, the leaders of the partitions
// know where they end.
//
// Central type: Reader. It keeps nothing; each Read asks anew, with one request to each other broker that leads some of
// them. Its goroutines end with the call.
package lag

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/groups"
	"gokafka/internal/peer"
	"gokafka/metadata"
)

// timeout bounds the wait for one broker. What it leads has no lag until the next Read.
const timeout = time.Second

// Options of a Reader. All are needed.
type Options struct {
	Committed func(ctx context.Context) []groups.Committed
	Image     func() *metadata.Image
	BrokerID  int32
	// HighWatermark is that of a replica of this broker. It is asked of partitions that this broker leads: a follower's may be far behind.
	HighWatermark func(tp metadata.TopicPartition) (offset int64, there bool)
	// Addr is where a broker is reached.
	Addr   func(broker int32) (string, error)
	Peer   peer.Options
	Logger *slog.Logger
}

// Reader reads lags. Safe for concurrent use.
type Reader struct{ o Options }

// New makes a Reader.
func New(o Options) *Reader {
	o.Peer.ConnectTimeout, o.Peer.RequestTimeout = timeout, timeout
	return &Reader{o}
}

// Lag is how many records a group has not committed in a partition.
type Lag struct {
	groups.Committed
	Records int64
}

// Read gives the lags of all groups of this broker, in no order. Partitions whose end cannot be found out are left out.
func (r *Reader) Read(ctx context.Context) []Lag {
	committed := r.o.Committed(ctx)
	ends := r.ends(ctx, committed)
	out := make([]Lag, 0, len(committed))
	for _, c := range committed {
		if end, ok := ends[metadata.TopicPartition{Topic: c.Topic, Partition: c.Partition}]; ok {
			out = append(out, Lag{c, max(0, end-c.Offset)})
		}
	}
	return out
}

func (r *Reader) ends(ctx context.Context, committed []groups.Committed) map[metadata.TopicPartition]int64 {
	ends := make(map[metadata.TopicPartition]int64)
	asked := make(map[metadata.TopicPartition]bool)
	byLeader := make(map[int32][]metadata.TopicPartition)
	image := r.o.Image()
	for _, c := range committed {
		tp := metadata.TopicPartition{Topic: c.Topic, Partition: c.Partition}
		if asked[tp] {
			continue
		}
		asked[tp] = true
		p := image.Partition(tp)
		switch {
		case p == nil || p.Leader < 0:
		case p.Leader == r.o.BrokerID:
			if hw, ok := r.o.HighWatermark(tp); ok {
				ends[tp] = hw
			}
		default:
			byLeader[p.Leader] = append(byLeader[p.Leader], tp)
		}
	}
	var mu sync.Mutex // of ends
	var wg sync.WaitGroup
	for leader, list := range byLeader {
		wg.Add(1)
		go func() {
			defer wg.Done()
			got, err := r.ask(ctx, leader, list)
			if err != nil {
				r.o.Logger.Warn("Ends of partitions that groups read are not known", "leader", leader, "partitions", len(list), "error", err)
			}
			mu.Lock()
			defer mu.Unlock()
			for tp, end := range got {
				ends[tp] = end
			}
		}()
	}
	wg.Wait()
	return ends
}

// ask asks a leader, as a consumer does, for the high watermarks of partitions; those that it does not lead any more are left out.
func (r *Reader) ask(ctx context.Context, leader int32, list []metadata.TopicPartition) (map[metadata.TopicPartition]int64, error) {
	cl := peer.NewClient(func() (string, error) { return r.o.Addr(leader) }, r.o.Peer)
	defer cl.Close()
	q := kmsg.NewPtrListOffsetsRequest()
	q.Version, q.ReplicaID = 7, -1
	at := make(map[string]int)
	for _, tp := range list {
		i, ok := at[tp.Topic]
		if !ok {
			i = len(q.Topics)
			at[tp.Topic] = i
			t := kmsg.NewListOffsetsRequestTopic()
			t.Topic = tp.Topic
			q.Topics = append(q.Topics, t)
		}
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = tp.Partition, -1
		q.Topics[i].Partitions = append(q.Topics[i].Partitions, p)
	}
	resp, err := cl.Negotiated(ctx, q, 1)
	if err != nil {
		return nil, err
	}
	out := make(map[metadata.TopicPartition]int64)
	for _, t := range resp.(*kmsg.ListOffsetsResponse).Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode == 0 {
				out[metadata.TopicPartition{Topic: t.Topic, Partition: p.Partition}] = p.Offset
			}
		}
	}
	return out, nil
}
