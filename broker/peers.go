package broker

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"

	"gokafka/controller"
	"gokafka/coordination"
	"gokafka/coordination/znode"
	"gokafka/transactions"
)

// groupFeature is what a broker that serves groups of KIP-848 says in its registration, where Kafka has the levels of features that a broker supports. A level from 1 on is
// read by all of Kafka 2.7 to 3.9.
const groupFeature = "group.version"

// servesModernGroups says whether this broker is to serve groups of KIP-848: unless group.coordinator.rebalance.protocols is set, and without them.
func (b *Broker) servesModernGroups() bool {
	_, set := b.cfg.Static()["group.coordinator.rebalance.protocols"]
	return !set || slices.ContainsFunc(b.cfg.Groups.RebalanceProtocols, func(p string) bool { return strings.EqualFold(p, "consumer") })
}

// transactionFeature is the feature that KIP-890's second part comes with (Kafka 4.0 TransactionVersion).
const transactionFeature = "transaction.version"

// finalizable are the features that may be finalized for a cluster of such brokers. It is never written.
var finalizable = map[string]controller.FeatureRange{transactionFeature: {Min: 1, Max: transactions.Version2}}

// birthFeatures are those that a cluster that this broker makes is born with.
func (b *Broker) birthFeatures() map[string]int16 {
	if !b.newestFeatures || !b.cfg.Embedded {
		return nil
	}
	out := map[string]int16{}
	for name, r := range finalizable {
		out[name] = r.Max
	}
	return out
}

// supportedFeatures is what this broker registers: what may be finalized, and what it serves as soon as all others do.
func (b *Broker) supportedFeatures() map[string]znode.FeatureRange {
	out := map[string]znode.FeatureRange{}
	for name, r := range finalizable {
		out[name] = znode.FeatureRange{Min: r.Min, Max: r.Max}
	}
	if b.servesModernGroups() {
		out[groupFeature] = znode.FeatureRange{Min: 1, Max: 1}
	}
	return out
}

// peers is what the registrations of all brokers say.
type peers struct {
	modernGroups atomic.Bool // all serve groups of KIP-848
}

// followPeers reads the registrations now and after each change of their list and each new session: groups of KIP-848 are served while all brokers do, since
// any of them may become their coordinator.
func (b *Broker) followPeers() {
	if !b.servesModernGroups() {
		return
	}
	changed := make(chan struct{}, 1)
	signal := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	w := b.session.Watch(znode.BrokerIDsPath, coordination.WatchChildren, signal)
	remove := b.session.AddHook(coordination.Hook{Name: "peers", After: func(context.Context, *coordination.Generation) { signal() }})
	b.wg.Go(func() {
		defer w.Stop()
		defer remove()
		for {
			if err := b.readPeers(); err != nil && b.ctx.Err() == nil {
				b.logger.Warn("Registrations of brokers could not be read; trying again", "error", err)
				if b.clk.Sleep(b.ctx, retryPause) == nil {
					continue
				}
			}
			select {
			case <-changed:
			case <-b.ctx.Done():
				return
			}
		}
	})
}

func (b *Broker) readPeers() error {
	g, err := b.session.Await(b.ctx)
	if err != nil {
		return err
	}
	ids, err := znode.ListBrokers(b.ctx, g, true)
	if err != nil {
		return err
	}
	list, _, err := znode.ReadBrokers(b.ctx, g, ids)
	if err != nil {
		return err
	}
	all := len(list) > 0
	for i := range list {
		if list[i].Features[groupFeature].Max < 1 {
			all = false
		}
	}
	if b.peers.modernGroups.Swap(all) != all {
		b.logger.Info("Groups of the consumer protocol", "served", all)
	}
	return nil
}
