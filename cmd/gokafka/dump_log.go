package main

import (
	"errors"

	"github.com/spf13/cobra"

	"gokafka/dumplog"
)

// dumpLogOptions are the flags of dump-log that do not go into dumplog.Options as they are.
type dumpLogOptions struct {
	dumplog.Options
	files                                         string
	offsets, transactions, metadata, remoteLogSeg bool
}

func dumpLogCommand() *cobra.Command {
	var o dumpLogOptions
	c := &cobra.Command{
		Use:   "dump-log --files FILE[,FILE...]",
		Short: "Print what is in segments, indexes and producer snapshots, as Apache's kafka-dump-log.sh does",
		Long: "Prints what is in the files of a partition's directory, in the words of kafka.tools.DumpLogSegments of Apache Kafka 3.9.1:\n" +
			".log, .index, .timeindex, .txnindex and .snapshot. Files are only read.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.resolve(cmd.Flags().Changed); err != nil {
				return err
			}
			return dumplog.Run(cmd.Context(), o.Options, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.StringVar(&o.files, "files", "", "the files to dump, separated by commas (required)")
	f.BoolVar(&o.PrintDataLog, "print-data-log", false, "print keys and values of records; set by each of the decoders")
	f.BoolVar(&o.DeepIteration, "deep-iteration", false, "print the records of batches; set by --print-data-log")
	f.BoolVar(&o.SkipRecordMetadata, "skip-record-metadata", false, "of records print keys and values only")
	f.Int32Var(&o.MaxMessageSize, "max-message-size", dumplog.DefaultMaxMessageSize, "size of the largest batch that an index entry may point at")
	f.Int32Var(&o.MaxBytes, "max-bytes", dumplog.NoMaxBytes, "read no more than this of each segment")
	f.BoolVar(&o.VerifyIndexOnly, "verify-index-only", false, "compare indexes with their segments without printing them")
	f.BoolVar(&o.IndexSanityCheck, "index-sanity-check", false, "check indexes only as far as a broker does at its start")
	f.StringVar(&o.KeyDecoder, "key-decoder-class", "", "decoder of keys; of Apache's own classes those for strings, integers and longs are served, no others")
	f.StringVar(&o.ValueDecoder, "value-decoder-class", "", "decoder of values, as --key-decoder-class")
	f.BoolVar(&o.offsets, "offsets-decoder", false, "the segment is of __consumer_offsets")
	f.BoolVar(&o.transactions, "transaction-log-decoder", false, "the segment is of __transaction_state")
	f.BoolVar(&o.metadata, "cluster-metadata-decoder", false, "not served: gokafka has no KRaft metadata log")
	f.BoolVar(&o.remoteLogSeg, "remote-log-metadata-decoder", false, "not served: gokafka has no tiered storage")
	return c
}

// resolve turns flags into options: of several decoders the first in Apache's order counts.
func (o *dumpLogOptions) resolve(given func(flag string) bool) error {
	if !given("files") {
		return errors.New(`missing required argument "[files]"`)
	}
	o.Files = dumplog.SplitFiles(o.files)
	switch {
	case o.offsets:
		o.Records = dumplog.OffsetsDecoder
	case o.transactions:
		o.Records = dumplog.TransactionsDecoder
	case o.metadata:
		return errors.New("--cluster-metadata-decoder is not served: gokafka has no KRaft metadata log; use Apache's kafka-dump-log.sh")
	case o.remoteLogSeg:
		return errors.New("--remote-log-metadata-decoder is not served: gokafka has no tiered storage; use Apache's kafka-dump-log.sh")
	}
	return nil
}
