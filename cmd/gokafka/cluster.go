package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"gokafka/clusterview"
	"gokafka/internal/show"
)

// read makes a view.
type read func(ctx context.Context, o clusterview.Options) (show.View, error)

func clusterCommand() *cobra.Command {
	var f askFlags
	c := &cobra.Command{
		Use:   "cluster",
		Short: "Show a running cluster, elect leaders, move replicas, finalize features",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() }, // or a wrong name would be no error
	}
	f.add(c)
	c.AddCommand(
		&cobra.Command{
			Use: "info", Short: "The cluster in numbers", Args: cobra.NoArgs,
			RunE: f.show(func(ctx context.Context, o clusterview.Options) (show.View, error) {
				return clusterview.ReadInfo(ctx, o)
			}),
		},
		&cobra.Command{
			Use: "brokers", Short: "The brokers and what they hold", Args: cobra.NoArgs,
			RunE: f.show(func(ctx context.Context, o clusterview.Options) (show.View, error) {
				return clusterview.ReadBrokers(ctx, o)
			}),
		},
		f.partitions(), f.controller(), f.elect(), f.reassign(), f.logDirs(), f.features(), f.upgrade(), f.downgrade(),
	)
	return c
}

func (f *askFlags) partitions() *cobra.Command {
	var filter clusterview.Filter
	c := &cobra.Command{
		Use: "partitions", Short: "The partitions: leaders, replicas, ISR", Args: cobra.NoArgs,
		Long: "Lists partitions. Of several conditions one must hold; each is judged as kafka-topics.sh does.",
		RunE: f.show(func(ctx context.Context, o clusterview.Options) (show.View, error) {
			return clusterview.ReadPartitions(ctx, o, filter)
		}),
	}
	c.Flags().StringVar(&filter.Topics, "topic", "", "regular expression of whole topic names; several are separated by commas")
	c.Flags().BoolVar(&filter.UnderReplicated, "under-replicated", false, "only those whose ISR lacks replicas")
	c.Flags().BoolVar(&filter.Offline, "offline", false, "only those without a live leader")
	c.Flags().BoolVar(&filter.UnderMinISR, "under-min-isr", false, "only those whose ISR is smaller than min.insync.replicas")
	c.Flags().BoolVar(&filter.AtMinISR, "at-min-isr", false, "only those whose ISR is as small as min.insync.replicas allows")
	return c
}

func (f *askFlags) controller() *cobra.Command {
	q := clusterview.JournalQuery{}
	c := &cobra.Command{
		Use: "controller", Short: "The controller and, from its HTTP port, its journal", Args: cobra.NoArgs,
		Long: "Names the controller. With --http it shows the journal of the broker there: who led what when, and why it changed, the newest first.",
		RunE: f.show(func(ctx context.Context, o clusterview.Options) (show.View, error) {
			if q.Limit < 1 {
				return nil, errors.New("--limit must be at least 1")
			}
			return clusterview.ReadController(ctx, o, q)
		}),
	}
	c.Flags().StringVar(&q.HTTP, "http", "", "HTTP port of the controller's broker, host:port")
	c.Flags().StringVar(&q.Topic, "topic", "", "only decisions about this topic")
	c.Flags().Int32Var(&q.Partition, "partition", -1, "only decisions about this partition")
	c.Flags().IntVar(&q.Limit, "limit", 20, "number of decisions")
	return c
}

// show makes a view and prints it.
func (f *askFlags) show(r read) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		return f.print(cmd, func(ctx context.Context) (show.View, error) {
			return r(ctx, clusterview.Options{
				Bootstrap: f.addresses(), Timeout: f.timeout,
				Note: func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), "gokafka: "+line) },
			})
		})
	}
}
