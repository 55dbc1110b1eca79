package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gokafka/admin"
	"gokafka/clusterview"
	"gokafka/internal/show"
)

func topicCommand() *cobra.Command {
	var f askFlags
	c := &cobra.Command{Use: "topic", Short: "List, describe, create, extend and delete topics", Args: cobra.NoArgs, RunE: help}
	f.add(c)
	c.AddCommand(f.topicList(), f.topicDescribe(), f.topicCreate(), f.topicGrow(), f.topicDelete())
	return c
}

func (f *askFlags) topicList() *cobra.Command {
	var internal, configs bool
	var pattern string
	c := &cobra.Command{
		Use: "list", Short: "The topics", Args: cobra.NoArgs,
		RunE: f.run(func(ctx context.Context, o admin.Options, _ []string) (show.View, error) {
			match, err := clusterview.TopicMatcher(pattern)
			if err != nil {
				return nil, err
			}
			return admin.ListTopics(ctx, o, match, internal, configs)
		}),
	}
	c.Flags().StringVar(&pattern, "topic", "", "regular expression of whole topic names; several are separated by commas")
	c.Flags().BoolVar(&internal, "internal", false, "also the internal ones")
	c.Flags().BoolVar(&configs, "configs", false, "with the configs that are set for each")
	return c
}

func (f *askFlags) topicDescribe() *cobra.Command {
	return &cobra.Command{
		Use: "describe TOPIC...", Short: "Topics with their configs and partitions", Args: cobra.MinimumNArgs(1),
		RunE: f.run(func(ctx context.Context, o admin.Options, names []string) (show.View, error) {
			return admin.DescribeTopics(ctx, o, names)
		}),
	}
}

func (f *askFlags) topicCreate() *cobra.Command {
	n := admin.NewTopics{}
	var assignment string
	var configs []string
	c := &cobra.Command{
		Use: "create TOPIC...", Short: "Create topics", Args: cobra.MinimumNArgs(1),
		RunE: f.run(func(ctx context.Context, o admin.Options, names []string) (show.View, error) {
			var err error
			if n.Names = names; assignment != "" {
				if n.Partitions != -1 || n.Replicas != -1 {
					return nil, errors.New("--assignment says how many partitions and replicas there are: leave --partitions and --replication-factor out")
				}
				if n.Assignment, err = admin.ParseAssignment(assignment); err != nil {
					return nil, err
				}
			}
			if n.Configs, err = pairs(configs); err != nil {
				return nil, err
			}
			return admin.CreateTopics(ctx, o, n)
		}),
	}
	c.Flags().Int32Var(&n.Partitions, "partitions", -1, "number of partitions; -1: the brokers' num.partitions")
	c.Flags().Int16Var(&n.Replicas, "replication-factor", -1, "number of replicas; -1: the brokers' default.replication.factor")
	c.Flags().StringVar(&assignment, "assignment", "", "brokers of each partition, the preferred leader first: 0:1,1:2 is two partitions of two replicas")
	c.Flags().StringArrayVar(&configs, "config", nil, "a config of the topics, key=value; may be repeated")
	c.Flags().BoolVar(&n.IfMissing, "if-not-exists", false, "a topic that exists is no failure")
	c.Flags().BoolVar(&n.DryRun, "dry-run", false, "only ask whether they could be created")
	return c
}

func pairs(list []string) (map[string]string, error) {
	out := map[string]string{}
	for _, s := range list {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return nil, fmt.Errorf("%q is not key=value", s)
		}
		out[k] = v
	}
	return out, nil
}

func (f *askFlags) topicGrow() *cobra.Command {
	g := admin.Growth{}
	var assignment string
	c := &cobra.Command{
		Use: "grow TOPIC --partitions N", Short: "Add partitions to a topic", Args: cobra.ExactArgs(1),
		Long: "Adds partitions to a topic until it has N. Records with keys then go to other partitions than those before.",
		RunE: f.run(func(ctx context.Context, o admin.Options, names []string) (show.View, error) {
			var err error
			if g.Topic = names[0]; assignment != "" {
				if g.Assignment, err = admin.ParseAssignment(assignment); err != nil {
					return nil, err
				}
			}
			return admin.GrowTopic(ctx, o, g)
		}),
	}
	c.Flags().Int32Var(&g.Partitions, "partitions", 0, "number of partitions it shall have")
	c.Flags().StringVar(&assignment, "assignment", "", "brokers of each new partition, the preferred leader first, as for create")
	c.Flags().BoolVar(&g.DryRun, "dry-run", false, "only ask whether it could be done")
	must(c.MarkFlagRequired("partitions"))
	return c
}

func (f *askFlags) topicDelete() *cobra.Command {
	var ifThere bool
	c := &cobra.Command{
		Use: "delete TOPIC...", Short: "Delete topics and their records", Args: cobra.MinimumNArgs(1),
		RunE: f.run(func(ctx context.Context, o admin.Options, names []string) (show.View, error) {
			return admin.DeleteTopics(ctx, o, names, ifThere)
		}),
	}
	c.Flags().BoolVar(&ifThere, "if-exists", false, "a topic that does not exist is no failure")
	return c
}

// must is for what fails only when the program is written wrongly.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
