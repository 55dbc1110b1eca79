package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/internal/show"
)

// ResetTo is where a group is to go on.
type ResetTo string

// The places.
const (
	ResetEarliest ResetTo = "earliest"
	ResetLatest   ResetTo = "latest"
	ResetOffset   ResetTo = "offset"   // Reset.Offset
	ResetShift    ResetTo = "shift"    // by Reset.Offset from what is committed
	ResetDatetime ResetTo = "datetime" // the first record since Reset.Time, the end if there is none
	ResetCurrent  ResetTo = "current"  // what is committed, the end where nothing is
)

// Reset says what of a group is to be set.
type Reset struct {
	Group      string
	Topics     []string         // all their partitions
	Partitions []TopicPartition // and these
	AllTopics  bool             // or all that is committed
	To         ResetTo
	Offset     int64
	Time       time.Time
	DryRun     bool
}

// ResetPartition is what became of a partition.
type ResetPartition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      *int64 `json:"from,omitempty"` // nil: nothing was committed
	To        *int64 `json:"to,omitempty"`
	Done      bool   `json:"done"` // false also with a dry run
	Error     string `json:"error,omitempty"`
}

// ResetPartitions is an Outcome.
type ResetPartitions []ResetPartition

// Err is an Outcome's.
func (rs ResetPartitions) Err() error {
	failed := 0
	for _, r := range rs {
		if r.Error != "" {
			failed++
		}
	}
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d failed", failed, len(rs))
}

// Table is a show.View.
func (rs ResetPartitions) Table() show.Table {
	t := show.Table{Header: []string{"TOPIC", "PARTITION", "FROM", "TO", "RESULT"}}
	for _, r := range rs {
		done := r.Error
		switch {
		case done != "":
		case r.Done:
			done = "set"
		default:
			done = "would be set"
		}
		t.Add(r.Topic, itoa(r.Partition), known(r.From), known(r.To), done)
	}
	return t
}

// ResetOffsets commits other offsets for a group without members. Offsets outside of a partition become its start or its end.
func ResetOffsets(ctx context.Context, o Options, r Reset) (ResetPartitions, error) {
	return doCoordinated(ctx, o, func(ctx context.Context, c conn) (ResetPartitions, error) {
		described, err := describeGroups(ctx, c, []string{r.Group})
		if err != nil {
			return nil, err
		}
		// One that is not there gets its first offsets.
		if g := described[0]; g.Error != "" && g.Error != kerr.GroupIDNotFound.Error() {
			return nil, errors.New(g.Error)
		} else if g.Error == "" && g.State != "Empty" {
			return nil, fmt.Errorf("the group is in state %s: its members would commit over what is set; stop them first", g.State)
		}
		committed, err := c.FetchOffsets(ctx, r.Group)
		if err != nil {
			return nil, err
		}
		places, err := r.places(ctx, c, committed)
		if err != nil {
			return nil, err
		}
		out := ResetPartitions{}
		set := kadm.Offsets{}
		for tp, p := range places {
			if p.Error == "" {
				set.AddOffset(tp.Topic, tp.Partition, *p.To, -1)
			}
			out = append(out, p)
		}
		slices.SortFunc(out, func(a, b ResetPartition) int {
			return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
		})
		if r.DryRun || len(set) == 0 {
			return out, nil
		}
		done, err := c.CommitOffsets(ctx, r.Group, set)
		if err != nil {
			return nil, err
		}
		for i := range out {
			p := &out[i]
			if p.Error != "" {
				continue
			}
			if resp, ok := done.Lookup(p.Topic, p.Partition); !ok {
				p.Error = "no broker answered"
			} else if resp.Err != nil {
				p.Error = resp.Err.Error()
			} else {
				p.Done = true
			}
		}
		return out, nil
	})
}

// places finds for each partition where the group is and where it is to go on.
func (r *Reset) places(ctx context.Context, c conn, committed kadm.OffsetResponses) (map[TopicPartition]ResetPartition, error) {
	wanted, err := r.wanted(ctx, c, committed)
	if err != nil {
		return nil, err
	}
	if len(wanted) == 0 {
		return nil, errors.New("no partition is named, and nothing is committed")
	}
	topics := topicsOf(wanted)
	starts, err := listed(c.ListStartOffsets(ctx, topics...))
	if err != nil {
		return nil, err
	}
	ends, err := listed(c.ListEndOffsets(ctx, topics...))
	if err != nil {
		return nil, err
	}
	var since kadm.ListedOffsets
	if r.To == ResetDatetime {
		if since, err = listed(c.ListOffsetsAfterMilli(ctx, r.Time.UnixMilli(), topics...)); err != nil {
			return nil, err
		}
	}
	out := map[TopicPartition]ResetPartition{}
	for tp := range wanted {
		p := ResetPartition{Topic: tp.Topic, Partition: tp.Partition}
		if was, ok := committed.Lookup(tp.Topic, tp.Partition); ok && was.Err == nil && was.At >= 0 {
			p.From = &was.At
		}
		start, haveStart := starts.Lookup(tp.Topic, tp.Partition)
		end, haveEnd := ends.Lookup(tp.Topic, tp.Partition)
		err := cmp.Or(start.Err, end.Err)
		if err == nil && (!haveStart || !haveEnd) {
			err = kerr.UnknownTopicOrPartition
		}
		var to int64
		if err == nil {
			to, err = r.place(p.From, start.Offset, end.Offset, func() (int64, error) {
				s, ok := since.Lookup(tp.Topic, tp.Partition)
				if !ok || s.Err != nil {
					return 0, cmp.Or(s.Err, error(kerr.UnknownTopicOrPartition))
				}
				return s.Offset, nil
			})
		}
		if err != nil {
			p.Error = err.Error()
		} else {
			to = min(max(to, start.Offset), end.Offset)
			p.To = &to
		}
		out[tp] = p
	}
	return out, nil
}

func (r *Reset) place(from *int64, start, end int64, since func() (int64, error)) (int64, error) {
	switch r.To {
	case ResetEarliest:
		return start, nil
	case ResetLatest:
		return end, nil
	case ResetOffset:
		return r.Offset, nil
	case ResetShift:
		if from == nil {
			return 0, errors.New("nothing is committed to shift from")
		}
		return *from + r.Offset, nil
	case ResetDatetime:
		at, err := since()
		if err == nil && at < 0 {
			at = end
		}
		return at, err
	case ResetCurrent:
		if from == nil {
			return end, nil
		}
		return *from, nil
	}
	return 0, fmt.Errorf("unknown place %q", r.To)
}

// wanted are the partitions to set.
func (r *Reset) wanted(ctx context.Context, c conn, committed kadm.OffsetResponses) (map[TopicPartition]bool, error) {
	out := map[TopicPartition]bool{}
	for _, tp := range r.Partitions {
		out[tp] = true
	}
	if r.AllTopics {
		for topic, partitions := range committed {
			for p := range partitions {
				out[TopicPartition{topic, p}] = true
			}
		}
	}
	if len(r.Topics) == 0 {
		return out, nil
	}
	details, err := c.ListTopicsWithInternal(ctx, r.Topics...)
	if err != nil {
		return nil, err
	}
	for _, name := range r.Topics {
		d, ok := details[name]
		if !ok {
			d.Err = kerr.UnknownTopicOrPartition
		}
		if d.Err != nil {
			return nil, fmt.Errorf("topic %s: %w", name, d.Err)
		}
		for p := range d.Partitions {
			out[TopicPartition{name, p}] = true
		}
	}
	return out, nil
}
