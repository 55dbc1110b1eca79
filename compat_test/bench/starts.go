package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/harness"
	"gokafka/compat_test/wire"
)

// startLoad says what directory a start has to load.
type startLoad struct {
	mib                           int64
	like                          shape
	maker                         string // who writes the directory
	segments, partitions, threads int
}

// startFigure is one start: until every partition's leader answered, CPU until then, and the most memory until then.
type startFigure struct {
	Took time.Duration
	CPU  float64
	Peak float64
}

// starts measures starts on copies of one directory. Both programs stand for the same broker: same id, port, ZooKeeper and
// topics, and the directory's cluster.
type starts struct {
	startLoad
	dir     string
	zk      *harness.ZooKeeper
	props   map[string]string
	port    int
	topics  map[string]int32
	records int64 // in all partitions
}

func runStarts(what string, targets []string, rounds int, l startLoad) error {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "gokafka-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &starts{startLoad: l, dir: dir, topics: map[string]int32{}}
	if s.zk, err = harness.NewZooKeeper(dir); err != nil {
		return err
	}
	if err := s.zk.Start(ctx); err != nil {
		return err
	}
	defer s.zk.Kill()
	switch what {
	case "recovery":
		err = s.makeRecovery(ctx)
	case "partitions":
		err = s.makePartitions(ctx)
	default:
		err = fmt.Errorf("-measure %s: want steady, recovery or partitions", what)
	}
	if err != nil {
		return err
	}
	return s.report(ctx, targets, rounds)
}

func (s *starts) report(ctx context.Context, targets []string, rounds int) error {
	figures := map[string][]startFigure{}
	for round := range rounds {
		for _, t := range targets {
			f, err := s.measure(ctx, harness.Target(t))
			if err != nil {
				return fmt.Errorf("%s, round %d: %w", t, round+1, err)
			}
			fmt.Fprintf(os.Stderr, "round %d %s: %v, CPU %.2f s, peak %.0f MB\n", round+1, t, f.Took.Round(time.Millisecond), f.CPU, f.Peak/1e6)
			figures[t] = append(figures[t], f)
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "target\tuntil served\tCPU s\tpeak rss\t")
	for _, t := range targets {
		fs := figures[t]
		fmt.Fprintf(w, "%s\t%v\t%.2f\t%.0f MB\t\n", t, median(fs, func(f startFigure) time.Duration { return f.Took }).Round(time.Millisecond),
			median(fs, func(f startFigure) float64 { return f.CPU }), median(fs, func(f startFigure) float64 { return f.Peak / 1e6 }))
	}
	return w.Flush()
}

// broker is one program on a directory. It has the port for itself.
func (s *starts) broker(t harness.Target, data string, props map[string]string) (*harness.Broker, error) {
	all := map[string]string{"log.dirs": filepath.ToSlash(data), "log.retention.ms": "-1",
		"num.recovery.threads.per.data.dir": fmt.Sprint(s.threads)}
	for k, v := range props {
		all[k] = v
	}
	b, err := harness.NewBroker(t, filepath.Join(s.dir, string(t)), harness.Options{ZooKeeper: s.zk.Addr, Port: s.port, Props: all, JVM: apacheJVM})
	if err == nil {
		s.port = b.Port
		b.ReadyTimeout = 5 * time.Minute
	}
	return b, err
}

func (s *starts) template() string { return filepath.Join(s.dir, "template") }

// makeRecovery has the maker write the segments and kills it, and takes back what it knows to be flushed.
func (s *starts) makeRecovery(ctx context.Context) error {
	size := s.mib << 20 / int64(s.segments)
	b, err := s.broker(harness.Target(s.maker), s.template(), map[string]string{"log.segment.bytes": fmt.Sprint(size)})
	if err != nil {
		return err
	}
	defer b.Close()
	if err := b.Start(ctx); err != nil {
		return err
	}
	s.props = map[string]string{"log.segment.bytes": fmt.Sprint(size)}
	s.topics["bench"] = partitions
	if _, err := produce(ctx, b, "bench", s.mib<<20, s.like); err != nil {
		return err
	}
	if err := s.note(ctx, b); err != nil {
		return err
	}
	b.Kill()
	n := 0
	err = filepath.WalkDir(s.template(), func(path string, e fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".log" {
			n++
		}
		return err
	})
	fmt.Fprintf(os.Stderr, "%d MiB in %d segments of %d partitions, %d records, recovery points 0\n", s.mib, n, partitions, s.records)
	return errors.Join(err, os.WriteFile(filepath.Join(s.template(), "recovery-point-offset-checkpoint"), []byte("0\n0\n"), 0o644))
}

// perTopic is how many partitions a topic of the partitions figure has.
const perTopic = 100

// makePartitions has the maker write a little into many partitions and stops it cleanly.
func (s *starts) makePartitions(ctx context.Context) error {
	b, err := s.broker(harness.Target(s.maker), s.template(), nil)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := b.Start(ctx); err != nil {
		return err
	}
	c, err := wire.Dial(ctx, b.Addr())
	if err != nil {
		return err
	}
	defer c.Close()
	c.Timeout = 2 * time.Minute
	for i := 0; i < s.partitions; i += perTopic {
		name, n := fmt.Sprintf("bench-%d", i/perTopic), int32(min(perTopic, s.partitions-i))
		s.topics[name] = n
		if err := createSized(c, name, n); err != nil {
			return err
		}
	}
	if err := s.await(ctx, b); err != nil {
		return err
	}
	for name, n := range s.topics {
		for p := range n {
			if err := s.produceLittle(c, name, p); err != nil {
				return err
			}
		}
	}
	if err := s.note(ctx, b); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d partitions in %d topics, %d records, stopped cleanly\n", s.partitions, len(s.topics), s.records)
	return b.Stop(ctx)
}

func createSized(c *wire.Conn, topic string, n int32) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 60000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic, n, 1
	req.Topics = append(req.Topics, t)
	resp, err := c.Ask(req, 5)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode)
}

// produceLittle gives a partition what a quiet one holds: a few batches of one idempotent producer.
func (s *starts) produceLittle(c *wire.Conn, topic string, p int32) error {
	for i := range int32(3) {
		b := wire.Batch{Records: wire.Values(10), ProducerID: 6_000_000 + int64(p), Sequence: 10 * i, BaseTimestamp: time.Now().UnixMilli()}
		resp, err := c.Ask(wire.ProduceRequest(topic, p, b.Bytes()), 9)
		if err != nil {
			return err
		}
		if err := kerr.ErrorForCode(resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode); err != nil {
			return fmt.Errorf("%s-%d: %w", topic, p, err)
		}
	}
	return nil
}

// note takes down how much there is to be served.
func (s *starts) note(ctx context.Context, b *harness.Broker) error {
	var err error
	s.records, err = s.served(ctx, b)
	return err
}

// copyOf makes a fresh copy of the template. Segments are the same files under another name: nobody writes to them here, and
// they are warm in the page cache for both.
func (s *starts) copyOf(to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return filepath.WalkDir(s.template(), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(s.template(), path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case e.IsDir():
			return os.MkdirAll(target, 0o755)
		case filepath.Ext(path) == ".log":
			return os.Link(path, target)
		case rel == ".lock" || strings.HasPrefix(rel, ".gokafka"):
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, b, 0o644)
	})
}

func (s *starts) measure(ctx context.Context, t harness.Target) (startFigure, error) {
	var f startFigure
	data := filepath.Join(s.dir, "copy")
	if err := s.copyOf(data); err != nil {
		return f, err
	}
	b, err := s.broker(t, data, s.props)
	if err != nil {
		return f, err
	}
	defer b.Close()
	if err := b.AwaitOldSession(ctx); err != nil { // that of the start before; not part of the figure
		return f, err
	}
	begin := time.Now()
	if err := b.Launch(ctx); err != nil {
		return f, err
	}
	if err := s.await(ctx, b); err != nil {
		return f, fmt.Errorf("%w\n%s", err, b.LogTail())
	}
	f.Took = time.Since(begin)
	if f.CPU, err = b.Process().CPUSeconds(); err != nil {
		return f, err
	}
	f.Peak, err = b.Process().PeakBytes()
	return f, err
}

// pollEvery is how often a starting broker is asked, which it has to pay for.
const pollEvery = 20 * time.Millisecond

// await asks until all partitions are served with all their records.
func (s *starts) await(ctx context.Context, b *harness.Broker) error {
	var err error
	for deadline := time.Now().Add(b.ReadyTimeout); time.Now().Before(deadline); time.Sleep(pollEvery) {
		select {
		case <-b.Process().Done():
			return fmt.Errorf("%s ended: %v", b.Process().Name, b.Process().Err())
		default:
		}
		var n int64
		if n, err = s.served(ctx, b); err == nil && n == s.records {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("%d records are served, want %d", n, s.records)
		}
	}
	return err
}

// served asks the broker for all partitions: Metadata names a leader, ListOffsets an end, Fetch gives the first batch. It
// returns the sum of the ends.
func (s *starts) served(ctx context.Context, b *harness.Broker) (int64, error) {
	c, err := wire.Dial(ctx, b.Addr())
	if err != nil {
		return 0, err
	}
	defer c.Close()
	c.Timeout = time.Minute
	if err := s.led(c); err != nil {
		return 0, err
	}
	ends, err := s.ends(c)
	if err != nil {
		return 0, err
	}
	return ends, s.fetchable(c)
}

func (s *starts) led(c *wire.Conn) error {
	resp, err := c.Ask(kmsg.NewPtrMetadataRequest(), 9)
	if err != nil {
		return err
	}
	found := map[string]int32{}
	for _, t := range resp.(*kmsg.MetadataResponse).Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode == 0 && p.Leader == 0 {
				found[*t.Topic]++
			}
		}
	}
	for name, n := range s.topics {
		if found[name] != n {
			return fmt.Errorf("%s has %d partitions with a leader, want %d", name, found[name], n)
		}
	}
	return nil
}

func (s *starts) ends(c *wire.Conn) (sum int64, err error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	for name, n := range s.topics {
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = name
		for i := range n {
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Partition, p.Timestamp = i, -1
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := c.Ask(req, 5)
	if err != nil {
		return 0, err
	}
	for _, t := range resp.(*kmsg.ListOffsetsResponse).Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return 0, fmt.Errorf("list offsets of %s-%d: %w", t.Topic, p.Partition, err)
			}
			sum += p.Offset
		}
	}
	return sum, nil
}

// fetchable fetches from the start of every partition, as little as there may be in an answer.
func (s *starts) fetchable(c *wire.Conn) error {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MaxBytes, req.SessionEpoch = 0, 50<<20, -1
	for name, n := range s.topics {
		t := kmsg.NewFetchRequestTopic()
		t.Topic = name
		for i := range n {
			p := kmsg.NewFetchRequestTopicPartition()
			p.Partition, p.PartitionMaxBytes = i, 1<<10
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := c.Ask(req, 11)
	if err != nil {
		return err
	}
	for _, t := range resp.(*kmsg.FetchResponse).Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("fetch of %s-%d: %w", t.Topic, p.Partition, err)
			}
		}
	}
	return nil
}
