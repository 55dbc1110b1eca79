package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"gokafka/compat_test/cluster"
)

// record is a committed record.
type record struct {
	partition  int32
	key, value string
}

// read reads what is committed of a topic.
func read(ctx context.Context, c *cluster.Cluster, topic string) ([]record, error) {
	ends, err := c.Admin.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	from, left := map[int32]kgo.Offset{}, map[int32]int64{}
	for p := range int32(partitions) {
		if o, _ := ends.Lookup(topic, p); o.Offset > 0 {
			from[p], left[p] = kgo.NewOffset().At(0), o.Offset
		}
	}
	cl, err := kgo.NewClient(append(c.ClientOptions(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NoResetOffset()))...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var out []record
	for len(left) > 0 {
		fs := cl.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			return nil, fmt.Errorf("read %s, with %v left: %w", topic, left, err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				out = append(out, record{r.Partition, string(r.Key), string(r.Value)})
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return out, nil
}

// checkCopy finds records of the source 0 to n-1 that are not in a copy once in each of the two partitions where they belong.
func checkCopy(copied []record, n int) (problems []string) {
	add := func(format string, args ...any) {
		if len(problems) < 20 {
			problems = append(problems, fmt.Sprintf(format, args...))
		}
	}
	seen := map[string]int{}
	for _, r := range copied {
		var i int
		if _, err := fmt.Sscan(strings.TrimSuffix(r.value, "'"), &i); err != nil || i < 0 || i >= n {
			add("%q in partition %d", r.value, r.partition)
			continue
		}
		if strings.HasSuffix(r.value, "'") {
			i++
		}
		if int(r.partition) != i%partitions {
			add("%q in partition %d", r.value, r.partition)
		}
		seen[r.value]++
	}
	for i := range n {
		one, two := fmt.Sprint(i), fmt.Sprint(i, "'")
		if seen[one] != 1 || seen[two] != 1 {
			add("record %d is there %d and %d times", i, seen[one], seen[two])
		}
	}
	return problems
}

// checkWriters finds transactions that are seen otherwise than their clients were told, in part, or twice.
func checkWriters(ctx context.Context, c *cluster.Cluster, ws []*writer) error {
	records, err := read(ctx, c, direct)
	if err != nil {
		return err
	}
	seen := map[string]int{}
	for _, r := range records {
		seen[r.value]++
	}
	var problems []string
	for _, w := range ws {
		for n, verdict := range w.verdicts {
			var times [each]int
			sum := 0
			for i := range each {
				times[i] = seen[fmt.Sprintf("%s|%d|%d", w.name, n, i)]
				sum += times[i]
			}
			whole := times == [each]int{1, 1, 1, 1, 1, 1}
			if verdict == committed && !whole || verdict == aborted && sum > 0 || sum > 0 && !whole {
				problems = append(problems, fmt.Sprintf("transaction %d of %s, %s, is seen %v times", n, w.name, [...]string{"of an unknown end", "committed", "aborted"}[verdict], times))
			}
		}
	}
	if len(problems) > 20 {
		problems = problems[:20]
	}
	if len(problems) > 0 {
		return fmt.Errorf("writers:\n  %s", strings.Join(problems, "\n  "))
	}
	return nil
}

// hanging waits until no partition has an open transaction any more.
func hanging(ctx context.Context, c *cluster.Cluster) error {
	var open []string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		ends, err := c.Admin.ListEndOffsets(ctx)
		if err != nil {
			return err
		}
		stable, err := c.Admin.ListCommittedOffsets(ctx)
		if err != nil {
			return err
		}
		open = nil
		for topic, ps := range ends {
			for p, e := range ps {
				if s, _ := stable.Lookup(topic, p); e.Err != nil || s.Err != nil || s.Offset != e.Offset {
					open = append(open, fmt.Sprintf("%s-%d is stable up to %d of %d", topic, p, s.Offset, e.Offset))
				}
			}
		}
		if len(open) == 0 {
			return nil
		}
	}
	return fmt.Errorf("hanging transactions:\n  %s", strings.Join(open, "\n  "))
}
