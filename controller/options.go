package controller

import (
	"context"
	"log/slog"
	"net"
	"time"

	"gokafka/coordination"
	"gokafka/internal/clock"
	"gokafka/internal/peer"
)

// Options of a controller. BrokerID, Session, Clock and InterBrokerListener are needed.
type Options struct {
	BrokerID int32
	Session  *coordination.Session
	Clock    *clock.Clock
	Logger   *slog.Logger

	// InterBrokerListener is the listener of the brokers' registrations on which they are sent control requests;
	// ControlPlaneListener replaces it if set (control.plane.listener.name).
	InterBrokerListener  string
	ControlPlaneListener string

	// Dial opens connections to brokers (nil = TCP); Handshake authenticates a fresh one.
	Dial      func(ctx context.Context, addr string) (net.Conn, error)
	Handshake func(ctx context.Context, c *peer.Conn) error

	// Register registers the broker anew under generation g of the session, after an expiry and before the broker may
	// be elected again. It returns the new broker epoch. nil: nothing to register.
	Register func(ctx context.Context, g *coordination.Generation) (brokerEpoch int64, err error)

	// Suspected says whether the process that registered a broker under an epoch is known to be dead though its session stands. Such a broker is taken for
	// dead, and if it was the controller this broker takes its place. nil: sessions alone tell. SuspicionChanged must be called when an answer changes.
	Suspected func(id int32, epoch int64) bool

	// SupportedFeatures are the features that this broker registers, for UpdateFeatures.
	SupportedFeatures map[string]FeatureRange
	// BirthFeatures are finalized when this controller makes /feature, in a cluster that no Apache broker can be part of.
	BirthFeatures map[string]int16

	// DeleteTopicEnable is delete.topic.enable.
	DeleteTopicEnable bool
	// UncleanLeaderElection is the broker's default of unclean.leader.election.enable; nil = false. It is asked at each
	// election, as the setting is dynamic.
	UncleanLeaderElection func() bool

	AutoLeaderRebalance         bool          // auto.leader.rebalance.enable
	LeaderImbalanceCheck        time.Duration // leader.imbalance.check.interval.seconds; 0 = 300 s
	LeaderImbalancePerBrokerPct int           // leader.imbalance.per.broker.percentage; 0 = any imbalance

	SocketTimeout  time.Duration // controller.socket.timeout.ms; 0 = 30 s
	RequestTimeout time.Duration // request.timeout.ms; 0 = 30 s

	// MaxQueuedRequests bounds the queue to one broker; 0 = 1000.
	MaxQueuedRequests int
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Suspected == nil {
		o.Suspected = func(int32, int64) bool { return false }
	}
	if o.UncleanLeaderElection == nil {
		o.UncleanLeaderElection = func() bool { return false }
	}
	if o.LeaderImbalanceCheck <= 0 {
		o.LeaderImbalanceCheck = 300 * time.Second
	}
	if o.MaxQueuedRequests <= 0 {
		o.MaxQueuedRequests = defaultMaxQueuedRequests
	}
	return o
}

func (o *Options) controlListener() string {
	if o.ControlPlaneListener != "" {
		return o.ControlPlaneListener
	}
	return o.InterBrokerListener
}
