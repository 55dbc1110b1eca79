package broker

import (
	"context"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/internal/peer"
)

// Stop shuts the broker down in order: leaders are moved away, connections closed, logs closed cleanly, and the registration goes last, so that no other broker takes over while
// this one still writes. ctx bounds the moving of leaders, not the closing of logs.
func (b *Broker) Stop(ctx context.Context) error {
	if b.stopping.Swap(true) {
		return nil
	}
	b.logger.Info("shutting down")
	b.replicas.BeginShutdown()
	if b.cfg.ControlledShutdown {
		b.controlledShutdown(ctx)
	}
	b.server.Close()
	b.replicas.Close()
	err := b.logs.Close()
	b.logsClosed.Store(true)
	b.unwind()
	b.logger.Info("shut down completed")
	return err
}

// controlledShutdown asks the controller to move this broker's leaders away, as often as the config says. It gives up without
// an error: the stop goes on, and only leadership is lost uncleanly (Kafka 3.9 KafkaServer.controlledShutdown).
func (b *Broker) controlledShutdown(ctx context.Context) {
	for try := range b.cfg.ControlledShutdownMaxRetries {
		if try > 0 {
			if b.clk.Sleep(ctx, b.cfg.ControlledShutdownBackoff) != nil {
				return
			}
		}
		left, err := b.askShutdown(ctx)
		switch {
		case err != nil:
			b.logger.Warn("Controlled shutdown request failed", "error", err)
		case left == 0:
			b.logger.Info("Controlled shutdown request returned successfully")
			return
		default:
			b.logger.Info("Partitions are still led by this broker", "remaining", left)
		}
	}
	b.logger.Warn("Proceeding to do an unclean shutdown as all the controlled shutdown attempts failed")
}

// askShutdown sends one ControlledShutdown to the controller and returns how many partitions are still to be moved.
func (b *Broker) askShutdown(ctx context.Context) (left int, err error) {
	im := b.cache.Image()
	c := im.Broker(im.ControllerID)
	if c == nil {
		return 0, kerr.NotController
	}
	e, ok := c.Endpoint(b.cfg.InterBrokerListener)
	if !ok {
		return 0, kerr.ListenerNotFound
	}
	cl := peer.NewClient(peer.Fixed(net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))), peer.Options{ClientID: strconv.Itoa(int(b.cfg.ID)), Clock: b.clk, Dial: b.network.Dial})
	defer cl.Close()
	q := kmsg.NewPtrControlledShutdownRequest()
	q.Version, q.BrokerID, q.BrokerEpoch = 3, b.cfg.ID, b.epoch()
	ctx, cancel := context.WithTimeout(ctx, min(b.cfg.ControllerSocketTimeout, 30*time.Second))
	defer cancel()
	resp, err := cl.Request(ctx, q)
	if err != nil {
		return 0, err
	}
	r := resp.(*kmsg.ControlledShutdownResponse)
	return len(r.PartitionsRemaining), kerr.ErrorForCode(r.ErrorCode)
}
