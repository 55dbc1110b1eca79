package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"gokafka/broker"
	"gokafka/config"
	"gokafka/coordination/embedded"
	"gokafka/internal/clock"
	"gokafka/internal/kafkalog"
)

// devHTTP is the address of a dev broker's HTTP port: two above the Kafka port, so that several dev brokers do not meet.
func devHTTP(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port+2)) }

// root is the command without arguments: a dev broker.
func root() *cobra.Command {
	var http, data string
	var port int
	c := &cobra.Command{
		Use:           "gokafka",
		Short:         "A Kafka broker: the wire protocol, the ZooKeeper layout and the log files of Apache Kafka 3.9",
		Long:          "Without a command gokafka runs a broker for development on localhost:9092, with its data in ./gokafka-data.",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, warnings, err := config.Load(config.Input{Base: devProperties(port, data), Env: os.Environ()})
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("http") {
				http = devHTTP(port)
			}
			if err := broker.TryListeners(cfg); err != nil {
				return err
			}
			return run(cmd.Context(), []*config.Broker{cfg}, warnings, http, true)
		},
	}
	c.Flags().IntVar(&port, "port", 9092, "port of the dev broker on both loopbacks")
	c.Flags().StringVar(&data, "data", "gokafka-data", "directory of the dev broker's data")
	c.Flags().StringVar(&http, "http", "", "address of the HTTP port (/metrics, /healthz, /readyz, /api); unless given, 127.0.0.1 and the port above by two; empty for none")
	c.AddCommand(serverCommand(), zookeeperCommand(), dumpLogCommand(), clusterCommand(), topicCommand(), groupCommand())
	return c
}

// devProperties are the settings of a dev broker; KAFKA_ environment variables override them.
func devProperties(port int, data string) map[string]string {
	return map[string]string{
		"broker.id": "0", "listeners": "PLAINTEXT://localhost:" + strconv.Itoa(port), "log.dirs": data,
		"auto.create.topics.enable": "true", "default.replication.factor": "1", "offsets.topic.replication.factor": "1",
		"transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "1", "group.initial.rebalance.delay.ms": "0",
	}
}

func serverCommand() *cobra.Command {
	var overrides []string
	var http string
	var brokers int
	c := &cobra.Command{
		Use:   "server FILE [--override key=value ...]",
		Short: "Run a broker from Apache's server.properties",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, warnings, err := config.Load(config.Input{File: args[0], Env: os.Environ(), Overrides: overrides})
			if err != nil {
				return err
			}
			members, err := cluster(cfg, brokers)
			if err != nil {
				return err
			}
			return run(cmd.Context(), members, warnings, http, false)
		},
	}
	c.Flags().StringArrayVar(&overrides, "override", nil, "a property that overrides the file, key=value; may be repeated")
	c.Flags().StringVar(&http, "http", "", "address of the HTTP port (/metrics, /healthz, /readyz, /api)")
	c.Flags().IntVar(&brokers, "brokers", 1, "run so many brokers in this process, with one embedded coordination server")
	return c
}

const shutdownRetries = "controlled.shutdown.max.retries"

// cluster makes the configs of n brokers in one process out of one: ids from 0, ports from the configured one, data in a
// directory each.
func cluster(cfg *config.Broker, n int) ([]*config.Broker, error) {
	switch {
	case n == 1:
		return []*config.Broker{cfg}, nil
	case n < 1 || n > 100:
		return nil, errors.New("--brokers must be between 1 and 100")
	case !cfg.Embedded:
		return nil, errors.New("--brokers needs the embedded coordination server: zookeeper.connect must not be set")
	}
	var out []*config.Broker
	for i := range n {
		changes := map[string]string{"broker.id": strconv.Itoa(i), "log.dirs": cfg.LogDirs[0] + "/broker-" + strconv.Itoa(i)}
		// All of them stop together: nobody is left for a second try to find leaders elsewhere, which would hold the process up.
		if _, set := cfg.Static()[shutdownRetries]; !set {
			changes[shutdownRetries] = "1"
		}
		for key, list := range map[string][]config.Listener{"listeners": cfg.Listeners, "advertised.listeners": cfg.AdvertisedListeners} {
			var addrs []string
			for _, l := range list {
				if l.Port != 0 {
					l.Port += int32(i)
				}
				addrs = append(addrs, l.String())
			}
			changes[key] = strings.Join(addrs, ",")
		}
		member, err := cfg.With(changes)
		if err != nil {
			return nil, err
		}
		out = append(out, member)
	}
	return out, nil
}

// run runs brokers until ctx ends or one of them cannot go on.
func run(ctx context.Context, members []*config.Broker, warnings []string, http string, dev bool) error {
	clk := clock.New()
	logger := slog.New(kafkalog.New(os.Stdout, clk, slog.LevelInfo))
	for _, w := range warnings {
		logger.Warn(w)
	}
	var coordination *embedded.Server
	if len(members) > 1 {
		var err error
		if coordination, err = embedded.Open(ctx, embedded.Options{Dir: members[0].LogDirs[0], Clock: clk, Logger: logger}); err != nil {
			return err
		}
		defer coordination.Close()
	}
	var running []*broker.Broker
	var failure error
	for i, cfg := range members {
		o := broker.Options{Config: cfg, Clock: clk, Logger: logger, Coordination: coordination, NewestFeatures: dev}
		if i == 0 {
			o.HTTP = http
		}
		b, err := broker.Start(ctx, o)
		if err != nil {
			failure = err
			break
		}
		running = append(running, b)
		tell(b, dev)
	}
	if failure == nil {
		failure = wait(ctx, running)
	}
	for i := len(running) - 1; i >= 0; i-- {
		if err := running[i].Stop(context.Background()); err != nil && failure == nil {
			failure = err
		}
	}
	return failure
}

// tell says where a broker listens and where its data is.
func tell(b *broker.Broker, dev bool) {
	if !dev {
		return
	}
	fmt.Printf("gokafka listens on %s, data in %s", strings.Join(b.Listening(), " and "), strings.Join(b.LogDirs(), ", "))
	if a := b.HTTPAddr(); a != nil {
		fmt.Printf(", http://%s/metrics", a)
	}
	fmt.Println()
}

// wait returns when ctx ends, or with the error of a broker that cannot go on.
func wait(ctx context.Context, running []*broker.Broker) error {
	failed := make(chan error, len(running))
	stop := make(chan struct{})
	defer close(stop)
	for _, b := range running {
		go func() {
			select {
			case err := <-b.Failed():
				failed <- fmt.Errorf("broker %d: %w", b.ID(), err)
			case <-stop:
			}
		}()
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

func zookeeperCommand() *cobra.Command {
	var listen, data string
	c := &cobra.Command{
		Use:   "zookeeper",
		Short: "Run the embedded coordination server alone, for clients of ZooKeeper",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			clk := clock.New()
			logger := slog.New(kafkalog.New(os.Stdout, clk, slog.LevelInfo))
			srv, err := embedded.Open(ctx, embedded.Options{Dir: data, Clock: clk, Logger: logger})
			if err != nil {
				return err
			}
			ln, err := net.Listen("tcp", listen)
			if err != nil {
				srv.Close()
				return err
			}
			fmt.Printf("gokafka zookeeper listens on %s, data in %s\n", ln.Addr(), data)
			served := make(chan error, 1)
			go func() { served <- srv.Serve(ln) }()
			select {
			case <-ctx.Done():
			case <-srv.Done():
			}
			err = errors.Join(srv.Err(), srv.Close())
			return errors.Join(err, <-served)
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:2181", "address to listen on")
	c.Flags().StringVar(&data, "data", "gokafka-zookeeper", "directory of the data")
	return c
}
