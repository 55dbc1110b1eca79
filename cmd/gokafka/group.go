package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gokafka/admin"
	"gokafka/internal/show"
)

func groupCommand() *cobra.Command {
	var f askFlags
	c := &cobra.Command{Use: "group", Short: "List, describe, reset and delete consumer groups", Args: cobra.NoArgs, RunE: help}
	f.add(c)
	c.AddCommand(f.groupList(), f.groupDescribe(), f.groupMembers(), f.groupReset(), f.groupDelete())
	return c
}

func (f *askFlags) groupList() *cobra.Command {
	var states, types []string
	c := &cobra.Command{
		Use: "list", Short: "The groups", Args: cobra.NoArgs,
		RunE: f.run(func(ctx context.Context, o admin.Options, _ []string) (show.View, error) {
			return admin.ListGroups(ctx, o, states, types)
		}),
	}
	c.Flags().StringSliceVar(&states, "state", nil, "only groups in these states, such as Stable or Empty")
	c.Flags().StringSliceVar(&types, "type", nil, "only groups of these types: classic, consumer")
	return c
}

func (f *askFlags) groupDescribe() *cobra.Command {
	return &cobra.Command{
		Use: "describe GROUP...", Short: "Groups, and how far they are in each partition", Args: cobra.MinimumNArgs(1),
		RunE: f.run(func(ctx context.Context, o admin.Options, names []string) (show.View, error) {
			return admin.DescribeGroups(ctx, o, names)
		}),
	}
}

func (f *askFlags) groupMembers() *cobra.Command {
	return &cobra.Command{
		Use: "members GROUP...", Short: "The members of groups, and what they are assigned", Args: cobra.MinimumNArgs(1),
		RunE: f.run(func(ctx context.Context, o admin.Options, names []string) (show.View, error) {
			return admin.GroupMembers(ctx, o, names)
		}),
	}
}

func (f *askFlags) groupDelete() *cobra.Command {
	var topics []string
	c := &cobra.Command{
		Use: "delete GROUP...", Short: "Delete groups without members, or what a group has committed of topics", Args: cobra.MinimumNArgs(1),
		RunE: f.run(func(ctx context.Context, o admin.Options, names []string) (show.View, error) {
			switch {
			case len(topics) == 0:
				return admin.DeleteGroups(ctx, o, names)
			case len(names) > 1:
				return nil, errors.New("with --topic one group can be named")
			}
			return admin.DeleteOffsets(ctx, o, names[0], topics)
		}),
	}
	c.Flags().StringSliceVar(&topics, "topic", nil, "leave the group and delete its offsets of these topics")
	return c
}

func (f *askFlags) groupReset() *cobra.Command {
	r := admin.Reset{}
	var topics []string
	var earliest, latest, current bool
	var datetime string
	var by time.Duration
	var offset, shift int64
	c := &cobra.Command{
		Use: "reset GROUP (--topic T|--all-topics) --to-...", Short: "Set where a group without members goes on", Args: cobra.ExactArgs(1),
		Long: "Commits other offsets for a group that has no members. What lies outside of a partition becomes its start or its end.",
	}
	c.RunE = f.run(func(ctx context.Context, o admin.Options, names []string) (show.View, error) {
		r.Group = names[0]
		var places []admin.ResetTo
		for _, p := range []struct {
			flag string
			to   admin.ResetTo
		}{{"to-earliest", admin.ResetEarliest}, {"to-latest", admin.ResetLatest}, {"to-current", admin.ResetCurrent}, {"to-offset", admin.ResetOffset},
			{"shift-by", admin.ResetShift}, {"to-datetime", admin.ResetDatetime}, {"by-duration", admin.ResetDatetime}} {
			if c.Flags().Changed(p.flag) {
				places = append(places, p.to)
			}
		}
		if len(places) != 1 {
			return nil, errors.New("give one of --to-earliest, --to-latest, --to-current, --to-offset, --shift-by, --to-datetime and --by-duration")
		}
		switch r.To = places[0]; r.To {
		case admin.ResetOffset:
			r.Offset = offset
		case admin.ResetShift:
			r.Offset = shift
		case admin.ResetDatetime:
			if r.Time = time.Now().Add(-by); datetime != "" {
				var err error
				if r.Time, err = time.Parse(time.RFC3339, datetime); err != nil {
					return nil, fmt.Errorf("--to-datetime: %w", err)
				}
			}
		}
		if (len(topics) > 0) == r.AllTopics {
			return nil, errors.New("give either --topic or --all-topics")
		}
		for _, t := range topics {
			name, list, some := strings.Cut(t, ":")
			if !some {
				r.Topics = append(r.Topics, name)
				continue
			}
			partitions, err := admin.ParseIDs(list, "+")
			if err != nil {
				return nil, fmt.Errorf("--topic %s: a partition is not a number", t)
			}
			for _, p := range partitions {
				r.Partitions = append(r.Partitions, admin.TopicPartition{Topic: name, Partition: p})
			}
		}
		return admin.ResetOffsets(ctx, o, r)
	})
	fl := c.Flags()
	fl.StringSliceVar(&topics, "topic", nil, "a topic, or some of its partitions as topic:0+3; may be repeated")
	fl.BoolVar(&r.AllTopics, "all-topics", false, "all that the group has committed")
	fl.BoolVar(&earliest, "to-earliest", false, "the first record that is there")
	fl.BoolVar(&latest, "to-latest", false, "the next record that comes")
	fl.BoolVar(&current, "to-current", false, "where it is, made to lie in the partition")
	fl.Int64Var(&offset, "to-offset", 0, "an offset")
	fl.Int64Var(&shift, "shift-by", 0, "so many records on, or back if negative")
	fl.StringVar(&datetime, "to-datetime", "", "the first record since, such as 2026-01-31T12:00:00Z")
	fl.DurationVar(&by, "by-duration", 0, "the first record of so long ago, such as 36h")
	fl.BoolVar(&r.DryRun, "dry-run", false, "only show what would be set")
	return c
}
