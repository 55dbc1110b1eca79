package crash

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/harness"
	"gokafka/compat_test/wire"
)

// ids are what a broker gave away so far.
type ids struct {
	producer    int64 // the largest
	brokerEpoch int64 // the last
	topics      map[string][16]byte
	topicOf     map[[16]byte]string
}

func newIDs() *ids {
	return &ids{producer: -1, brokerEpoch: -1, topics: map[string][16]byte{}, topicOf: map[[16]byte]string{}}
}

// observe asks a serving broker and reports what was given away before.
func (s *ids) observe(ctx context.Context, b *harness.Broker) ([]string, error) {
	c, err := wire.Dial(ctx, b.Addr())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var bad []string
	id, err := newProducerID(ctx, c)
	if err != nil {
		return nil, err
	}
	if id <= s.producer {
		bad = append(bad, fmt.Sprintf("producer id %d after %d", id, s.producer))
	}
	s.producer = max(s.producer, id)
	topics, err := topicIDs(ctx, c, len(s.topics))
	if err != nil {
		return nil, err
	}
	for name, id := range topics {
		if before, ok := s.topics[name]; ok && before != id {
			bad = append(bad, fmt.Sprintf("topic %s had id %x, now %x", name, before, id))
		}
		if other, ok := s.topicOf[id]; ok && other != name || id == [16]byte{} {
			bad = append(bad, fmt.Sprintf("topic %s has id %x, which topic %q has", name, id, other))
		}
		s.topics[name], s.topicOf[id] = id, name
	}
	for name := range s.topics {
		if _, ok := topics[name]; !ok {
			bad = append(bad, fmt.Sprintf("topic %s is gone", name))
		}
	}
	epoch, ok, err := brokerEpoch(b)
	if err != nil {
		return nil, err
	}
	if ok && epoch <= s.brokerEpoch {
		bad = append(bad, fmt.Sprintf("broker epoch %d after %d", epoch, s.brokerEpoch))
	}
	if ok {
		s.brokerEpoch = epoch
	}
	return bad, nil
}

// newProducerID asks until the broker has a block of ids.
func newProducerID(ctx context.Context, c *wire.Conn) (int64, error) {
	for {
		resp, err := c.Ask(kmsg.NewPtrInitProducerIDRequest(), 1)
		if err != nil {
			return 0, err
		}
		r := resp.(*kmsg.InitProducerIDResponse)
		err = kerr.ErrorForCode(r.ErrorCode)
		if err == nil || !kerr.IsRetriable(err) || ctx.Err() != nil {
			return r.ProducerID, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// topicIDs are the ids of all topics. A starting broker may not know all yet: it is asked for 20 s until there are as
// many as before; a test of loss must then still fail.
func topicIDs(ctx context.Context, c *wire.Conn, atLeast int) (map[string][16]byte, error) {
	deadline := time.Now().Add(20 * time.Second)
	for {
		resp, err := c.Ask(kmsg.NewPtrMetadataRequest(), 12)
		if err != nil {
			return nil, err
		}
		out := make(map[string][16]byte)
		for _, t := range resp.(*kmsg.MetadataResponse).Topics {
			if t.Topic != nil && t.ErrorCode == 0 {
				out[*t.Topic] = t.TopicID
			}
		}
		if len(out) >= atLeast || time.Now().After(deadline) || ctx.Err() != nil {
			return out, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}

var epochInLog = regexp.MustCompile(`(?i)broker[ _]?epoch["')]*[:= ]+"?(\d+)`)

// brokerEpoch is the czxid of the broker's registration: from a real ZooKeeper, else from the broker's own log, which
// names it on registering, as Apache's does. It is not known when neither is to be had.
func brokerEpoch(b *harness.Broker) (int64, bool, error) {
	if addr := b.ZooKeeper(); addr != "" {
		conn, _, err := zk.Connect([]string{addr}, 5*time.Second, zk.WithLogInfo(false))
		if err != nil {
			return 0, false, err
		}
		defer conn.Close()
		ok, stat, err := conn.Exists(fmt.Sprintf("/brokers/ids/%d", b.ID))
		if err != nil || !ok {
			return 0, false, fmt.Errorf("registration of broker %d: exists %v, %w", b.ID, ok, err)
		}
		return stat.Czxid, true, nil
	}
	log, err := os.ReadFile(b.Process().LogPath)
	if err != nil {
		return 0, false, err
	}
	m := epochInLog.FindSubmatch(log)
	if m == nil {
		return 0, false, nil
	}
	e, err := strconv.ParseInt(string(m[1]), 10, 64)
	return e, err == nil, err
}
