package admin

import (
	"cmp"
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/internal/show"
)

// LogDir is a log directory of a broker.
type LogDir struct {
	Broker      int32           `json:"broker"`
	Dir         string          `json:"dir"`
	Error       string          `json:"error,omitempty"` // of the directory, or of the broker that did not answer
	TotalBytes  int64           `json:"totalBytes"`      // of its volume; -1 = not told
	UsableBytes int64           `json:"usableBytes"`
	Replicas    []LogDirReplica `json:"replicas"`
}

// LogDirReplica is a replica in a log directory.
type LogDirReplica struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Size      int64  `json:"size"`      // bytes
	OffsetLag int64  `json:"offsetLag"` // behind the high watermark; of a future replica, behind the current one
	Future    bool   `json:"isFuture"`  // will take the current one's place
}

// LogDirs is a list of log directories by broker and path.
type LogDirs []LogDir

// Table is a show.View.
func (ds LogDirs) Table() show.Table {
	t := show.Table{Header: []string{"BROKER", "DIR", "STATE", "REPLICAS", "BYTES", "TOTAL", "USABLE"}}
	t.Next = &show.Table{Header: []string{"BROKER", "DIR", "TOPIC", "PARTITION", "BYTES", "LAG", "FUTURE"}}
	for _, d := range ds {
		state, size := cmp.Or(d.Error, "online"), int64(0)
		for _, r := range d.Replicas {
			size += r.Size
			future := ""
			if r.Future {
				future = "future"
			}
			t.Next.Add(itoa(d.Broker), d.Dir, r.Topic, itoa(r.Partition), itoa(r.Size), itoa(r.OffsetLag), future)
		}
		t.Add(itoa(d.Broker), d.Dir, state, itoa(len(d.Replicas)), itoa(size), bytesOrNone(d.TotalBytes), bytesOrNone(d.UsableBytes))
	}
	return t
}

func bytesOrNone(n int64) string {
	if n < 0 {
		return ""
	}
	return itoa(n)
}

// DescribeLogDirs asks brokers (nil: all) for their log directories and the replicas of topics (nil: all) in them. A broker that does not answer is a line with
// its error.
func DescribeLogDirs(ctx context.Context, o Options, brokers []int32, topics []string) (LogDirs, error) {
	return do(ctx, o, func(ctx context.Context, c conn) (LogDirs, error) {
		md, err := c.BrokerMetadata(ctx)
		if err != nil {
			return nil, err
		}
		if brokers == nil {
			brokers = md.Brokers.NodeIDs()
		}
		req := kmsg.NewPtrDescribeLogDirsRequest()
		if topics != nil {
			if req.Topics, err = wholeTopics(ctx, c, topics); err != nil {
				return nil, err
			}
		}
		out := LogDirs{}
		for _, id := range brokers {
			dirs, err := dirsOf(ctx, c, id, req)
			if err != nil {
				dirs = LogDirs{{Broker: id, Error: show.Line(err.Error()), TotalBytes: -1, UsableBytes: -1, Replicas: []LogDirReplica{}}}
			}
			out = append(out, dirs...)
		}
		slices.SortStableFunc(out, func(a, b LogDir) int { return cmp.Or(cmp.Compare(a.Broker, b.Broker), cmp.Compare(a.Dir, b.Dir)) })
		return out, nil
	})
}

func wholeTopics(ctx context.Context, c conn, names []string) ([]kmsg.DescribeLogDirsRequestTopic, error) {
	details, err := c.ListTopicsWithInternal(ctx, names...)
	if err == nil {
		err = details.Error()
	}
	if err != nil {
		return nil, err
	}
	out := []kmsg.DescribeLogDirsRequestTopic{}
	for _, d := range details.Sorted() {
		t := kmsg.NewDescribeLogDirsRequestTopic()
		t.Topic, t.Partitions = d.Topic, d.Partitions.Numbers()
		out = append(out, t)
	}
	return out, nil
}

func dirsOf(ctx context.Context, c conn, broker int32, req *kmsg.DescribeLogDirsRequest) (LogDirs, error) {
	got, err := c.requests.Broker(int(broker)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	resp := got.(*kmsg.DescribeLogDirsResponse) // the answer to the request of that type
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	var out LogDirs
	for _, r := range resp.Dirs {
		d := LogDir{Broker: broker, Dir: r.Dir, TotalBytes: r.TotalBytes, UsableBytes: r.UsableBytes, Replicas: []LogDirReplica{}}
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			d.Error = name(err)
		}
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				d.Replicas = append(d.Replicas, LogDirReplica{t.Topic, p.Partition, p.Size, p.OffsetLag, p.IsFuture})
			}
		}
		slices.SortFunc(d.Replicas, func(a, b LogDirReplica) int {
			return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
		})
		out = append(out, d)
	}
	return out, nil
}
