package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"gokafka/admin"
	"gokafka/internal/show"
)

func (f *askFlags) elect() *cobra.Command {
	var all, unclean bool
	var topic string
	var partitions []int32
	c := &cobra.Command{
		Use: "elect", Short: "Let preferred replicas lead, or any replica where no other can", Args: cobra.NoArgs,
		Long: "Lets the first replica of partitions lead if it is in sync. With --unclean, partitions without a leader get one that is not in sync: records are lost.",
		RunE: f.run(func(ctx context.Context, o admin.Options, _ []string) (show.View, error) {
			e := admin.Election{Unclean: unclean}
			switch {
			case all && topic != "" || !all && (topic == "" || len(partitions) == 0):
				return nil, errors.New("either --all or --topic with --partition must be given")
			case topic != "":
				for _, p := range partitions {
					e.Partitions = append(e.Partitions, admin.TopicPartition{Topic: topic, Partition: p})
				}
			}
			return admin.ElectLeaders(ctx, o, e)
		}),
	}
	c.Flags().BoolVar(&all, "all", false, "all partitions of the cluster")
	c.Flags().StringVar(&topic, "topic", "", "topic of the partitions")
	c.Flags().Int32SliceVar(&partitions, "partition", nil, "numbers of partitions")
	c.Flags().BoolVar(&unclean, "unclean", false, "let replicas lead that are not in sync, where no other can; records are lost")
	return c
}

func (f *askFlags) logDirs() *cobra.Command {
	var brokers []int32
	var topics []string
	c := &cobra.Command{
		Use: "log-dirs", Short: "The brokers' log directories and the replicas in them", Args: cobra.NoArgs,
		RunE: f.run(func(ctx context.Context, o admin.Options, _ []string) (show.View, error) {
			return admin.DescribeLogDirs(ctx, o, brokers, topics)
		}),
	}
	c.Flags().Int32SliceVar(&brokers, "broker", nil, "only these brokers")
	c.Flags().StringSliceVar(&topics, "topic", nil, "only replicas of these topics")
	return c
}

func (f *askFlags) reassign() *cobra.Command {
	c := &cobra.Command{
		Use: "reassign", Short: "Move replicas to other brokers or log directories", Args: cobra.NoArgs, RunE: help,
		Long: `Moves replicas as a plan says, a file with the JSON of kafka-reassign-partitions.sh:

  {"version": 1, "partitions": [{"topic": "orders", "partition": 0, "replicas": [2, 3], "log_dirs": ["any", "/data/2"]}]}`,
	}
	c.AddCommand(f.reassignPropose(), f.reassignStart(), f.reassignVerify(), f.reassignCancel(), &cobra.Command{
		Use: "list", Short: "The reassignments that are under way", Args: cobra.NoArgs,
		RunE: f.run(func(ctx context.Context, o admin.Options, _ []string) (show.View, error) {
			return admin.ListMoves(ctx, o)
		}),
	})
	return c
}

func readPlan(file string) (*admin.Plan, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	p, err := admin.ParsePlan(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return p, nil
}

func (f *askFlags) reassignPropose() *cobra.Command {
	var brokers []int32
	var topics []string
	var noRacks bool
	c := &cobra.Command{
		Use: "propose --topic TOPIC --broker ID", Short: "Propose a plan that spreads topics over brokers", Args: cobra.NoArgs,
		Long: "Proposes a plan that spreads topics over brokers. In the JSON, .proposed is a plan to start and .current one to go back.",
		RunE: f.run(func(ctx context.Context, o admin.Options, _ []string) (show.View, error) {
			return admin.Propose(ctx, o, topics, brokers, noRacks)
		}),
	}
	c.Flags().StringSliceVar(&topics, "topic", nil, "topics to spread")
	c.Flags().Int32SliceVar(&brokers, "broker", nil, "brokers to spread them over")
	c.Flags().BoolVar(&noRacks, "ignore-racks", false, "do not mind the brokers' racks")
	must(c.MarkFlagRequired("topic"))
	must(c.MarkFlagRequired("broker"))
	return c
}

func (f *askFlags) reassignStart() *cobra.Command {
	s := admin.Start{}
	c := &cobra.Command{
		Use: "start PLAN", Short: "Begin a plan", Args: cobra.ExactArgs(1),
		Long: "Begins a plan. What is printed first is the state before, to go back to. A throttle stays until verify finds all done.",
		RunE: f.run(func(ctx context.Context, o admin.Options, args []string) (show.View, error) {
			var err error
			if s.Plan, err = readPlan(args[0]); err != nil {
				return nil, err
			}
			if s.Throttle < 0 || s.DirRate < 0 {
				return nil, errors.New("a throttle must not be negative")
			}
			return admin.StartPlan(ctx, o, s)
		}),
	}
	c.Flags().BoolVar(&s.Additional, "additional", false, "also while other reassignments are under way")
	c.Flags().Int64Var(&s.Throttle, "throttle", 0, "bytes a second that brokers may send each other for what moves; 0 sets none")
	c.Flags().Int64Var(&s.DirRate, "log-dir-throttle", 0, "bytes a second that a broker may copy between its log directories; 0 sets none")
	return c
}

func (f *askFlags) reassignVerify() *cobra.Command {
	var keep bool
	c := &cobra.Command{
		Use: "verify PLAN", Short: "Tell how far a plan is; when all is done, take throttles away", Args: cobra.ExactArgs(1),
		Long: "Tells how far a plan is. The exit code is 0 when all is as planned. When nothing is being moved any more, throttles are taken away.",
		RunE: f.run(func(ctx context.Context, o admin.Options, args []string) (show.View, error) {
			p, err := readPlan(args[0])
			if err != nil {
				return nil, err
			}
			return admin.VerifyPlan(ctx, o, p, keep)
		}),
	}
	c.Flags().BoolVar(&keep, "keep-throttles", false, "leave throttles as they are")
	return c
}

func (f *askFlags) reassignCancel() *cobra.Command {
	var keep bool
	c := &cobra.Command{
		Use: "cancel PLAN", Short: "End what of a plan is under way; partitions go back to the replicas before", Args: cobra.ExactArgs(1),
		RunE: f.run(func(ctx context.Context, o admin.Options, args []string) (show.View, error) {
			p, err := readPlan(args[0])
			if err != nil {
				return nil, err
			}
			return admin.CancelPlan(ctx, o, p, keep)
		}),
	}
	c.Flags().BoolVar(&keep, "keep-throttles", false, "leave throttles as they are")
	return c
}
