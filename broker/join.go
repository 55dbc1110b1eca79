package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"gokafka/controller"
	"gokafka/coordination"
	"gokafka/coordination/znode"
	"gokafka/internal/kafkalog"
	"gokafka/metadata"
	"gokafka/suspicion"
)

// join registers the broker, opens its sockets to requests and stands for election. The sockets are bound before: whoever reads the registration can connect.
func (b *Broker) join(ctx context.Context, _ Options) error {
	endpoints, err := b.endpoints()
	if err != nil {
		return err
	}
	b.registration = znode.Registration{
		Broker: metadata.Broker{ID: b.cfg.ID, Endpoints: endpoints, Rack: b.cfg.Rack}, JMXPort: -1, TimestampMs: b.clk.NowMs(), Features: b.supportedFeatures(),
	}
	if err := b.refuseTakenEndpoints(ctx); err != nil {
		return err
	}
	if err := b.register(ctx); err != nil {
		return err
	}
	b.did(b.server.Close)
	if err := b.readFeatures(); err != nil && b.ctx.Err() == nil { // the first client is to hear of them
		b.logger.Warn("Features could not be read; trying again", "error", err)
	}
	for i := range b.bound {
		for _, s := range b.bound[i].sockets {
			b.server.Accept(b.bound[i].Name, s)
		}
	}
	b.followFeatures()
	b.followPeers()
	b.watchProcesses()
	if err := b.controller.Start(b.ctx); err != nil {
		return err
	}
	b.did(b.controller.Stop)
	return nil
}

// watchProcesses has the controller told of brokers whose processes die. It begins before the election: a new controller then knows what was seen before.
func (b *Broker) watchProcesses() {
	if !b.cfg.DeadBrokerDetection {
		return
	}
	o := b.controllerOptions()
	listener := o.InterBrokerListener
	if o.ControlPlaneListener != "" {
		listener = o.ControlPlaneListener
	}
	m := suspicion.Start(suspicion.Options{
		BrokerID: b.cfg.ID, Session: b.session, Clock: b.clk, Logger: b.base.With(kafkalog.LoggerKey, "kafka.controller.KafkaController"), Listener: listener,
		Dial:    b.network.Dial,
		Changed: func(int32, int64, bool) { b.controller.SuspicionChanged() },
	})
	b.suspicion.Store(m)
	b.did(m.Close)
}

// suspected is whether the process that registered a broker was seen to die.
func (b *Broker) suspected(id int32, epoch int64) bool {
	m := b.suspicion.Load()
	return m != nil && m.Suspected(id, epoch)
}

// epoch is the broker epoch of the current registration.
func (b *Broker) epoch() int64 {
	if r := b.registered.Load(); r != nil {
		return r.Epoch
	}
	return -1
}

// isRegistered says whether the registration certainly stands: it was made under the session of now, and that cannot have expired yet.
func (b *Broker) isRegistered() bool {
	r := b.registered.Load()
	return r != nil && r.Session == b.session.Current().ID() && b.session.HeardLately()
}

// refuseTakenEndpoints refuses an advertised address that another broker has registered (Kafka 3.9 KafkaServer.createBrokerInfo).
func (b *Broker) refuseTakenEndpoints(ctx context.Context) error {
	g, err := b.session.Await(ctx)
	if err != nil {
		return err
	}
	ids, err := znode.ListBrokers(ctx, g, false)
	if err != nil {
		return err
	}
	others, _, err := znode.ReadBrokers(ctx, g, ids)
	if err != nil {
		return err
	}
	for i := range others {
		o := &others[i].Broker
		if o.ID == b.cfg.ID {
			continue
		}
		for _, e := range o.Endpoints {
			for _, own := range b.registration.Broker.Endpoints {
				if e.Host == own.Host && e.Port == own.Port {
					return fmt.Errorf("configured end points %s:%d in advertised listeners are already registered by broker %d", own.Host, own.Port, o.ID)
				}
			}
		}
	}
	return nil
}

// register makes the broker's registration for the first time. A registration that an earlier process left is waited for until its session ends.
func (b *Broker) register(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	w := b.session.Watch(znode.BrokerPath(b.cfg.ID), coordination.WatchData, func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer w.Stop()
	for {
		g, err := b.session.Await(ctx)
		if err != nil {
			return err
		}
		r, err := znode.RegisterBroker(ctx, g, b.registration, znode.Registered{})
		var taken *znode.BrokerIDInUseError
		switch {
		case err == nil:
			b.registered.Store(&r)
			b.logger.Info("Registered broker", "path", znode.BrokerPath(b.cfg.ID), "brokerEpoch", r.Epoch, "addresses", b.advertised())
			return nil
		case errors.As(err, &taken):
			b.logger.Info("Waiting for the end of the session that holds the registration of this broker's id", "session", fmt.Sprintf("0x%x", taken.Owner))
			wait, cancel := context.WithTimeout(ctx, 2*b.cfg.ZooKeeperSession+registerSlack)
			err := znode.AwaitBrokerGone(wait, g, b.cfg.ID, changed)
			expired := wait.Err() != nil && ctx.Err() == nil
			cancel()
			if expired {
				return taken // its session is alive: another broker has this id
			}
			if err != nil && g.Err() == nil {
				return err
			}
		case g.Err() != nil: // the session expired during start-up: once more, under the next one
		default:
			return err
		}
	}
}

// registerSlack is what a server may take beyond the timeout to end a session, and what its notification may take.
const registerSlack = 4 * time.Second

// advertised are the addresses of the registration, as listeners are written.
func (b *Broker) advertised() string {
	var list []string
	for _, e := range b.registration.Broker.Endpoints {
		list = append(list, e.Listener+"://"+net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))))
	}
	return strings.Join(list, ",")
}

// reregister makes the registration anew after the session expired.
func (b *Broker) reregister(ctx context.Context, g *coordination.Generation) (int64, error) {
	var prev znode.Registered
	if p := b.registered.Load(); p != nil {
		prev = *p
	}
	r, err := znode.RegisterBroker(ctx, g, b.registration, prev)
	if err != nil {
		return -1, err
	}
	b.registered.Store(&r)
	b.logger.Info("Registered broker anew", "path", znode.BrokerPath(b.cfg.ID), "brokerEpoch", r.Epoch)
	return r.Epoch, nil
}

func (b *Broker) controllerOptions() controller.Options {
	return controller.Options{
		BrokerID: b.cfg.ID, Session: b.session, Clock: b.clk, Logger: b.base.With(kafkalog.LoggerKey, "kafka.controller.KafkaController"),
		InterBrokerListener: b.cfg.InterBrokerListener, ControlPlaneListener: b.cfg.ControlPlane, Register: b.reregister, Suspected: b.suspected, SupportedFeatures: finalizable, BirthFeatures: b.birthFeatures(),
		DeleteTopicEnable: b.cfg.DeleteTopics, UncleanLeaderElection: func() bool { return b.settings.Broker().UncleanElection },
		AutoLeaderRebalance: b.cfg.AutoLeaderRebalance, LeaderImbalanceCheck: b.cfg.LeaderImbalanceCheckInterval, LeaderImbalancePerBrokerPct: int(b.cfg.LeaderImbalancePercentage),
		Dial: b.network.Dial, SocketTimeout: b.cfg.ControllerSocketTimeout, RequestTimeout: b.cfg.RequestTimeout,
	}
}
