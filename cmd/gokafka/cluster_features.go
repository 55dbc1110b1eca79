package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"gokafka/admin"
	"gokafka/internal/show"
)

func (f *askFlags) features() *cobra.Command {
	return &cobra.Command{
		Use: "features", Short: "The features that can be finalized, and their levels", Args: cobra.NoArgs,
		RunE: f.run(func(ctx context.Context, o admin.Options, _ []string) (show.View, error) {
			return admin.DescribeFeatures(ctx, o)
		}),
	}
}

// upgradeWarning is what an operator is to know before a feature is finalized.
const upgradeWarning = "once a feature is finalized, Apache Kafka 3.9 brokers cannot join the cluster any more: they exit. 'gokafka cluster downgrade' takes it back. Say --yes to go on"

func (f *askFlags) upgrade() *cobra.Command {
	var yes, dryRun bool
	c := &cobra.Command{
		Use: "upgrade FEATURE=LEVEL", Short: "Finalize a feature, such as transaction.version=2", Args: cobra.ExactArgs(1),
		Long: "Finalizes a feature. It is refused while a broker is registered that does not know the feature.\n\nNote: " + upgradeWarning + ".",
		RunE: f.run(func(ctx context.Context, o admin.Options, args []string) (show.View, error) {
			u, err := admin.ParseFeatureUpgrade(args[0])
			if err != nil {
				return nil, err
			}
			if !yes && !dryRun {
				return nil, errors.New(upgradeWarning)
			}
			return admin.UpdateFeature(ctx, o, u, dryRun)
		}),
	}
	c.Flags().BoolVar(&yes, "yes", false, "go on, knowing that Apache Kafka 3.9 brokers cannot join afterwards")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only say whether it could be done")
	return c
}

func (f *askFlags) downgrade() *cobra.Command {
	var level int16
	var dryRun bool
	c := &cobra.Command{
		Use: "downgrade FEATURE", Short: "Take a finalized feature back, or lower its level", Args: cobra.ExactArgs(1),
		RunE: f.run(func(ctx context.Context, o admin.Options, args []string) (show.View, error) {
			return admin.UpdateFeature(ctx, o, admin.FeatureUpdate{Name: args[0], Level: level, Downgrade: true}, dryRun)
		}),
	}
	c.Flags().Int16Var(&level, "level", 0, "the lower level; 0 takes the feature back")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only say whether it could be done")
	return c
}
